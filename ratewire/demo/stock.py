"""What the demo sells, to whom, and who may speak: made at its first run, found again later."""

import secrets
from importlib import resources
from random import Random

import msgspec

from billing.accounts import money
from billing.catalogue import plans as catalogue
from billing.catalogue.planfile import read_plans
from billing.nas import register as nas_register
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
TOPUPS = (40_000, 60_000, 90_000, 150_000, 300_000, 600_000)

#: Below this an account is topped up when the demo starts, so that there is something to see.
POOR_MICROS = 40_000

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


async def stock(system: System, random: Random) -> bytes:
    """Make what is missing, let poor accounts pay, and return the fleet's shared secret."""
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
            await import_csv(conn, system.keyring, _rows(everybody, random), actor=ACTOR, now=now())
        published = await nas_register.published(conn)
    relay = await system.relay()
    await relay.publish()
    await relay.drain()
    await _top_up_the_poor(system, everybody, random)
    return directory_of(0, published, system.keyring, builtin_profiles()).clients[NAS_CLIENT].secret


def debt_in_cents(balance: int) -> int:
    """Return what a balance is below zero, in micros, rounded up to whole cents; 0 if it is not."""
    return -(min(balance, 0) // _CENT) * _CENT


def _rows(everybody: list[Customer], random: Random) -> list[str]:
    rows = ["username,account,plan,currency,topup"]
    for customer in everybody:
        for user in customer.users:
            topup = format_micros(random.choice(TOPUPS), CURRENCY)
            rows.append(f"{user},{customer.account},{customer.plan},{CURRENCY},{topup}")
    return rows


async def _top_up_the_poor(system: System, everybody: list[Customer], random: Random) -> None:
    """Whoever was left without credit by an earlier run begins with some."""
    names = [customer.account for customer in everybody]
    async with (await system.pool()).acquire() as conn:
        for name, audit in zip(names, await system.stream.inspect(names), strict=True):
            balance = 0 if audit is None else audit.account.balance
            if balance < POOR_MICROS:
                amount = random.choice(TOPUPS) + debt_in_cents(balance)
                await money.top_up(conn, name, amount, actor=ACTOR, now=now())
    await (await system.relay()).drain(names)
