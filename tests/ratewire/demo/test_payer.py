"""Customers who pay again."""

import asyncio
from random import Random

import msgspec
import pytest

from billing.accounts import money
from radius.records import AcctStatus
from ratewire.demo import payer
from ratewire.demo.payer import Payer
from ratewire.demo.stock import POOR_MICROS, TOPUPS, customers
from ratewire.wiring import System, Urls, now
from tests.ratewire.demo.conftest import Office
from tests.ratewire.roles.running import eventually

EVERYBODY = customers()


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody pays every few milliseconds."""
    monkeypatch.setattr(payer, "EVERY_S", 0.005)


async def running(made: Payer, seconds: float) -> None:
    """Let customers pay for a while."""
    stop = asyncio.Event()
    task = asyncio.create_task(made.run(stop))
    await asyncio.sleep(seconds)
    stop.set()
    async with asyncio.timeout(5):
        await task


async def test_who_is_poor_and_offline_pays_until_it_is_enough(office: Office) -> None:
    """Also who owes something; but nobody while a session goes on."""
    system = office.system
    names = ["demo-02", "demo-03", "demo-04"]
    online, owing, rich = names
    async with (await system.pool()).acquire() as conn:
        for name, micros in ((owing, -100_001), (rich, 10_000_000)):
            await money.adjust(
                conn, name, micros, reason="test", beyond_limits=True, actor="test", now=now()
            )
    await (await system.relay()).drain(names)
    user = next(each.users[0] for each in EVERYBODY if each.account == online)
    await office.report(AcctStatus.START, user)
    before = await office.balances(*names)
    assert before[0] < POOR_MICROS
    assert before[1] == -10_001

    made = Payer(system, [each for each in EVERYBODY if each.account in names], Random(1))
    stop = asyncio.Event()
    task = asyncio.create_task(made.run(stop))

    async def enough() -> bool:
        return (await office.balances(owing))[0] >= POOR_MICROS

    await eventually(enough)
    await asyncio.sleep(0.1)
    stop.set()
    await task
    after = await office.balances(*names)
    assert (after[0], after[2]) == (before[0], before[2])
    assert made.payments == len(made.paid) >= 1
    assert {each.account for each in made.paid} == {owing}
    assert sum(each.micros for each in made.paid) == after[1] - before[1]
    # The first pays the debt in whole cents, too.
    assert made.paid[0].micros - 20_000 in TOPUPS


async def test_payments_are_all_counted_but_only_the_last_kept(office: Office) -> None:
    made = Payer(office.system, EVERYBODY, Random(1))
    made.paid.extend(payer.Paid(0, "demo-01", 1) for _ in range(1000))
    await running(made, 0.3)
    assert made.payments > 0
    assert len(made.paid) < 1000


@pytest.mark.parametrize("away", ["store", "database"])
async def test_a_server_that_is_away_is_waited_for(office: Office, away: str) -> None:
    nowhere = {"store": "redis://127.0.0.1:1", "database": "postgresql://127.0.0.1:1/nobody"}
    urls = msgspec.structs.replace(office.system.urls, **{away: nowhere[away]})
    assert isinstance(urls, Urls)
    system = System(office.system.settings, urls)
    made = Payer(system, EVERYBODY, Random(1))
    await running(made, 0.2)
    await system.close()
    assert made.payments == 0
