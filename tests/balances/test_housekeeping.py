"""Housekeeping in a server, beside what the contract says."""

from balances.housekeeping import StreamAndBooks
from balances.messages import Totals
from tests.balances.world import BEGINNING, World


async def test_waiting_longer_than_the_client_waits_for_an_answer(server_world: World) -> None:
    """The client gives up after two seconds: a long wait must not look like a dead store."""
    assert await server_world.stream.entries_after(BEGINNING, 10, 60_000) == []


async def test_totals_that_were_carried_are_read_as_one(server_world: World) -> None:
    connection = server_world.connection
    assert connection is not None
    await server_world.fund(7)
    meta = f"{connection.prefix}:meta"
    await connection.command("HSET", meta, "total:EUR:balance", -5, "total:EUR:balance:high", 3)
    books = await StreamAndBooks(connection).books()
    assert books.totals == {"EUR": Totals(3 * 2**62 - 5, 0, 0)}
