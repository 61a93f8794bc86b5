"""The life of an enforcement job: one for a session epoch, from its cause to its proof."""

import enum

import msgspec

from balances.entries import JobEvent
from balances.memory.partition import Partition, Session
from balances.messages import CutCause, Job
from rating.money import MAX_MICROS

_encode = msgspec.msgpack.Encoder().encode

OPERATOR = CutCause.OPERATOR.name.lower()
SUSPENDED = CutCause.SUSPENDED.name.lower()
SCHEDULED = "scheduled"


class Verdict(enum.Enum):
    """Whether a job may be carried out now."""

    HOLDS = enum.auto()
    LATER = enum.auto()  # what was granted since lasts until the job is due
    CREDIT = enum.auto()  # there is credit again, or the account is active again
    ENDED = enum.auto()  # the session is over


def event_of(job: Job, event: str, now_ms: int) -> bytes:
    """Return what is kept of a job when something happened to it."""
    return _encode(
        JobEvent(
            uid=job.uid,
            session=job.session,
            account=job.account,
            cause=job.cause,
            event=event,
            at_ms=now_ms,
            due_ms=job.due_ms,
            attempts=job.attempts,
            result=job.result,
            error_cause=job.error_cause,
        )
    )


def put(partition: Partition, job: Job) -> None:
    """Write a job, due when it says."""
    partition.jobs[job.uid] = job
    partition.job_agenda.set(job.uid, job.due_ms)


def schedule(
    partition: Partition,
    session: Session,
    cause: str,
    due_ms: int,
    now_ms: int,
    *,
    granted: bool,
    least: int = 0,
) -> None:
    """Create the job of a session, or move its deadline.

    A job that was begun goes on whatever reports come in, unless they brought a grant: then it
    waits until that is used. A person's job is not moved by credit at all.
    """
    stored = session.stored
    job = partition.jobs.get(stored.uid.hex())
    if job is None:
        put(
            partition,
            Job(
                uid=stored.uid.hex(),
                session=session.key,
                account=stored.account,
                cause=cause,
                state=SCHEDULED,
                due_ms=due_ms,
                created_ms=now_ms,
                noted_ms=now_ms,
                attempts=0,
                least=least,
            ),
        )
    elif job.cause == OPERATOR:
        return
    elif job.state == SCHEDULED or granted:
        put(
            partition,
            msgspec.structs.replace(job, state=SCHEDULED, cause=cause, due_ms=due_ms, least=least),
        )
    elif job.cause != cause:
        partition.jobs[job.uid] = msgspec.structs.replace(job, cause=cause, least=least)


def finish(partition: Partition, uid: str, event: str, now_ms: int) -> list[bytes]:
    """End a job; return its event, or nothing if there was no job."""
    job = partition.jobs.pop(uid, None)
    if job is None:
        return []
    partition.job_agenda.discard(uid)
    return [event_of(job, event, now_ms)]


def judge(partition: Partition, job: Job, now_ms: int) -> tuple[Verdict, Session | None]:
    """Return whether a job may be carried out now, and the session that it is about."""
    session = partition.session(job.session, now_ms)
    if session is None or not session.stored.open or session.stored.uid.hex() != job.uid:
        return Verdict.ENDED, None
    if job.cause == OPERATOR:
        return Verdict.HOLDS, session
    account = partition.accounts[session.stored.account]
    free = account.available
    enough = job.least < MAX_MICROS and (free is None or (free > 0 and free >= job.least))
    if not (account.suspended or account.closed) and (job.cause == SUSPENDED or enough):
        return Verdict.CREDIT, session
    if job.state == SCHEDULED and now_ms < job.due_ms:
        return Verdict.LATER, session
    return Verdict.HOLDS, session
