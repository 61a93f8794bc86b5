"""Whatever command fails inside a function, nothing half done is left behind.

A failed function of the store keeps what it wrote before, so the library takes it back by itself.
Here every command of every function fails once, in a library whose calls go through a counter.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from balances import functions
from balances.connection import Connection
from balances.errors import StoreError, StoreFull, StoreRefused
from balances.messages import (
    Account,
    DropSubscriber,
    OpenAccount,
    Post,
    PutSubscriber,
    SetLimits,
    SetStatus,
    Status,
)
from tests.balances.keyspace import keyspace
from tests.balances.world import (
    ALICE,
    LEASE_MS,
    NAS,
    QUIET_S,
    SESSION,
    SIBLING,
    World,
    uid_of,
)

UID = uid_of(SESSION).hex()

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


def connection_of(world: World) -> Connection:
    assert world.connection is not None
    return world.connection


async def arm(world: World, number: int) -> int:
    return await connection_of(world).call("arm", number)


# What is there before, and what is called. Each brings a function to one of its branches.


async def nothing(world: World) -> None:
    await world.fund(1000)


async def an_open_session(world: World) -> None:
    await world.fund(1000)
    await world.book(want=400)


async def a_closed_session(world: World) -> None:
    await an_open_session(world)
    await world.book(open=False)


async def a_session_to_be_cut(world: World) -> None:
    await world.fund(0)
    await world.cut(after_ms=500)
    world.pass_ms(500)


async def a_begun_job(world: World) -> None:
    await a_session_to_be_cut(world)
    await world.jobs.claim_jobs(10, LEASE_MS)
    assert await world.jobs.may_transmit(UID, LEASE_MS)


async def a_begun_job_and_credit(world: World) -> None:
    await a_begun_job(world)
    await world.top_up(20)


async def a_persons_job(world: World) -> None:
    await an_open_session(world)
    await world.jobs.request_disconnect(SESSION)


async def siblings(world: World) -> None:
    await world.fund(1000)
    await world.book(SESSION, want=400)
    await world.book(SIBLING, want=600)


async def totals_about_to_carry(world: World) -> None:
    await an_open_session(world)
    meta = "rw:{0}:meta"
    await connection_of(world).command("HSET", meta, "total:EUR:reserved", str(2**62 - 401))
    await connection_of(world).command("HSET", meta, "total:EUR:balance", str(1 - 2**62))


async def many_jobs(world: World) -> None:
    """One of each verdict: to send, later, with credit, ended, without a hash, not understood."""
    for account in ("poor", "rich", "gone"):
        await world.fund(0, account)
    await world.cut("n|hold", account="poor")
    await world.cut("n|later", account="poor")
    await world.cut("n|credit", account="rich")
    await world.cut("n|ended", account="gone")
    await world.cut("n|odd", account="gone")
    await world.top_up(50, "rich")
    command, prefix = connection_of(world).command, connection_of(world).prefix
    await command("DEL", f"{prefix}:s:n|ended")
    await command("SET", f"{prefix}:s:n|odd", "odd")
    await command("ZADD", f"{prefix}:jobs", 1, "0" * 32)
    later = uid_of("n|later").hex()
    await command("HSET", f"{prefix}:j:{later}", "due", world.now_ms + 5000)


async def plans(world: World) -> None:
    await world.movements.publish("plans", 1, {"a": b"1", "b": b"2"})


async def a_fence(world: World) -> None:
    await world.fund(1000)
    await world.keeping.fence("rebuilding")
    await world.restoration.restart(2)


def commit(session: str = SESSION, **changes: Any) -> Callable[[World], Awaitable[object]]:
    async def call(world: World) -> object:
        return await world.commit(await world.step(session, **changes), loose=(b"loose",))

    return call


async def commit_of_all_kinds(world: World) -> object:
    steps = [
        await world.step(SESSION, open=False, entries=(b"closed",)),
        await world.step(SIBLING, charge=900, cut_after_ms=0, entries=(b"used", b"more")),
        await world.step("n|new", entries=(b"opened",)),
        await world.step("n|faulty", want=-1, grant=-1),
        await world.step("n|closed", open=False),
    ]
    return await world.commit(*steps, loose=(b"loose",))


async def movements(world: World) -> object:
    moved = (await world.account()).moved
    return await world.movements.apply(
        [
            OpenAccount("new", 1, "USD", 50, 5),
            PutSubscriber("new", 2, "bob", "metered"),
            PutSubscriber("new", 3, "eve", "metered"),
            DropSubscriber("new", 4, "bob"),
            Post(ALICE, moved + 1, 70),
            SetLimits(ALICE, moved + 2, None, 0),
            SetStatus(ALICE, moved + 3, True, False),
            PutSubscriber(ALICE, moved + 4, "eve", "hourly"),
            Post("new", 9, 5),
        ]
    )


SCENARIOS: dict[str, tuple[Callable[[World], Awaitable[object]], ...]] = {
    "open": (nothing, commit(want=300, entries=(b"opened",))),
    "interim": (an_open_session, commit(charge=10, want=300, entries=(b"used",))),
    "close": (an_open_session, commit(open=False, entries=(b"closed",))),
    "open and close at once": (nothing, commit(open=False)),
    "late record": (a_closed_session, commit(open=False, charge=5)),
    "reopen": (a_closed_session, commit(want=5)),
    "cut": (an_open_session, commit(cut_after_ms=0)),
    "shorter silence": (an_open_session, commit(quiet=10)),
    "move the deadline": (a_session_to_be_cut, commit(cut_after_ms=9000)),
    "move a begun job": (a_begun_job_and_credit, commit(want=90, cut_after_ms=9000)),
    "cancel a job": (a_begun_job_and_credit, commit(want=10)),
    "prove a job": (a_begun_job, commit(open=False)),
    "restart an epoch": (a_begun_job, commit(uid=uid_of(SESSION, 1))),
    "restart an epoch without credit": (
        a_begun_job,
        commit(uid=uid_of(SESSION, 1), cut_after_ms=0),
    ),
    "go on under a person's job": (a_persons_job, commit(want=10)),
    "overspend": (siblings, commit(charge=900)),
    "totals that carry": (totals_about_to_carry, commit(charge=10, want=900)),
    "all kinds at once": (siblings, commit_of_all_kinds),
    "movements": (a_begun_job, movements),
    "claim": (many_jobs, lambda world: world.jobs.claim_jobs(10, LEASE_MS)),
    "transmit": (a_session_to_be_cut, lambda world: world.jobs.may_transmit(UID, 1000)),
    "transmit with credit": (
        a_begun_job_and_credit,
        lambda world: world.jobs.may_transmit(UID, 1000),
    ),
    "report": (a_begun_job, lambda world: world.jobs.report_job(UID, "refused", "x", 5, 900)),
    "request": (an_open_session, lambda world: world.jobs.request_disconnect(SESSION)),
    "request again": (a_begun_job, lambda world: world.jobs.request_disconnect(SESSION)),
    "publish": (plans, lambda world: world.movements.publish("plans", 2, {"b": b"3"})),
    "publish first": (nothing, lambda world: world.movements.publish("nas", 2, {"b": b"3"})),
    "restore accounts": (
        a_fence,
        lambda world: world.restoration.restore_accounts([account_to_restore()]),
    ),
}


#: Where one step or one job may fail and the others go on: tests below.
PARTLY = ("claim", "cancel a job", "go on under a person's job", "all kinds at once")


def account_to_restore() -> Account:
    return Account(ALICE, "EUR", -50, 0, 100, 20, 9, 30, 40)


async def prepared(world: World, prepare: Callable[[World], Awaitable[object]]) -> None:
    connection = connection_of(world)
    await connection.command("FLUSHALL")
    world.begin_again()
    await world.keeping.initialise(1)
    await prepare(world)


@pytest.mark.parametrize("name", SCENARIOS)
async def test_a_command_that_fails_leaves_everything_as_it_was(
    server_world: World, name: str
) -> None:
    world = server_world
    prepare, call = SCENARIOS[name]
    connection = connection_of(world)
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
    await connection_of(world).load(faulty_library())
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
    await connection_of(world).load(faulty_library())

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
    command, prefix = connection_of(world).command, connection_of(world).prefix
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
    connection = connection_of(world)
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
    connection = connection_of(world)
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
    connection = connection_of(world)
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
    connection = connection_of(world)
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
    connection = connection_of(world)
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
    connection = connection_of(world)
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
    command, prefix = connection_of(world).command, connection_of(world).prefix
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
    command, prefix = connection_of(world).command, connection_of(world).prefix
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
