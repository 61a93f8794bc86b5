"""Live enforcement jobs, as people see them."""

from datetime import UTC, datetime

import msgspec

from balances.keys import parts_of
from ratewire.wiring import System


class JobView(msgspec.Struct, frozen=True):
    """One live job; `session` is the session it is to end, or to change.

    `treatment` and `wanted` are what a change puts it under: a speed, a walled garden.
    """

    session: str
    account: str
    acct_session_id: str
    nas: str
    action: str
    cause: str
    state: str
    due_at: datetime
    created_at: datetime
    transmissions: int
    result: str
    error_cause: int
    treatment: str = ""
    wanted: str = ""


async def job_views(system: System, *, limit: int) -> list[JobView]:
    """Return the live jobs, soonest first."""
    views: list[JobView] = []
    for job in await system.housekeeping.live_jobs(limit):
        nas, acct_session_id = parts_of(job.session)
        views.append(
            JobView(
                session=job.uid.partition("-")[0],
                account=job.account,
                acct_session_id=acct_session_id,
                nas=nas,
                action=job.action,
                cause=job.cause,
                state=job.state,
                due_at=_moment(job.due_ms),
                created_at=_moment(job.created_ms),
                transmissions=job.attempts,
                result=job.result,
                error_cause=job.error_cause,
                treatment=job.treatment,
                wanted=job.wanted,
            )
        )
    return views


def _moment(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
