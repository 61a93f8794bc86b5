"""A store that is full, not permitted to do something, or written to by somebody else."""

from collections.abc import Awaitable, Callable

import pytest

from balances.errors import StoreError, StoreFull, StoreRefused
from balances.messages import LoginStatus, Status
from tests.balances.keyspace import keyspace
from tests.balances.scenarios import SCENARIOS, UID, commit, prepared, siblings
from tests.balances.world import LEASE_MS, QUIET_S, SESSION, SIBLING, World, uid_of

# Commands that an operator took away, and memory that is full


@pytest.mark.parametrize(
    "command",
    ["mset", "sadd", "srem", "pexpire", "hincrby", "xadd"],
)
@pytest.mark.parametrize(
    "name", ["open", "close", "cut", "prove a job", "restart an epoch", "movements", "claim"]
)
async def test_a_command_that_is_not_permitted_leaves_everything_as_it_was(
    server_world: World, name: str, command: str
) -> None:
    """As long as it is not one by which others are undone, as ZADD, HSET, SET and DEL are."""
    world = server_world
    prepare, call = SCENARIOS[name]
    await prepare(world)
    connection = world.server
    before = await keyspace(connection)
    await connection.command("ACL", "SETUSER", "default", f"-{command}")
    try:
        await call(world)
        refused = False
    except StoreRefused:
        refused = True
    finally:
        await connection.command("ACL", "SETUSER", "default", "+@all")
    assert (await keyspace(connection) == before) is refused


async def test_a_notice_that_cannot_be_given_leaves_the_rest_done(server_world: World) -> None:
    """Who waits for it looks by himself, later."""
    world = server_world
    await world.fund(100)
    await world.book(want=100)
    connection = world.server
    await connection.command("ACL", "SETUSER", "default", "-publish")
    try:
        await world.cut(SIBLING)
        await world.top_up(-5)
        assert await world.jobs.request_disconnect(SESSION) == UID
    finally:
        await connection.command("ACL", "SETUSER", "default", "+@all")
    assert (await world.account()).balance == 95
    assert (await world.keeping.books()).live_jobs == 2


async def test_a_full_store_says_that_it_is_full_and_can_still_be_read(
    server_world: World,
) -> None:
    world = server_world
    await siblings(world)
    connection = world.server
    before = await keyspace(connection)
    step = await world.step(charge=5)
    await connection.command("CONFIG", "SET", "maxmemory", "1")
    try:
        with pytest.raises(StoreFull):
            await world.commit(step)
        with pytest.raises(StoreFull):
            await world.top_up(5)
        assert (await world.account()).balance == 1000
        assert (await world.session()).held == 400
        # Settlement makes room.
        await world.stream.trim((await world.keeping.books()).position)
    finally:
        await connection.command("CONFIG", "SET", "maxmemory", "0")
    assert await keyspace(connection) == before
    assert await world.statuses(step) == [Status.COMMITTED]


async def test_a_full_store_still_cuts_sessions(server_world: World) -> None:
    world = server_world
    await world.fund(100)
    await world.cut(want=100, after_ms=0)
    await world.server.command("CONFIG", "SET", "maxmemory", "1")
    try:
        [job] = (await world.jobs.claim_jobs(10, 1000)).jobs
        assert await world.jobs.may_transmit(job.uid, 1000)
        assert await world.jobs.report_job(job.uid, "acknowledged", "ack", 0, 1000)
        assert await world.jobs.request_disconnect(job.session) == job.uid
        await world.sweeps.due(10, 1000)
    finally:
        await world.server.command("CONFIG", "SET", "maxmemory", "0")


# Keys of another type, values of another layout


async def a_bit_of_everything(world: World) -> None:
    await world.fund(1000)
    await world.fund(0, "bob")
    await world.subscribe("bob", "bob")
    await world.book("n|1", want=5, entries=(b"x",))
    await world.cut("n|2", account="bob")
    await world.limit(5)
    await world.hot.mark_boot("n", 1_700_000_000)


CALLS: dict[str, Callable[[World], Awaitable[object]]] = {
    "commit": commit("n|1", charge=1, want=9, entries=(b"y",)),
    "close": commit("n|2", account="bob", open=False, entries=(b"y",)),
    "apply": lambda world: world.top_up(1),
    "claim": lambda world: world.jobs.claim_jobs(10, 1000),
    "request": lambda world: world.jobs.request_disconnect("n|1"),
    "boot": lambda world: world.hot.mark_boot("n", 1_700_005_000),
}


@pytest.mark.parametrize("kind", ["string", "hash"])
@pytest.mark.parametrize("name", CALLS)
async def test_a_key_of_another_type_leaves_nothing_half_done(
    server_world: World, name: str, kind: str
) -> None:
    """Whichever key somebody wrote over: a call does all of its work, or fails and does nothing."""
    world = server_world
    connection = world.server
    await a_bit_of_everything(world)
    keys = sorted(await connection.command("KEYS", "*"))
    assert len(keys) > 14
    refused = 0
    for key in keys:
        await prepared(world, a_bit_of_everything)
        put = ("SET", key, "odd") if kind == "string" else ("HSET", key, "odd", "odd")
        await connection.command("DEL", key)
        await connection.command(*put)
        before = await keyspace(connection)
        try:
            await CALLS[name](world)
        except StoreError:
            refused += 1
            assert await keyspace(connection) == before, key
    assert refused > 0


@pytest.mark.parametrize("value", [b"", b"odd", b"\x02" + b"\0" * 60, b"\x01" + b"\xff" * 70])
async def test_a_value_that_is_not_understood_makes_one_step_faulty(
    server_world: World, value: bytes
) -> None:
    world = server_world
    await world.fund(1000)
    await world.fund(1000, "bob")
    await world.subscribe("bob", "bob")
    await world.book("n|1", want=5)
    command, prefix = world.server.command, world.server.prefix
    steps = [
        await world.step("n|1", charge=1, want=6),
        await world.step("n|2", charge=2, want=7),
        await world.step("n|3", "bob", charge=3),
    ]
    await command("SET", f"{prefix}:s:n|1", value)
    await command("SET", f"{prefix}:a:bob", value)
    assert (await world.find("n|1")).session is None
    found = await world.find("n|4", "bob")
    assert found.subscriber is not None
    assert found.subscriber_account is None
    assert await world.statuses(*steps) == [Status.FAULTY, Status.COMMITTED, Status.FAULTY]
    # Who takes it for a new one is told the same.
    anew = await world.step("n|1", charge=1)
    assert await world.statuses(anew) == [Status.FAULTY]
    assert (await world.account()).balance == 998


async def test_a_value_that_is_not_understood_holds_up_no_queue(server_world: World) -> None:
    world = server_world
    await world.fund(0)
    for number in range(4):
        await world.cut(f"n|{number}")
    command, prefix = world.server.command, world.server.prefix
    await command("SET", f"{prefix}:s:n|0", "odd")
    await command("DEL", f"{prefix}:s:n|1")
    await command("SADD", f"{prefix}:s:n|1", "odd")
    await command("SET", f"{prefix}:u:odd", "odd")
    await command("DEL", f"{prefix}:j:{uid_of('n|2').hex()}")
    await command("SET", f"{prefix}:j:{uid_of('n|2').hex()}", "odd")
    await command("ZADD", f"{prefix}:jobs", 1, "0" * 32)
    claim = await world.jobs.claim_jobs(10, LEASE_MS)
    assert [job.session for job in claim.jobs] == ["n|3"]
    assert await command("ZSCORE", f"{prefix}:jobs", "0" * 32) is None
    assert claim.next_ms == world.now_ms + LEASE_MS
    await world.status(suspended=True)
    assert await world.due_sessions() == ["n|2", "n|3"]
    world.pass_ms(QUIET_S * 1000)
    assert await world.due_sessions() == ["n|2", "n|3"]
    assert (await world.find("n|9", "odd")).subscriber is None


async def test_a_value_that_is_not_understood_keeps_no_grant_from_expiring(
    server_world: World,
) -> None:
    world = server_world
    command, prefix = world.server.command, world.server.prefix
    for account in ("ann", "ben", "cyd"):
        await world.fund(100, account)
        outcome = await world.ask(f"n|{account}", account, username=account, want=50)
        assert outcome.status is LoginStatus.GRANTED
    await command("SET", f"{prefix}:a:ann", "odd")
    await command("SET", f"{prefix}:g:{uid_of('n|ben', 9).hex()}", "odd")
    world.pass_ms(86_400_000)
    await world.logins.expire_grants(10)
    assert (await world.account("cyd")).reserved == 0
    assert (await world.account("ben")).reserved == 50, "who holds it is not known"
    assert await world.logins.expire_grants(10) == (0, world.now_ms + 60_000), "looked at later"
