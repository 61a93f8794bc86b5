"""Every endpoint: nobody without a token, no role it is not for, and all of it is described."""

import re

from billing.tokens.register import Role
from ratewire.http.endpoints import ENDPOINTS
from ratewire.wiring import System
from tests.ratewire.http.conftest import Client
from tests.ratewire.http.staff import Staff


def some(path: str) -> str:
    """A path of an endpoint with something in its place holders."""
    return re.sub(r"\{[a-z_]+\}", "7", path.removeprefix("/api/v1/"))


async def test_no_role_does_what_is_not_for_it(client: Client, system: System) -> None:
    staff = {role: await Staff.hired(client, system, role) for role in Role}
    nobody = Staff(client, "ratewire_unknown")
    assert len(ENDPOINTS) > 30
    for each in ENDPOINTS:
        said = await nobody.says(each.method, some(each.path))
        assert (said.status, said.headers["WWW-Authenticate"]) == (401, "Bearer"), each.path
        for role, member in staff.items():
            said = await member.says(each.method, some(each.path))
            refused = said.status == 403
            assert refused == (role not in each.roles), (each.method, each.path, role, said)
            assert said.status < 500, (each.path, said)


def test_reading_is_for_all_and_changing_never_for_who_only_reads() -> None:
    for each in ENDPOINTS:
        if each.changes:
            assert Role.READ_ONLY not in each.roles, each.path
        assert Role.ADMIN in each.roles, each.path


def test_no_two_are_the_same() -> None:
    names = [(each.method, each.path) for each in ENDPOINTS]
    assert len(names) == len(set(names))
