"""Housekeeping in a server, beside what the contract says."""

from msgspec.structs import replace

from balances.housekeeping import StreamAndBooks
from balances.messages import Lookup, Status, Totals
from tests.balances.world import BEGINNING, World, uid_of


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


async def test_one_call_wakes_a_part_of_a_large_account(server_world: World) -> None:
    """Whatever the number of its sessions, and also where most of them are not meant."""
    world = server_world
    await world.fund(10**6)
    keys = [f"n|{number}" for number in range(900)]
    step = await world.step("n|0", want=1)
    steps = [replace(step, session=key, uid=uid_of(key)) for key in keys]
    assert set(await world.statuses(*steps)) == {Status.COMMITTED}
    await world.limit(5)
    assert len((await world.due(limit=10)).sessions) == 10
    found = (await world.hot.read([Lookup(key, "n") for key in keys])).found
    assert 10 <= sum(one.session.regrant for one in found if one.session) < 100
    while (due := await world.due()).sessions:
        assert due.next_ms is not None
    await world.cut("n|899")
    await world.top_up(5)  # means that one alone
    calls = 1
    while not (due := await world.due(limit=10)).sessions:
        assert due.next_ms == due.now_ms
        calls += 1
    assert [one.session for one in due.sessions] == ["n|899"]
    assert calls < 10


async def test_a_job_found_before_its_deadline_is_put_back_to_it(server_world: World) -> None:
    """However it came to be in the queue too early."""
    await server_world.fund(0)
    uid = await server_world.cut(after_ms=5000)
    await server_world.server.command("ZADD", f"{server_world.server.prefix}:jobs", 1, uid)
    claim = await server_world.jobs.claim_jobs(10, 1000)
    assert (claim.jobs, claim.next_ms) == ([], server_world.now_ms + 5000)
