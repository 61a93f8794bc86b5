"""What the demo sells, to whom, and who may speak: made at its first run, found again later."""

import secrets
from importlib import resources

import msgspec

from billing.catalogue import plans as catalogue
from billing.catalogue.planfile import read_plans
from billing.nas import register as nas_register
from billing.payments.payment import Method
from billing.payments.register import NewPayment, receive
from billing.subscribers import register as subscribers
from billing.subscribers.bulk_import import import_csv
from radius.profiles import builtin_profiles
from ratewire.nas import directory_of
from ratewire.wiring import System, now
from rating.money import format_micros

NAS_CLIENT = "demo-fleet"
NAS_SOURCE = "127.96.0.0/11"
COA_PORT = 3799
ACTOR = "demo"
CURRENCY = "EUR"

#: What a prepaid customer of the demo pays in at a time: enough for some seconds to some minutes.
TOPUPS = (20_000, 60_000, 90_000, 150_000, 300_000, 600_000)

#: Who has less than this pays again: it may not be enough to begin a session.
POOR_MICROS = 100_000

_CENT = 10_000
_ACCOUNTS = 40
_PLANS = ("metered", "metered", "metered", "download", "time-and-volume", "hourly")
#: Every fifth account is a household with two lines: two sessions race for one balance.
_HOUSEHOLD = 5


class Customer(msgspec.Struct, frozen=True):
    """One account of the demo, its plan and its user names."""

    account: str
    plan: str
    users: tuple[str, ...]


def customers() -> list[Customer]:
    """Return the customers of the demo: always the same."""
    made: list[Customer] = []
    for number in range(_ACCOUNTS):
        name = f"demo-{number + 1:02d}"
        lines = ("a", "b") if number % _HOUSEHOLD == 0 else ("",)
        users = tuple(f"{name}{line}@ratewire.example" for line in lines)
        made.append(Customer(name, _PLANS[number % len(_PLANS)], users))
    return made


async def stock(system: System) -> bytes:
    """Make what is missing, let poor accounts pay, and return the fleet's shared secret.

    Some have very little in any case, so that there is something to see soon.
    """
    everybody = customers()
    async with (await system.pool()).acquire() as conn:
        if not await catalogue.list_(conn):
            with resources.as_file(resources.files("config") / "samples" / "plans.toml") as file:
                await catalogue.load_plans(conn, read_plans(file), now())
        if NAS_CLIENT not in {entry.name for entry in await nas_register.list_(conn)}:
            await nas_register.add(
                conn,
                system.keyring,
                NAS_CLIENT,
                source=NAS_SOURCE,
                secret=secrets.token_urlsafe(24).encode(),
                coa_port=COA_PORT,
                now=now(),
            )
        if not await subscribers.list_of(conn, everybody[0].account):
            await import_csv(conn, system.keyring, _rows(everybody), actor=ACTOR, now=now())
        published = await nas_register.published(conn)
    relay = await system.relay()
    await relay.publish()
    await relay.drain()
    await _top_up_the_poor(system, everybody)
    return directory_of(0, published, system.keyring, builtin_profiles()).clients[NAS_CLIENT].secret


def debt_in_cents(balance: int) -> int:
    """Return what a balance is below zero, in micros, rounded up to whole cents; 0 if it is not."""
    return -(min(balance, 0) // _CENT) * _CENT


def top_up(account: str, micros: int) -> NewPayment:
    """Return the payment by which a customer of the demo pays in."""
    return NewPayment(account, micros, Method.CARD, description="Top-up")


def _rows(everybody: list[Customer]) -> list[str]:
    rows = ["username,account,plan,currency,topup"]
    for number, customer in enumerate(everybody):
        for user in customer.users:
            topup = format_micros(TOPUPS[number % len(TOPUPS)], CURRENCY)
            rows.append(f"{user},{customer.account},{customer.plan},{CURRENCY},{topup}")
    return rows


async def _top_up_the_poor(system: System, everybody: list[Customer]) -> None:
    """Whoever was left with next to nothing by an earlier run begins with some."""
    names = [customer.account for customer in everybody]
    audits = zip(names, await system.stream.inspect(names), strict=True)
    balances = [(name, audit.account.balance if audit else 0) for name, audit in audits]
    poor = [(name, balance) for name, balance in balances if balance < TOPUPS[0]]
    async with (await system.pool()).acquire() as conn:
        for number, (name, balance) in enumerate(poor):
            amount = TOPUPS[number % len(TOPUPS)] + debt_in_cents(balance)
            await receive(conn, top_up(name, amount), actor=ACTOR, now=now())
    await (await system.relay()).drain(names)
