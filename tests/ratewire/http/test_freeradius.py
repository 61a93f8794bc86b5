"""What FreeRADIUS may ask, and what it is told when it may not."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from billing.nas import register as nas
from billing.subscribers import register as subscribers
from billing.tokens.register import Role
from ratewire.access.credentials import Credentials
from ratewire.access.office import desk_of
from ratewire.archive import Archive
from ratewire.http.app import problems
from ratewire.http.freeradius import FreeRadius
from ratewire.pipeline.intake import Intake
from ratewire.pipeline.raters import Raters
from ratewire.roles.follow import NasFollower
from ratewire.wiring import System, now, now_ms
from tests.ratewire.http.conftest import Client
from tests.ratewire.http.test_app import bearer
from tests.ratewire.office import Office
from tests.ratewire.provider import Counting

MB = 1_000_000
NAS = "192.0.2.7"


@pytest.fixture
async def client(system: System, office: Office) -> AsyncIterator[Client]:
    """FreeRADIUS's, on a system with one NAS and one subscriber with a password."""
    await office.subscribe(5 * MB)
    async with (await system.pool()).acquire() as conn:
        await nas.add(conn, system.keyring, "pop1", source=NAS, secret=b"s", now=now())
        await nas.add(
            conn, system.keyring, "mx", source="192.0.2.8", secret=b"s", vendor="juniper-mx",
            now=now(),
        )  # fmt: skip
        await subscribers.change_login(
            conn, system.keyring, "bob", password=b"open sesame", now=now()
        )
    relay = await system.relay()
    await relay.publish()
    await relay.drain()
    follower = NasFollower(system, lambda _: None)
    await follower.refresh()
    credentials = Credentials(system.keyring, threads=1)
    counting = Counting()
    raters = Raters(system.store, system.terms, clock_ms=now_ms, wraps_32=follower.wraps_32)
    intake = Intake(system.store, raters, Archive(system), counting, clock_ms=now_ms)
    app = web.Application(middlewares=[problems])
    FreeRadius(system, desk_of(system, credentials, counting), intake, follower).add_routes(app)
    async with TestClient(TestServer(app)) as opened:
        yield opened
    credentials.close()


async def asked(
    client: Client, system: System, section: str, **values: Any
) -> tuple[int, dict[str, Any]]:
    """Status and body of an answer; underscores stand for hyphens."""
    headers = await bearer(system, Role.ADMIN)
    values = {"NAS-IP-Address": NAS, "User-Name": "bob", **values}
    body = {name.replace("_", "-"): {"value": [value]} for name, value in values.items()}
    async with client.post(f"/radius/{section}", headers=headers, json=body) as response:
        return response.status, await response.json() if response.status != 204 else {}


async def test_nobody_asks_without_the_token_of_an_admin(client: Client, system: System) -> None:
    for headers in ({}, {"Authorization": "Bearer nonsense"}, await bearer(system)):
        async with client.post("/radius/authorize", headers=headers, json={}) as response:
            assert response.status == 401
            assert "role admin" in (await response.json())["detail"]


async def test_authorize_proves_a_password_or_hands_out_what_it_takes(
    client: Client, system: System
) -> None:
    status, body = await asked(client, system, "authorize", User_Password="open sesame")
    assert (status, body["control:Auth-Type"]["value"]) == (200, ["Accept"])
    status, body = await asked(client, system, "authorize", User_Password="wrong")
    assert (status, "wrong" in body["reply:Reply-Message"]) == (401, True)
    status, body = await asked(client, system, "authorize", EAP_Message="0x02010004")
    assert (status, body["control:Cleartext-Password"]["value"]) == (200, ["open sesame"])
    status, _ = await asked(client, system, "authorize", User_Name="eve", EAP_Message="0x02010004")
    assert status == 401


async def test_post_auth_reserves_and_accounting_charges(client: Client, system: System) -> None:
    status, body = await asked(client, system, "post-auth", Acct_Session_Id="s1")
    assert status == 200
    [mark] = body["reply:Class"]["value"]
    [audit] = await system.stream.inspect(["acme"])
    assert audit is not None
    assert audit.account.reserved > 0
    start = {"Acct_Status_Type": "Start", "Acct_Session_Id": "s1", "Class": mark}
    assert await asked(client, system, "accounting", **start) == (204, {})
    [(_, session)] = await system.logins.open_sessions("acme", 10)
    assert session.uid == bytes.fromhex(mark[2:])[4:]


async def test_records_of_services_inside_a_session_are_not_charged(
    client: Client, system: System
) -> None:
    """As over RADIUS: the session counts the same octets."""
    said = {
        "NAS_IP_Address": "192.0.2.8",
        "Acct_Status_Type": "Interim-Update",
        "Acct_Session_Time": 60,
        "Acct_Output_Octets": MB,
    }
    of_service = {**said, "Acct_Session_Id": "s1:1", "ERX_Service_Session": "gold"}
    assert await asked(client, system, "accounting", **of_service) == (204, {})
    assert await system.logins.open_sessions("acme", 10) == []
    assert await asked(client, system, "accounting", **said, Acct_Session_Id="s1") == (204, {})
    [(key, _)] = await system.logins.open_sessions("acme", 10)
    assert key.endswith("|s1")


@pytest.mark.parametrize(
    ("section", "values", "detail"),
    [
        ("accounting", {"Acct_Status_Type": "Start"}, "Acct-Session-Id"),
        ("accounting", {"NAS_IP_Address": "203.0.113.9"}, "no NAS is configured"),
        ("post-auth", {"User_Name": ""}, "User-Name"),
        ("authorize", {"NAS_IP_Address": ""}, "NAS-IP-Address"),
    ],
)
async def test_what_is_wrong_is_said(
    client: Client, system: System, section: str, values: dict[str, Any], detail: str
) -> None:
    status, body = await asked(client, system, section, **values)
    assert (status, detail in body["detail"]) == (400, True)


async def test_what_is_no_json_is_said(client: Client, system: System) -> None:
    headers = await bearer(system, Role.ADMIN)
    async with client.post("/radius/accounting", headers=headers, data=b"[") as response:
        assert response.status == 400
