"""Calls that bring every function of the library to each of its branches."""

from collections.abc import Awaitable, Callable
from typing import Any

from balances.jobs import Action, Change
from balances.messages import (
    Account,
    DropSubscriber,
    OpenAccount,
    Post,
    PutSubscriber,
    SetLimits,
    SetStatus,
)
from tests.balances.world import ALICE, LEASE_MS, LIFETIME_MS, SESSION, SIBLING, World, uid_of

UID = uid_of(SESSION).hex()
CHANGE = f"{UID}-change"
THROTTLED = "throttle=throttle=1000/500"
THROTTLE = Change(Action.THROTTLE, "1000/500", "policy")


def account_to_restore() -> Account:
    return Account(ALICE, "EUR", -50, 0, 100, 20, 9, 30, 40)


async def prepared(world: World, prepare: Callable[[World], Awaitable[object]]) -> None:
    connection = world.server
    await connection.command("FLUSHALL")
    world.begin_again()
    await world.keeping.initialise(1)
    await prepare(world)


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


async def a_change_asked_for(world: World) -> None:
    await an_open_session(world)
    await world.jobs.request_change(SESSION, THROTTLE)


async def a_change_sent(world: World) -> None:
    await a_change_asked_for(world)
    assert await world.jobs.may_transmit(CHANGE, LEASE_MS, THROTTLED)


async def a_change_in_force(world: World) -> None:
    await a_change_sent(world)
    await world.jobs.report_job(CHANGE, "in_force", "ack", 0, 0, THROTTLED)


async def a_job_in_the_garden(world: World) -> None:
    await a_session_to_be_cut(world)
    await world.jobs.claim_jobs(10, LEASE_MS)
    assert await world.jobs.may_transmit(UID, LEASE_MS, "redirect")
    await world.jobs.report_job(UID, "gardened", "ack", 0, 60_000)
    await world.top_up(20)


async def siblings(world: World) -> None:
    await world.fund(1000)
    await world.book(SESSION, want=400)
    await world.book(SIBLING, want=600)


async def totals_about_to_carry(world: World) -> None:
    await an_open_session(world)
    meta = "rw:{0}:meta"
    await world.server.command("HSET", meta, "total:EUR:reserved", str(2**62 - 401))
    await world.server.command("HSET", meta, "total:EUR:balance", str(1 - 2**62))


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
    command, prefix = world.server.command, world.server.prefix
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


async def a_grant(world: World) -> None:
    await world.fund(1000)
    await world.grant(want=400)


async def a_grant_to_expire(world: World) -> None:
    await a_grant(world)
    world.pass_ms(LIFETIME_MS)


async def grants_of_all_kinds(world: World) -> None:
    """One that is taken over, one that has ended since, and one of the device that asks again."""
    await world.fund(1000)
    uid = await world.grant("n|1", station="", want=10)
    await world.book("n|1", uid=uid, takes_grant=True, grant=0)
    uid = await world.grant("n|2", station="", want=10)
    await world.book("n|2", uid=uid, takes_grant=True, grant=0)
    await world.book("n|2", open=False)
    await world.grant(want=300)


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
    "put off": (
        a_session_to_be_cut,
        lambda world: world.jobs.put_off_jobs({UID: 100, "0" * 32: 100}),
    ),
    "transmit": (a_session_to_be_cut, lambda world: world.jobs.may_transmit(UID, 1000)),
    "transmit with credit": (
        a_begun_job_and_credit,
        lambda world: world.jobs.may_transmit(UID, 1000),
    ),
    "report": (a_begun_job, lambda world: world.jobs.report_job(UID, "refused", "x", 5, 900)),
    "request": (an_open_session, lambda world: world.jobs.request_disconnect(SESSION)),
    "change": (an_open_session, lambda world: world.jobs.request_change(SESSION, THROTTLE)),
    "change again": (
        a_change_in_force,
        lambda world: world.jobs.request_change(SESSION, Change(Action.QUOTA)),
    ),
    "change by a commit": (an_open_session, commit(want=10, change=THROTTLE)),
    "a change that is sent": (
        a_change_asked_for,
        lambda world: world.jobs.may_transmit(CHANGE, 1000, THROTTLED),
    ),
    "a change that is taken": (
        a_change_sent,
        lambda world: world.jobs.report_job(CHANGE, "in_force", "ack", 0, 0, THROTTLED),
    ),
    "close under a change": (a_change_in_force, commit(open=False)),
    "leave the garden": (a_job_in_the_garden, commit(want=10)),
    "leave the garden for a while": (a_job_in_the_garden, commit(want=90, cut_after_ms=9000)),
    "log in": (nothing, lambda world: world.ask(want=300)),
    "log in again": (
        grants_of_all_kinds,
        lambda world: world.ask(want=500, uid=uid_of(SESSION, 8), session_limit=9),
    ),
    "begin with a grant": (
        a_grant,
        commit(uid=uid_of(SESSION, 9), takes_grant=True, want=500, grant=500),
    ),
    "give grants back": (
        grants_of_all_kinds,
        lambda world: world.logins.release_grants([uid_of(SESSION, 9), bytes(16)]),
    ),
    "expire grants": (a_grant_to_expire, lambda world: world.logins.expire_grants(10)),
    "request again": (a_begun_job, lambda world: world.jobs.request_disconnect(SESSION)),
    "publish": (plans, lambda world: world.movements.publish("plans", 2, {"b": b"3"})),
    "publish first": (nothing, lambda world: world.movements.publish("nas", 2, {"b": b"3"})),
    "restore accounts": (
        a_fence,
        lambda world: world.restoration.restore_accounts([account_to_restore()]),
    ),
}
