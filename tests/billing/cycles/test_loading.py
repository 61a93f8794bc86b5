"""What bills are made from is read for many accounts at once, and of the one who asks alone."""

import asyncio

from billing.cycles.loading import hold_due, load_accounts
from billing.database import Connection, Pool
from tests.billing.cycles.conftest import BEGIN, Subscribe


async def test_accounts_that_are_taken_are_passed_over_by_others(
    world: Connection, pool: Pool, subscribe: Subscribe
) -> None:
    for name in ("a", "b", "c", "d"):
        await subscribe(name)
    async with pool.acquire() as one, pool.acquire() as other:
        async with one.transaction(), other.transaction():
            first = await hold_due(one, BEGIN, "", 2)
            rest = await asyncio.wait_for(hold_due(other, BEGIN, "", 4), 5)
            assert [each.account for each in first] == ["a", "b"]
            assert [each.account for each in rest] == ["c", "d"]
        async with other.transaction():
            assert [each.account for each in await hold_due(other, BEGIN, "b", 9)] == ["c", "d"]


async def test_the_statements_do_not_grow_with_the_accounts(
    world: Connection, subscribe: Subscribe
) -> None:
    for number in range(20):
        await subscribe(f"a{number:02}", "small" if number % 2 else "large")
    statements: list[str] = []

    def note(record: object) -> None:
        statements.append(str(record))

    async with world.transaction():
        taken = await hold_due(world, BEGIN, "", 20)
        world.add_query_logger(note)
        loaded = await load_accounts(world, taken, {})
        world.remove_query_logger(note)
    assert len(statements) < 10
    assert [each.account.account for each in loaded] == [f"a{number:02}" for number in range(20)]
    offers = [each.account.services[0].terms[0].offer.name for each in loaded]
    assert offers == ["large", "small"] * 10
