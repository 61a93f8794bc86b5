"""JobQueue: changes of running sessions, from who asks for one to the NAS's answer."""

from typing import Any

import pytest

from balances.jobs import Action, Change
from balances.messages import ClaimedJob, Status
from tests.balances.contract.jobs import claim, events, live, only
from tests.balances.scenarios import CHANGE, THROTTLE, THROTTLED, UID
from tests.balances.world import ALICE, LEASE_MS, SESSION, START_MS, World, uid_of

RESTORE = Change(Action.RESTORE, cause="policy")


async def a_session(world: World) -> None:
    await world.fund(1000)
    await world.book(want=100)


async def send(world: World) -> ClaimedJob:
    """Claim the one job that is due, and send what it asks for."""
    (job,) = (await claim(world)).jobs
    assert await world.jobs.may_transmit(job.uid, LEASE_MS, job.asked)
    return job


async def take(world: World) -> ClaimedJob:
    """The NAS takes the change that is due."""
    job = await send(world)
    assert await world.jobs.report_job(job.uid, "in_force", "ack", 0, 0, job.asked)
    return job


async def test_a_change_is_a_job_written_by_its_commit(world: World) -> None:
    await world.fund(1000)
    await world.book(want=100, change=THROTTLE, entries=(b"used",))
    job = await only(world)
    assert (job.uid, job.action, job.cause) == (CHANGE, "throttle", "policy")
    assert (job.due_ms, job.state, job.wanted) == (START_MS, "scheduled", "1000/500")
    assert (await world.account()).charged == 1, "the change is no entry of the account's"
    (event,) = await events(world)
    assert (event.uid, event.event, event.action) == (UID, "requested", "throttle")


async def test_a_step_that_closes_its_session_cannot_change_it(world: World) -> None:
    await a_session(world)
    closing = await world.step(open=False, change=THROTTLE)
    assert await world.statuses(closing) == [Status.FAULTY]


async def test_a_change_that_is_taken_is_in_force_and_due_no_more(world: World) -> None:
    await a_session(world)
    assert await world.jobs.request_change(SESSION, THROTTLE) == CHANGE
    job = await take(world)
    assert (job.treatment, job.wanted, job.pending, job.applied) == (
        "throttle",
        "1000/500",
        "throttle",
        "",
    )
    assert await live(world) == []
    assert [each.event for each in await events(world)] == ["requested", "in_force"]
    assert not (await world.session()).cutting


async def test_restoring_ends_what_is_in_force(world: World) -> None:
    await a_session(world)
    await world.jobs.request_change(SESSION, THROTTLE)
    await take(world)
    await world.jobs.request_change(SESSION, RESTORE)
    job = await take(world)
    assert (job.action, job.treatment, job.applied) == ("restore", "", "throttle")
    assert (await claim(world)).jobs == []
    await world.jobs.request_change(SESSION, Change(Action.QUOTA))
    job = await take(world)
    assert (job.treatment, job.applied) == ("", "")


async def test_a_quota_leaves_the_treatment_in_force(world: World) -> None:
    await a_session(world)
    await world.jobs.request_change(SESSION, THROTTLE)
    await take(world)
    await world.jobs.request_change(SESSION, Change(Action.QUOTA))
    job = await take(world)
    assert (job.treatment, job.pending, job.applied) == ("throttle", "quota", "throttle")
    uids = [(await world.session()).uid, bytes(16)]
    assert await world.jobs.treatments(uids) == [("throttle", "1000/500"), ("", "")]


async def test_what_is_pending_adds_up_and_the_newest_treatment_counts(world: World) -> None:
    await a_session(world)
    for change in (THROTTLE, Change(Action.QUOTA), Change(Action.REDIRECT, "pay"), THROTTLE):
        await world.jobs.request_change(SESSION, change)
    job = await send(world)
    assert (job.pending, job.treatment) == ("throttle,quota,redirect", "throttle")


async def test_what_was_sent_and_not_answered_may_be_applied(world: World) -> None:
    await a_session(world)
    await world.jobs.request_change(SESSION, Change(Action.REDIRECT, "pay"))
    job = await send(world)
    await world.jobs.report_job(job.uid, "unanswered", "timed_out", 0, 1000, job.asked)
    await world.jobs.request_change(SESSION, RESTORE)
    job = await send(world)
    assert (job.treatment, job.applied, job.attempts) == ("", "redirect", 1)


async def test_a_newer_change_takes_the_place_of_one_that_is_being_sent(world: World) -> None:
    await a_session(world)
    await world.jobs.request_change(SESSION, THROTTLE)
    job = await send(world)
    await world.jobs.request_change(SESSION, RESTORE)
    assert not await world.jobs.may_transmit(job.uid, LEASE_MS, job.asked)
    assert await world.jobs.report_job(job.uid, "in_force", "ack", 0, 0, job.asked)
    again = await only(world)
    assert (again.state, again.action, again.applied) == ("scheduled", "restore", "throttle")


@pytest.mark.parametrize("change", [{"open": False}, {"uid": uid_of(SESSION, 1)}])
async def test_a_change_ends_with_its_session(world: World, change: dict[str, Any]) -> None:
    await a_session(world)
    await world.jobs.request_change(SESSION, THROTTLE)
    await take(world)
    await world.book(**change)
    assert [each.event for each in await events(world)][-1] == "ended"
    assert not await world.jobs.may_transmit(CHANGE, LEASE_MS, THROTTLED)


async def test_a_session_that_is_not_open_is_not_changed(world: World) -> None:
    await world.fund(1000)
    assert await world.jobs.request_change(SESSION, THROTTLE) is None
    await world.book(open=False)
    assert await world.jobs.request_change(SESSION, THROTTLE) is None
    assert await events(world) == []


async def test_a_change_and_a_cut_live_side_by_side(world: World) -> None:
    await world.fund(100)
    await world.cut(want=100, after_ms=5000)
    await world.jobs.request_change(SESSION, THROTTLE)
    assert [job.action for job in await live(world)] == ["throttle", "cut"]
    assert (await world.keeping.books()).live_jobs == 2


async def gardened(world: World) -> None:
    """A session without credit is put into the walled garden instead of being cut."""
    await world.fund(0)
    await world.cut()
    (job,) = (await claim(world)).jobs
    assert await world.jobs.may_transmit(job.uid, LEASE_MS, "redirect")
    await world.jobs.report_job(job.uid, "gardened", "ack", 0, 60_000)
    assert (await only(world)).gardened
    await world.top_up(50, ALICE)


async def test_a_session_in_the_garden_that_may_go_on_is_restored(world: World) -> None:
    await gardened(world)
    await world.book(want=10)
    job = await send(world)
    assert (job.action, job.cause, job.applied) == ("restore", "exhausted", "redirect")
    assert [each.event for each in await events(world)] == ["gardened", "cancelled", "requested"]


async def test_also_if_it_may_go_on_only_for_a_while(world: World) -> None:
    await gardened(world)
    await world.book(want=90, cut_after_ms=9000)
    restore, cut = await live(world)
    assert (restore.action, restore.applied) == ("restore", "redirect")
    assert (cut.action, cut.gardened, cut.state) == ("cut", False, "scheduled")
