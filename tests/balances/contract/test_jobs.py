"""JobQueue: enforcement jobs, from the commit that causes one to the one that proves it."""

import pytest

from balances.entries import JobEvent
from balances.jobs import Job
from balances.messages import Claim, ClaimedJob, CutCause
from rating.money import MAX_MICROS
from tests.balances.contract.jobs import UID, begin, claim, claimed, events, live, only
from tests.balances.world import ALICE, LEASE_MS, SESSION, SIBLING, START_MS, World

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
        noted_ms=START_MS,
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
    job = ClaimedJob(UID, SESSION, "exhausted", "scheduled", 0, START_MS, stored)
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


async def test_a_claimed_job_that_is_put_off_is_due_again_when_it_says(world: World) -> None:
    await world.fund(0)
    for session in ("n|0", "n|1", "n|2"):
        await world.cut(session)
    zero, one, _two = [job.uid for job in (await claim(world)).jobs]
    await world.jobs.put_off_jobs({zero: 300, one: 200})
    world.pass_ms(200)
    assert await claimed(world) == ["n|1"]
    world.pass_ms(100)
    assert await claimed(world) == ["n|0"]
    assert [job.attempts for job in await live(world)] == [0, 0, 0]
    assert await events(world) == []


async def test_a_job_that_has_ended_is_not_put_off(world: World) -> None:
    await world.fund(0)
    await world.cut()
    assert await claimed(world) == [SESSION]
    await world.book(open=False)
    await world.jobs.put_off_jobs({UID: 100})
    world.pass_ms(100)
    assert await claim(world) == Claim(world.now_ms, None, [])


# The cause is checked, by the claim and before each transmission


async def test_credit_keeps_an_exhausted_session_from_being_cut(world: World) -> None:
    await world.fund(0)
    await world.cut()
    await world.top_up(50)
    assert await claim(world) == Claim(START_MS, START_MS + LEASE_MS, [])
    assert await world.due_sessions() == [SESSION]
    assert len(await live(world)) == 1
    await world.book(want=10, report=False)
    assert await live(world) == []


async def test_credit_keeps_a_claimed_job_from_being_sent(world: World) -> None:
    await world.fund(0)
    await world.cut()
    await begin(world)
    world.pass_ms(10)
    await world.limit(50)
    assert not await world.jobs.may_transmit(UID, LEASE_MS)
    assert (await world.session()).regrant
    assert (await claim(world)).next_ms == world.now_ms + LEASE_MS  # it was due at once again
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


async def test_credit_below_what_the_session_needs_to_begin_is_none(world: World) -> None:
    await world.fund(0)
    await world.cut(least=60)
    assert (await only(world)).least == 60
    await world.top_up(59)
    await begin(world)
    await world.top_up(1)
    assert not await world.jobs.may_transmit(UID, LEASE_MS)
    assert (await world.session()).regrant


async def test_no_credit_helps_a_session_that_costs_all_that_it_may(world: World) -> None:
    """Not even that of an account whose credit has no limit."""
    await world.fund(0, credit_limit=None)
    await world.cut(least=MAX_MICROS)
    await begin(world)


async def test_a_new_cause_brings_what_it_needs(world: World) -> None:
    """Suspended when it began, and then active again with too little credit."""
    await world.fund(50)
    await world.status(suspended=True)
    await world.cut(cut_cause=CutCause.SUSPENDED, least=60)
    await begin(world)
    await world.jobs.report_job(UID, "acknowledged", "ack", 0, 0)
    await world.status()
    await world.cut(least=60)
    job = await only(world)
    assert (job.cause, job.state, job.least) == ("exhausted", "acknowledged", 60)
    assert await claimed(world) == [SESSION]
    await world.cut(want=50, after_ms=1000)
    assert (await only(world)).least == 0


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


async def test_when_its_state_last_changed_is_told_and_a_second_word_does_not_move_it(
    world: World,
) -> None:
    await world.fund(100)
    await world.cut(want=100, after_ms=0)
    for expected in (START_MS + 1000, START_MS + 1000):
        world.pass_ms(1000)
        await world.jobs.report_job(UID, "acknowledged", "ack", 0, 0)
        assert (await only(world)).noted_ms == expected
        [job] = (await claim(world)).jobs
        assert job.noted_ms == expected
