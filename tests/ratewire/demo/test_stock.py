"""What the demo makes at its first run, and finds again."""

from hypothesis import given, settings
from hypothesis import strategies as st

from billing.accounts import money
from billing.nas import register as nas_register
from billing.subscribers import register as subscribers
from radius.profiles import builtin_profiles
from ratewire.demo.stock import (
    ACTOR,
    COA_PORT,
    NAS_CLIENT,
    NAS_SOURCE,
    TOPUPS,
    customers,
    debt_in_cents,
    stock,
)
from ratewire.nas import directory_of
from ratewire.wiring import System, now
from tests.ratewire.demo.conftest import Office

ACCOUNTS = [customer.account for customer in customers()]


async def published_secret(system: System) -> bytes:
    """The fleet's secret as the listeners have it."""
    revision, published = await system.store.published("nas")
    directory = directory_of(revision, published, system.keyring, builtin_profiles())
    return directory.clients[NAS_CLIENT].secret


async def test_the_first_time_it_makes_everything(office: Office) -> None:
    system = office.system
    async with (await system.pool()).acquire() as conn:
        [nas] = await nas_register.list_(conn)
        users = [
            each.username
            for account in ACCOUNTS
            for each in await subscribers.list_of(conn, account)
        ]
    assert (nas.name, nas.source, nas.coa_port) == (NAS_CLIENT, NAS_SOURCE, COA_PORT)
    assert users == sorted(user for customer in customers() for user in customer.users)
    assert len(users) == 48
    # Households pay for each line.
    balances = await office.balances(*ACCOUNTS)
    assert balances == [
        TOPUPS[number % len(TOPUPS)] * len(customer.users)
        for number, customer in enumerate(customers())
    ]


async def test_then_it_finds_it_again_and_only_the_poor_get_something(office: Office) -> None:
    system = office.system
    secret = await published_secret(system)
    before = await office.balances(*ACCOUNTS)
    async with (await system.pool()).acquire() as conn:
        for account, micros in (("demo-03", -90_000), ("demo-05", -1_234_567)):
            await money.adjust(
                conn, account, micros, actor="test", now=now(), reason="test", beyond_limits=True
            )
    await (await system.relay()).drain()

    assert await stock(system) == secret == await published_secret(system)
    after = await office.balances(*ACCOUNTS)
    changed = {
        account: (old, new)
        for account, old, new in zip(ACCOUNTS, before, after, strict=True)
        if old != new
    }
    assert changed == {
        "demo-03": (90_000, TOPUPS[0]),
        "demo-05": (300_000, -934_567 + 940_000 + TOPUPS[1]),
    }
    async with (await system.pool()).acquire() as conn:
        assert len(await nas_register.list_(conn)) == 1
        assert len(await subscribers.list_of(conn, ACCOUNTS[0])) == 2
    assert ACTOR == "demo"


def test_customers_are_always_the_same_and_no_two_share_a_name() -> None:
    assert customers() == customers()
    users = [user for customer in customers() for user in customer.users]
    assert len(set(users)) == len(users)
    assert len(set(ACCOUNTS)) == len(ACCOUNTS) == 40


@settings(deadline=None)
@given(st.integers(-(10**9), 10**9))
def test_a_debt_is_paid_in_whole_cents(balance: int) -> None:
    paid = debt_in_cents(balance)
    assert paid % 10_000 == 0
    assert balance + paid >= 0 or balance >= 0
    assert balance >= 0 or balance + paid < 10_000
    assert paid == 0 or balance < 0
