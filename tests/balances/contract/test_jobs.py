"""JobQueue: enforcement jobs, from the commit that causes one to the one that proves it."""

import pytest

from balances.entries import JOB_FIELD, JobEvent, decode_job_event
from balances.errors import StoreEmpty, StoreFenced
from balances.messages import Claim, ClaimedJob, CutCause, Job
from tests.balances.world import (
    ALICE,
    BEGINNING,
    LEASE_MS,
    SESSION,
    SIBLING,
    START_MS,
    World,
    uid_of,
)

UID = uid_of(SESSION).hex()


async def live(world: World) -> list[Job]:
    return await world.jobs.live_jobs(100)


async def only(world: World) -> Job:
    (job,) = await live(world)
    return job


async def claim(world: World, limit: int = 100) -> Claim:
    return await world.jobs.claim_jobs(limit, LEASE_MS)


async def claimed(world: World) -> list[str]:
    return [job.session for job in (await claim(world)).jobs]


async def events(world: World) -> list[JobEvent]:
    entries = await world.stream.entries_after(BEGINNING, 1000)
    return [
        decode_job_event(value)
        for entry in entries
        for field, value in entry.items
        if field == JOB_FIELD
    ]


async def begin(world: World) -> None:
    """Claim the one job that is due, and send."""
    assert await claimed(world) == [SESSION]
    assert await world.jobs.may_transmit(UID, LEASE_MS)


# Beginning


async def test_a_cut_is_a_job_written_by_its_commit(world: World) -> None:
    await world.fund(100)
    await world.cut(want=100, after_ms=5000)
    assert await only(world) == Job(
        uid=UID,
        session=SESSION,
        account=ALICE,
        cause="exhausted",
        state="scheduled",
        due_ms=START_MS + 5000,
        created_ms=START_MS,
        attempts=0,
    )
    assert (await world.session()).cutting
    assert (await world.keeping.books()).live_jobs == 1


async def test_a_session_that_may_go_on_has_no_job(world: World) -> None:
    await world.fund(100)
    await world.book(want=100)
    assert await live(world) == []
    assert not (await world.session()).cutting


async def test_a_closed_session_has_no_job_whatever_its_step_says(world: World) -> None:
    await world.fund(100)
    await world.book(open=False, cut_after_ms=0)
    assert await live(world) == []


async def test_a_session_epoch_has_one_job_whose_deadline_moves(world: World) -> None:
    await world.fund(100)
    await world.cut(want=100, after_ms=5000)
    world.pass_ms(1000)
    await world.cut(want=100, after_ms=9000, cut_cause=CutCause.SUSPENDED)
    job = await only(world)
    assert (job.due_ms, job.cause) == (START_MS + 10_000, "suspended")
    assert job.created_ms == START_MS
    assert await world.jobs.claim_jobs(1, LEASE_MS) == Claim(world.now_ms, START_MS + 10_000, [])


async def test_jobs_are_listed_soonest_first(world: World) -> None:
    await world.fund(0)
    for number, after_ms in enumerate((3000, 1000, 2000)):
        await world.cut(f"n|{number}", after_ms=after_ms)
    assert [job.session for job in await live(world)] == ["n|1", "n|2", "n|0"]
    assert [job.session for job in await world.jobs.live_jobs(1)] == ["n|1"]


# Claiming


async def test_a_job_is_claimed_when_it_is_due(world: World) -> None:
    await world.fund(100)
    await world.cut(want=100, after_ms=5000)
    world.pass_ms(4999)
    assert await claim(world) == Claim(world.now_ms, START_MS + 5000, [])
    world.pass_ms(1)
    stored = await world.session()
    job = ClaimedJob(UID, SESSION, "exhausted", "scheduled", 0, stored)
    assert await claim(world) == Claim(world.now_ms, world.now_ms + LEASE_MS, [job])


async def test_there_is_no_next_job_where_there_is_none(world: World) -> None:
    assert await claim(world) == Claim(START_MS, None, [])


async def test_a_claimed_job_is_leased(world: World) -> None:
    await world.fund(0)
    await world.cut()
    assert await claimed(world) == [SESSION]
    world.pass_ms(LEASE_MS - 1)
    assert await claimed(world) == []
    world.pass_ms(1)
    assert await claimed(world) == [SESSION]


async def test_no_more_jobs_than_asked_for(world: World) -> None:
    await world.fund(0)
    for number in range(5):
        await world.cut(f"n|{number}", after_ms=number)
    world.pass_ms(10)
    assert [job.session for job in (await claim(world, 2)).jobs] == ["n|0", "n|1"]
    assert [job.session for job in (await claim(world, 2)).jobs] == ["n|2", "n|3"]
    assert [job.session for job in (await claim(world, 2)).jobs] == ["n|4"]


# The cause is checked, by the claim and before each transmission


async def test_credit_keeps_an_exhausted_session_from_being_cut(world: World) -> None:
    await world.fund(0)
    await world.cut()
    await world.top_up(50)
    assert await claimed(world) == []
    assert await world.due_sessions() == [SESSION]
    assert len(await live(world)) == 1
    await world.book(want=10, report=False)
    assert await live(world) == []


async def test_credit_keeps_a_claimed_job_from_being_sent(world: World) -> None:
    await world.fund(0)
    await world.cut()
    await begin(world)
    await world.limit(50)
    assert not await world.jobs.may_transmit(UID, LEASE_MS)
    assert (await world.session()).regrant
    assert (await only(world)).attempts == 1


async def test_unlimited_credit_is_credit(world: World) -> None:
    await world.fund(0)
    await world.cut()
    await world.limit(None)
    assert await claimed(world) == []


async def test_credit_below_the_minimum_is_none(world: World) -> None:
    await world.fund(0, minimum=60)
    await world.cut()
    await world.top_up(60)
    assert await claimed(world) == [SESSION]
    assert await world.jobs.may_transmit(UID, LEASE_MS)


async def test_a_session_without_credit_is_cut_if_a_sibling_is_granted_all(world: World) -> None:
    await world.fund(0)
    await world.cut()
    await world.top_up(50)
    await world.book(SIBLING, want=50)
    assert await claimed(world) == [SESSION]


@pytest.mark.parametrize("suspended", [True, False], ids=["suspended", "closed"])
async def test_credit_is_no_help_to_an_account_that_is_not_active(
    world: World, suspended: bool
) -> None:
    await world.fund(1000)
    await world.status(suspended=suspended, closed=not suspended)
    await world.cut(cut_cause=CutCause.SUSPENDED)
    assert await claimed(world) == [SESSION]
    assert await world.jobs.may_transmit(UID, LEASE_MS)
    await world.status()
    assert not await world.jobs.may_transmit(UID, LEASE_MS)
    assert await claimed(world) == []


async def test_an_exhausted_session_of_a_suspended_account_is_cut_although_there_is_credit(
    world: World,
) -> None:
    await world.fund(0)
    await world.cut()
    await world.top_up(50)
    await world.status(suspended=True)
    assert await claimed(world) == [SESSION]


async def test_a_job_is_not_sent_before_its_deadline(world: World) -> None:
    """It was claimed, and then a report moved the deadline."""
    await world.fund(100)
    await world.cut(want=100)
    assert await claimed(world) == [SESSION]
    await world.cut(want=100, after_ms=5000)
    assert not await world.jobs.may_transmit(UID, LEASE_MS)
    assert (await only(world)).attempts == 0
    world.pass_ms(5000)
    await begin(world)


async def test_a_job_that_ended_is_not_sent(world: World) -> None:
    await world.fund(0)
    await world.cut()
    await begin(world)
    await world.book(open=False)
    assert not await world.jobs.may_transmit(UID, LEASE_MS)
    assert not await world.jobs.may_transmit("0" * 32, LEASE_MS)


async def test_each_transmission_is_an_attempt_under_a_new_lease(world: World) -> None:
    await world.fund(0)
    await world.cut()
    await begin(world)
    world.pass_ms(LEASE_MS - 1)
    assert await world.jobs.may_transmit(UID, LEASE_MS)
    job = await only(world)
    assert (job.state, job.attempts) == ("sending", 2)
    assert not (await world.session()).regrant
    world.pass_ms(1)
    assert await claimed(world) == []
    world.pass_ms(LEASE_MS - 1)
    (again,) = (await claim(world)).jobs
    assert (again.state, again.attempts) == ("sending", 2)


# Reports


@pytest.mark.parametrize("state", ["acknowledged", "refused", "unanswered"])
async def test_an_outcome_is_noted_with_the_next_look(world: World, state: str) -> None:
    await world.fund(0)
    await world.cut()
    await begin(world)
    world.pass_ms(70)
    assert await world.jobs.report_job(UID, state, "NAK: é", 503, 2000)
    job = await only(world)
    assert (job.state, job.result, job.error_cause) == (state, "NAK: é", 503)
    assert (job.attempts, job.due_ms) == (1, world.now_ms + 2000)
    assert (await events(world)) == [
        JobEvent(
            uid=UID,
            session=SESSION,
            account=ALICE,
            cause="exhausted",
            event=state,
            at_ms=world.now_ms,
            due_ms=world.now_ms + 2000,
            attempts=1,
            result="NAK: é",
            error_cause=503,
        )
    ]
    world.pass_ms(1999)
    assert await claimed(world) == []
    world.pass_ms(1)
    assert await claimed(world) == [SESSION]


async def test_a_job_that_could_not_be_sent_at_all_is_reported_too(world: World) -> None:
    await world.fund(0)
    await world.cut()
    assert await claimed(world) == [SESSION]
    assert await world.jobs.report_job(UID, "unanswered", "no address", 0, 2000)
    job = await only(world)
    assert (job.state, job.attempts, job.due_ms) == ("unanswered", 0, START_MS + 2000)


async def test_the_outcome_of_a_job_that_ended_is_not_noted(world: World) -> None:
    await world.fund(0)
    await world.cut()
    await begin(world)
    await world.book(open=False)
    before = await world.keeping.books()
    assert not await world.jobs.report_job(UID, "acknowledged", "", 0, 2000)
    assert await world.keeping.books() == before


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
        await jobs.may_transmit(UID, 1)
    with pytest.raises(StoreFenced):
        await jobs.report_job(UID, "refused", "", 0, 1)
    with pytest.raises(StoreFenced):
        await jobs.request_disconnect(SESSION)
    (job,) = await jobs.live_jobs(10)
    assert (job.attempts, job.state) == (0, "scheduled")
