"""JobQueue: what ends a job, what does not, and what moves one that was begun."""

import pytest

from balances.entries import JOB_FIELD
from balances.errors import StoreEmpty, StoreFenced
from balances.messages import Claim, CutCause
from tests.balances.contract.jobs import UID, begin, claim, claimed, events, live, only
from tests.balances.world import (
    ALICE,
    BEGINNING,
    LEASE_MS,
    SESSION,
    START_MS,
    World,
    uid_of,
)

# Ending


async def test_a_stop_proves_the_cut(world: World) -> None:
    await world.fund(0)
    await world.cut()
    await begin(world)
    await world.jobs.report_job(UID, "acknowledged", "", 0, 5000)
    world.pass_ms(80)
    await world.book(open=False, entries=(b"closed",))
    assert await live(world) == []
    last = (await events(world))[-1]
    assert (last.event, last.uid, last.at_ms) == ("proven", UID, world.now_ms)
    assert (last.attempts, last.result, last.error_cause) == (1, "", 0)
    assert await claim(world) == Claim(world.now_ms, None, [])


async def test_a_new_epoch_proves_the_cut_of_the_old_one(world: World) -> None:
    await world.fund(0)
    await world.cut()
    await world.book(uid=uid_of(SESSION, 1))
    assert await live(world) == []
    assert [(event.uid, event.event) for event in await events(world)] == [(UID, "proven")]
    assert not (await world.session()).cutting


async def test_a_new_epoch_without_credit_has_a_job_of_its_own(world: World) -> None:
    await world.fund(0)
    await world.cut()
    await begin(world)
    await world.cut(uid=uid_of(SESSION, 1), after_ms=300)
    job = await only(world)
    assert (job.uid, job.state, job.attempts) == (uid_of(SESSION, 1).hex(), "scheduled", 0)


async def test_a_grant_cancels_the_job(world: World) -> None:
    await world.fund(0)
    await world.cut()
    await begin(world)
    await world.top_up(500)
    assert await world.due_sessions() == [SESSION]
    await world.book(want=100, report=False)
    assert await live(world) == []
    assert [event.event for event in await events(world)] == ["cancelled"]
    assert not (await world.session()).cutting


async def test_the_event_follows_the_entries_of_its_commit(world: World) -> None:
    await world.fund(0)
    await world.cut()
    await world.hot.commit([await world.step(open=False, entries=(b"closed",))], [b"loose"])
    (entry,) = await world.stream.entries_after(BEGINNING, 10)
    assert [field for field, _ in entry.items] == [b"1", b"0", JOB_FIELD]


# A job that was begun


async def begun_and_refused(world: World) -> None:
    """A NAS that does not obey: the next try is in two minutes."""
    await world.cut()
    await begin(world)
    await world.jobs.report_job(UID, "refused", "", 503, 120_000)


async def test_reports_of_a_session_without_credit_do_not_move_the_next_try(world: World) -> None:
    await world.fund(0)
    await begun_and_refused(world)
    await world.cut(charge=5, after_ms=0)
    await world.cut(charge=5, after_ms=500_000)
    job = await only(world)
    assert (job.state, job.due_ms) == ("refused", START_MS + 120_000)
    assert (await claim(world)).next_ms == START_MS + 120_000


async def test_a_small_top_up_is_used_up_before_the_next_try(world: World) -> None:
    """What was granted is the session's: it is not to be cut before that is used."""
    await world.fund(0)
    await begun_and_refused(world)
    await world.top_up(20)
    assert await world.due_sessions() == [SESSION]
    await world.cut(want=100, after_ms=300_000, report=False)
    assert (await world.session()).held == 20
    world.pass_ms(299_999)
    assert await claimed(world) == []
    world.pass_ms(1)
    (job,) = (await claim(world)).jobs
    assert (job.state, job.attempts) == ("scheduled", 1)
    assert await world.jobs.may_transmit(UID, LEASE_MS)


async def test_an_outcome_that_comes_after_a_small_top_up_does_not_hasten_the_cut(
    world: World,
) -> None:
    await world.fund(0)
    await world.cut()
    await begin(world)
    await world.top_up(20)
    await world.cut(want=100, after_ms=300_000, report=False)
    assert await world.jobs.report_job(UID, "unanswered", "timeout", 0, 1000)
    job = await only(world)
    assert (job.state, job.due_ms) == ("scheduled", START_MS + 300_000)
    assert (job.result, job.attempts) == ("timeout", 1)
    assert [event.event for event in await events(world)] == ["unanswered"]
    world.pass_ms(1000)
    assert await claimed(world) == []
    assert not await world.jobs.may_transmit(UID, LEASE_MS)


async def test_a_begun_job_follows_the_cause(world: World) -> None:
    """Suspended, then active without credit: the cut goes on, for the other reason."""
    await world.fund(0)
    await world.status(suspended=True)
    await world.cut(cut_cause=CutCause.SUSPENDED)
    await begin(world)
    await world.jobs.report_job(UID, "refused", "", 503, 1000)
    await world.status()
    assert await world.due_sessions() == [SESSION]
    await world.cut(cut_cause=CutCause.EXHAUSTED, report=False)
    job = await only(world)
    assert (job.cause, job.state) == ("exhausted", "refused")
    world.pass_ms(1000)
    assert await claimed(world) == [SESSION]


# A person's job


async def test_a_person_has_a_session_cut(world: World) -> None:
    await world.fund(1000)
    await world.book(want=100)
    assert await world.jobs.request_disconnect(SESSION) == UID
    job = await only(world)
    assert (job.cause, job.state, job.due_ms) == ("operator", "scheduled", START_MS)
    assert (await world.session()).cutting
    (event,) = await events(world)
    assert (event.event, event.cause, event.at_ms) == ("requested", "operator", START_MS)
    assert (event.session, event.account, event.due_ms) == (SESSION, ALICE, START_MS)
    await begin(world)


async def test_only_an_open_session_can_be_cut(world: World) -> None:
    await world.fund(1000)
    assert await world.jobs.request_disconnect(SESSION) is None
    await world.book()
    await world.book(open=False)
    assert await world.jobs.request_disconnect(SESSION) is None
    assert await live(world) == []
    assert await events(world) == []


async def test_credit_does_not_end_a_persons_job(world: World) -> None:
    await world.fund(1000)
    await world.book(want=100)
    await world.jobs.request_disconnect(SESSION)
    await world.top_up(500)
    await world.book(want=200)
    assert (await world.session()).cutting
    await begin(world)
    await world.book(want=300)
    assert await world.jobs.may_transmit(UID, LEASE_MS)
    assert (await only(world)).cause == "operator"


async def test_a_report_does_not_move_a_persons_job(world: World) -> None:
    await world.fund(100)
    await world.book(want=100)
    await world.jobs.request_disconnect(SESSION)
    await world.cut(want=200, after_ms=5000)
    job = await only(world)
    assert (job.cause, job.due_ms) == ("operator", START_MS)
    await begin(world)


async def test_a_persons_job_ends_with_the_session(world: World) -> None:
    await world.fund(1000)
    await world.book(want=100)
    await world.jobs.request_disconnect(SESSION)
    await world.book(open=False)
    assert await live(world) == []
    assert [event.event for event in await events(world)] == ["requested", "proven"]


async def test_a_persons_job_ends_with_the_epoch(world: World) -> None:
    await world.fund(1000)
    await world.book(want=100)
    await world.jobs.request_disconnect(SESSION)
    await world.book(want=100, uid=uid_of(SESSION, 1))
    assert await live(world) == []
    assert not (await world.session()).cutting


async def test_a_person_hastens_a_job_that_is_there(world: World) -> None:
    await world.fund(100)
    await world.cut(want=100, after_ms=5000)
    world.pass_ms(50)
    assert await world.jobs.request_disconnect(SESSION) == UID
    job = await only(world)
    assert (job.cause, job.due_ms, job.created_ms) == ("operator", START_MS + 50, START_MS)
    await world.top_up(500)
    assert await claimed(world) == [SESSION]


async def test_asking_twice_asks_once(world: World) -> None:
    await world.fund(100)
    await world.book()
    assert await world.jobs.request_disconnect(SESSION) == UID
    assert await world.jobs.request_disconnect(SESSION) == UID
    assert len(await live(world)) == 1
    assert [event.event for event in await events(world)] == ["requested", "requested"]


# When nothing may be written


async def test_no_job_is_touched_behind_the_fence_or_in_an_empty_store(
    empty_world: World,
) -> None:
    jobs = empty_world.jobs
    with pytest.raises(StoreEmpty):
        await jobs.claim_jobs(1, 1)
    with pytest.raises(StoreEmpty):
        await jobs.report_job(UID, "refused", "", 0, 1)
    await empty_world.keeping.initialise(1)
    await empty_world.fund(0)
    await empty_world.cut()
    await empty_world.keeping.fence("rebuilding")
    with pytest.raises(StoreFenced):
        await jobs.claim_jobs(1, 1)
    with pytest.raises(StoreFenced):
        await jobs.put_off_jobs({UID: 1})
    with pytest.raises(StoreFenced):
        await jobs.may_transmit(UID, 1)
    with pytest.raises(StoreFenced):
        await jobs.report_job(UID, "refused", "", 0, 1)
    with pytest.raises(StoreFenced):
        await jobs.request_disconnect(SESSION)
    (job,) = await jobs.live_jobs(10)
    assert (job.attempts, job.state) == (0, "scheduled")
