"""Live enforcement jobs as people see them."""

from datetime import UTC, datetime

from ratewire.views.jobs import job_views
from ratewire.wiring import System
from tests.ratewire.office import Office
from tests.ratewire.provider import NAS, START, Provider

MB = 1_000_000


async def test_jobs_are_shown_soonest_first_by_what_their_nas_calls_the_session(
    system: System, office: Office, provider: Provider
) -> None:
    await office.subscribe(50_000, plan="hourly")
    await provider.told(START, session="in 300 s")
    provider.world.pass_ms(1000)
    await provider.told(START, session="at once", nas="pop1/a|b\\c")
    first, second = await job_views(system, limit=10)
    uids = [
        (await provider.session("at once", nas="pop1/a\\x7cb\\x5cc")).uid,
        (await provider.session("in 300 s")).uid,
    ]
    assert [first.session, second.session] == [uid.hex() for uid in uids]
    assert (first.nas, first.acct_session_id) == ("pop1/a|b\\c", "at once")
    assert (second.nas, second.acct_session_id) == (NAS, "in 300 s")
    assert (second.account, second.cause, second.state) == ("acme", "exhausted", "scheduled")
    [_, job] = await provider.jobs()
    assert second.due_at == datetime.fromtimestamp(job.due_ms / 1000, UTC)
    assert (second.due_at - second.created_at).total_seconds() == 300
    assert len(await job_views(system, limit=1)) == 1


async def test_what_came_of_the_last_try_is_shown(
    system: System, office: Office, provider: Provider
) -> None:
    await office.subscribe(0)
    await provider.told(START)
    [claimed] = (await provider.world.jobs.claim_jobs(1, 1000)).jobs
    assert await provider.world.jobs.may_transmit(claimed.uid, 1000)
    await provider.world.jobs.report_job(claimed.uid, "refused", "nak 501", 501, 60_000)
    [view] = await job_views(system, limit=10)
    assert (view.state, view.result, view.error_cause) == ("refused", "nak 501", 501)
    assert view.transmissions == 1
