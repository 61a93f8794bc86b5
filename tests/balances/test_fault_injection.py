"""Whatever command fails inside a function, nothing half done is left behind.

A failed function of the store keeps what it wrote before, so the library takes it back by itself.
Here every command of every function fails once, in a library whose calls go through a counter.
"""

import pytest

from balances import functions
from balances.errors import StoreRefused
from balances.messages import Status
from tests.balances.keyspace import keyspace
from tests.balances.scenarios import SCENARIOS, a_persons_job, nothing, prepared
from tests.balances.world import LEASE_MS, NAS, QUIET_S, SIBLING, World

#: The n-th command after `arm(n)` fails; `arm` returns how many there were since the last time.
COUNTED_CALLS = """
local left, made = 0, 0
local function counted_call(command, ...)
  made = made + 1
  left = left - 1
  if left == 0 then error({ err = 'INJECTED into ' .. command }) end
  return redis.call(command, ...)
end
redis.register_function('ratewire_1_arm', function(keys, args)
  local before = made
  left, made = tonumber(args[1]), 0
  return before
end)
"""


def faulty_library() -> str:
    shebang, _, rest = functions.source().partition("\n")
    return f"{shebang}\n{COUNTED_CALLS}{rest.replace('redis.call(', 'counted_call(')}"


async def arm(world: World, number: int) -> int:
    return await world.server.call("arm", number)


#: Where one step or one job may fail and the others go on: tests below.
PARTLY = (
    *("claim", "cancel a job", "go on under a person's job", "all kinds at once"),
    *("begin with a grant", "leave the garden", "leave the garden for a while"),
    *("move the deadline", "move a begun job"),
)


@pytest.mark.parametrize("name", SCENARIOS)
async def test_a_command_that_fails_leaves_everything_as_it_was(
    server_world: World, name: str
) -> None:
    world = server_world
    prepare, call = SCENARIOS[name]
    connection = world.server
    await connection.load(faulty_library())
    await prepared(world, prepare)
    before = await keyspace(connection)
    await arm(world, 0)
    await call(world)
    complete = await keyspace(connection)
    assert complete != before
    calls = await arm(world, 0)
    failed = 0
    await prepared(world, prepare)
    for number in range(1, calls + 1):
        assert await keyspace(connection) == before
        await arm(world, number)
        try:
            await call(world)
            message = ""
        except StoreRefused as refused:
            message = str(refused)
            assert message.startswith("INJECTED into ")
            failed += 1
        await arm(world, 0)
        if not message:
            # The fault met a read before the function, or one that concerns a part only.
            assert name in PARTLY or await keyspace(connection) == complete
            await prepared(world, prepare)
    assert failed > 2


async def test_a_fault_while_one_step_is_checked_fails_that_step_alone(
    server_world: World,
) -> None:
    world = server_world
    await a_persons_job(world)
    steps = [await world.step(), await world.step(SIBLING, want=5)]
    await world.server.load(faulty_library())
    found: list[list[Status]] = []
    for number in range(1, 30):
        await arm(world, number)
        try:
            found.append(await world.statuses(*steps))
        except StoreRefused:
            continue
        break
    await arm(world, 0)
    assert found == [[Status.FAULTY, Status.COMMITTED]]
    assert (await world.session(SIBLING)).held == 5


async def test_a_fault_while_one_job_is_checked_puts_off_that_job_alone(
    server_world: World,
) -> None:
    world = server_world
    await world.server.load(faulty_library())

    async def two_jobs(world: World) -> None:
        await world.fund(0)
        await world.cut("n|1")
        await world.cut("n|2")

    put_off = 0
    for number in range(1, 30):
        await prepared(world, two_jobs)
        await arm(world, number)
        try:
            claim = await world.jobs.claim_jobs(10, LEASE_MS)
        except StoreRefused:
            continue
        finally:
            await arm(world, 0)
        claimed = [job.session for job in claim.jobs]
        if claimed == ["n|1", "n|2"]:
            break
        put_off += 1
        assert claimed in (["n|1"], ["n|2"])
        assert claim.next_ms == world.now_ms + LEASE_MS
        world.pass_ms(LEASE_MS)
        assert len((await world.jobs.claim_jobs(10, LEASE_MS)).jobs) == 2
    assert put_off == 6  # three reads for each of both


# Functions that need not take anything back


async def a_sweep_of_all_kinds(world: World) -> list[str]:
    """Silent, to be granted anew, reported since, closed with its entry left, not understood."""
    await world.fund(1000)
    await world.fund(0, "poor")
    await world.book("n|silent1", want=5)
    await world.book("n|silent2", quiet=QUIET_S - 60)
    await world.book("n|lively")
    await world.book("n|odd")
    await world.book("n|closed")
    await world.book("n|closed", open=False)
    command, prefix = world.server.command, world.server.prefix
    await command("ZADD", f"{prefix}:wake", 5, "n|closed")
    await command("SET", f"{prefix}:s:n|odd", "odd")
    world.pass_ms(QUIET_S * 1000 - 1000)
    await world.book("n|lively")
    await world.cut("n|poor", account="poor")
    await world.top_up(5, "poor")
    world.pass_ms(1000)
    return ["n|poor", "n|silent1", "n|silent2"]


async def test_a_sweep_that_fails_loses_nothing(server_world: World) -> None:
    """At worst a session comes up a lease later."""
    world = server_world
    connection = world.server
    await connection.load(faulty_library())
    expected = await a_sweep_of_all_kinds(world)
    await arm(world, 0)
    assert await world.due_sessions() == expected
    calls = await arm(world, 0)
    assert calls > 15
    for number in range(1, calls + 1):
        await prepared(world, a_sweep_of_all_kinds)
        totals = (await world.keeping.books()).totals
        await arm(world, number)
        with pytest.raises(StoreRefused, match="INJECTED"):
            await world.due()
        await arm(world, 0)
        world.pass_ms(LEASE_MS)
        assert await world.due_sessions() == expected
        assert (await world.keeping.books()).totals == totals
        world.pass_ms(QUIET_S * 1000)
        assert await world.due_sessions() == sorted([*expected, "n|lively"])


async def test_a_boot_that_fails_can_be_repeated(server_world: World) -> None:
    """The sweep may be asked for before there is a mark; without one nobody sweeps."""
    world = server_world
    connection = world.server
    await connection.load(faulty_library())
    for first in (True, False):
        for number in range(1, 5):
            await prepared(world, nothing)
            if not first:
                await world.hot.mark_boot(NAS, 1_000)
                await world.sweeps.swept(NAS, 1_000)
            await arm(world, number)
            with pytest.raises(StoreRefused, match="INJECTED"):
                await world.hot.mark_boot(NAS, 2_000)
            await arm(world, 0)
            assert await world.sweeps.pending_sweeps() in ({}, {NAS: 1_000})
            assert await world.hot.mark_boot(NAS, 2_000)
            assert await world.sweeps.pending_sweeps() == {NAS: 2_000}
