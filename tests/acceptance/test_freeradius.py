"""An existing FreeRADIUS with the shipped site decides as Ratewire does, and loses no record."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from billing.subscribers.login import PasswordKind
from tests.acceptance.access_client import by_radclient
from tests.acceptance.books import Books
from tests.acceptance.conftest import GENERIC, SECRET, World
from tests.acceptance.freeradius import freeradius, needs_freeradius
from tests.acceptance.installation import eventually, told
from tests.acceptance.radclient import RadclientNas, needs_radclient

pytestmark = [needs_freeradius, needs_radclient]

EURO = 1_000_000


@pytest.fixture(scope="module")
def ports(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int]]:
    """FreeRADIUS's ports for logins and accounting."""
    made = told(world.installation.command("token", "create", "--role", "admin", "--json"))
    directory: Path = tmp_path_factory.mktemp("freeradius")
    with freeradius(
        directory, url=world.installation.url(""), token=made["token"], secret=SECRET
    ) as found:
        yield found


@pytest.mark.parametrize(
    ("kind", "attribute", "accepted"),
    [
        (PasswordKind.CLEAR, "User-Password", True),
        (PasswordKind.CLEAR, "CHAP-Password", True),
        (PasswordKind.CLEAR, "MS-CHAP-Password", True),
        (PasswordKind.NT, "MS-CHAP-Password", True),
        (PasswordKind.ARGON2ID, "User-Password", True),
        (PasswordKind.ARGON2ID, "CHAP-Password", False),
    ],
)
def test_logins_reserve(
    world: World,
    books: Books,
    ports: tuple[int, int],
    user: str,
    kind: PasswordKind,
    attribute: str,
    accepted: bool,
) -> None:
    account = books.open_account(EURO, f"owner-{user}")
    books.add_subscriber(user, account, password=b"open sesame", kind=kind)
    address = world.address(GENERIC)
    lines = f'User-Name = "{user}"\n{attribute} = "%s"\nNAS-IP-Address = {address}\n'
    reply = by_radclient(address, ports[0], SECRET, lines % "open sesame")
    if accepted:
        assert "Received Access-Accept" in reply, reply
        assert "Class = 0x7277312e" in reply
        assert "Acct-Interim-Interval = 300" in reply
        assert books.balance(account).reserved == 40_000
    wrong = by_radclient(address, ports[0], SECRET, lines % "open simsim")
    assert "Received Access-Reject" in wrong, wrong


def test_without_credit_it_refuses_and_says_why(
    world: World, books: Books, ports: tuple[int, int], user: str
) -> None:
    account = books.open_account(1, f"owner-{user}")
    books.add_subscriber(user, account, password=b"open sesame")
    address = world.address(GENERIC)
    lines = f'User-Name = "{user}"\nUser-Password = "open sesame"\nNAS-IP-Address = {address}\n'
    reply = by_radclient(address, ports[0], SECRET, lines)
    assert "Received Access-Reject" in reply, reply
    assert 'Reply-Message = "There is no credit left."' in reply


def test_accounting_is_charged_to_the_octet(
    world: World, books: Books, ports: tuple[int, int], user: str
) -> None:
    account = books.open_account(100 * EURO, user)
    address = world.address(GENERIC)
    nas = RadclientNas(address, ports[1], SECRET)
    login = world.login(user)
    records = (login.start(), login.interim(300, 10, 2**32 + 20), login.stop(600, 1_000, 2**33))
    nas.send(*({**each, "NAS-IP-Address": address} for each in records))
    books.settle()
    [epoch] = eventually(lambda: books.epochs(account))
    assert (epoch.octets_in, epoch.octets_out) == (1_000, 2**33)


def test_what_cannot_be_booked_is_not_answered(
    world: World, ports: tuple[int, int], user: str
) -> None:
    """A NAS that is not configured: FreeRADIUS must not acknowledge for us."""
    nas = RadclientNas(world.address(GENERIC), ports[1], SECRET)
    record = {**world.login(user).start(), "NAS-IP-Address": "203.0.113.9"}
    assert not nas.is_answered(record)
