"""Words for what the tests do with jobs."""

from balances.entries import JOB_FIELD, JobEvent, decode_job_event
from balances.jobs import Job
from balances.messages import Claim
from tests.balances.world import BEGINNING, LEASE_MS, SESSION, World, uid_of

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
