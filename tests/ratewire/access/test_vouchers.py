"""A voucher's code logs in: it is redeemed once, and nothing else becomes a subscriber."""

import pytest

from billing.accounts import register as accounts
from billing.subscribers import register as subscribers
from billing.vouchers import batches
from radius.access import Login
from ratewire.access.vouchers import Vouchers
from ratewire.wiring import System, now
from tests.ratewire.access.logins import login
from tests.ratewire.office import Office

EURO = 1_000_000


async def a_code(system: System) -> str:
    async with (await system.pool()).acquire() as conn:
        made = await batches.create(
            conn, currency="EUR", amount_micros=5 * EURO, vouchers=1, actor="test", now=now()
        )
    return made.codes[0]


async def test_a_code_becomes_an_account_with_its_amount(system: System, office: Office) -> None:
    code = await a_code(system)
    vouchers = Vouchers(system, "metered")
    assert await vouchers.open(login(code, code.lower().encode()))
    async with (await system.pool()).acquire() as conn:
        subscriber = await subscribers.get(conn, code)
        account = await accounts.get(conn, subscriber.account)
    assert (subscriber.plan, subscriber.has_password) == ("metered", True)
    assert (account.currency, account.balance_micros) == ("EUR", 5 * EURO)
    [audit] = await system.stream.inspect([subscriber.account])
    assert audit is not None
    assert audit.account.balance == 5 * EURO
    assert not await vouchers.open(login(code, code.encode())), "it is redeemed"
    spelled = code.lower()
    assert not await vouchers.open(login(spelled, spelled.encode()))


@pytest.mark.parametrize(
    "asked",
    [
        login("bob", b"bob"),
        login("2222-2222-2222-2222", b"2222-2222-2222-2222"),
        login("2222-2222-2222-2223", b"other"),
        login("2222-2222-2222-2222", b"2222-2222-2222-2222", "chap"),
        login("2222-2222-2222-2222", None),
    ],
)
async def test_what_is_no_voucher_becomes_nothing(
    system: System, office: Office, asked: Login
) -> None:
    assert not await Vouchers(system, "metered").open(asked)
    async with (await system.pool()).acquire() as conn:
        assert await conn.fetchval("SELECT count(*) FROM subscribers") == 0


async def test_a_plan_that_is_not_there_redeems_nothing(system: System, office: Office) -> None:
    code = await a_code(system)
    assert not await Vouchers(system, "no-such-plan").open(login(code, code.encode()))
    assert await Vouchers(system, "metered").open(login(code, code.encode()))
