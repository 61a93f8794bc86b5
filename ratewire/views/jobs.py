"""Live enforcement jobs, as people see them."""

import msgspec

from balances.keys import parts_of
from ratewire.wiring import System


class JobView(msgspec.Struct, frozen=True):
    """One live job; times are Unix milliseconds. `session` is the session it is to end."""

    session: str
    account: str
    acct_session_id: str
    nas: str
    cause: str
    state: str
    due_ms: int
    created_ms: int
    transmissions: int
    result: str
    error_cause: int


async def job_views(system: System, *, limit: int) -> list[JobView]:
    """Return the live jobs, soonest first."""
    views: list[JobView] = []
    for job in await system.housekeeping.live_jobs(limit):
        nas, acct_session_id = parts_of(job.session)
        views.append(
            JobView(
                session=job.uid,
                account=job.account,
                acct_session_id=acct_session_id,
                nas=nas,
                cause=job.cause,
                state=job.state,
                due_ms=job.due_ms,
                created_ms=job.created_ms,
                transmissions=job.attempts,
                result=job.result,
                error_cause=job.error_cause,
            )
        )
    return views
