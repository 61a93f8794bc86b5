"""The life of an enforcement job: one for a session epoch, from its cause to its proof."""

import enum

import msgspec

from balances.entries import JobEvent
from balances.jobs import Action, Change, Job
from balances.memory.partition import Partition, Session
from balances.messages import CutCause
from rating.money import MAX_MICROS

_encode = msgspec.msgpack.Encoder().encode

OPERATOR = CutCause.OPERATOR.name.lower()
SUSPENDED = CutCause.SUSPENDED.name.lower()
SCHEDULED = "scheduled"
IN_FORCE = "in_force"

_UID_DIGITS = 32


def change_uid(uid: bytes) -> str:
    """Return the uid of the change of a session epoch."""
    return f"{uid.hex()}-change"


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
            uid=job.uid[:_UID_DIGITS],
            session=job.session,
            account=job.account,
            cause=job.cause,
            event=event,
            at_ms=now_ms,
            due_ms=job.due_ms,
            attempts=job.attempts,
            result=job.result,
            error_cause=job.error_cause,
            action=None if job.action == Action.CUT else job.action,
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
        if granted and job.gardened:
            # It may go on until the new deadline, and not in the walled garden.
            schedule_change(
                partition, session, Change(Action.RESTORE, cause=job.cause), now_ms, gardened=True
            )
            job = msgspec.structs.replace(job, gardened=False)
        put(
            partition,
            msgspec.structs.replace(job, state=SCHEDULED, cause=cause, due_ms=due_ms, least=least),
        )
    elif job.cause != cause:
        partition.jobs[job.uid] = msgspec.structs.replace(job, cause=cause, least=least)


def schedule_change(
    partition: Partition, session: Session, change: Change, now_ms: int, *, gardened: bool = False
) -> Job:
    """Ask for a change of a session; return its job.

    What a newer one asks for takes the place of the older, or is added where they do not touch.
    `gardened` tells that it may be in a walled garden of which no change tells.
    """
    stored, action = session.stored, change.action
    uid = change_uid(stored.uid)
    before = partition.jobs.get(uid)
    job = Job(
        uid=uid,
        session=session.key,
        account=stored.account,
        cause=change.cause,
        state=SCHEDULED,
        due_ms=now_ms,
        created_ms=now_ms,
        noted_ms=now_ms,
        attempts=0,
        action=action.value,
        pending=action.value,
    )
    if before is not None:
        job = msgspec.structs.replace(
            job, treatment=before.treatment, wanted=before.wanted, applied=before.applied
        )
        if before.state != IN_FORCE:
            pending = dict.fromkeys([*before.pending.split(","), action.value])
            job = msgspec.structs.replace(
                job,
                created_ms=before.created_ms,
                attempts=before.attempts,
                pending=",".join(pending),
            )
    if action in (Action.THROTTLE, Action.REDIRECT):
        job = msgspec.structs.replace(job, treatment=action.value, wanted=change.wanted)
    elif action is Action.RESTORE:
        job = msgspec.structs.replace(job, treatment="", wanted="")
    if gardened:
        job = msgspec.structs.replace(job, applied=_with(job.applied, Action.REDIRECT))
    put(partition, job)
    return job


def transmit(job: Job, asked: str) -> Job:
    """Return a job of which something is about to be sent."""
    job = msgspec.structs.replace(job, state="sending", attempts=job.attempts + 1)
    if job.action != Action.CUT:
        return msgspec.structs.replace(job, applied=_with(job.applied, job.treatment))
    return msgspec.structs.replace(job, gardened=job.gardened or asked == Action.REDIRECT)


def settle_change(partition: Partition, job: Job, result: str, error_cause: int, now: int) -> bytes:
    """Note that the NAS has taken a change; return its event."""
    partition.job_agenda.discard(job.uid)
    settled = msgspec.structs.replace(
        job,
        state=IN_FORCE,
        noted_ms=now,
        result=result,
        error_cause=error_cause,
        pending="",
        applied=job.treatment,
    )
    partition.jobs[job.uid] = settled
    if not job.treatment:
        del partition.jobs[job.uid]
    return event_of(settled, IN_FORCE, now)


def _with(applied: str, treatment: str) -> str:
    parts = dict.fromkeys([*applied.split(","), treatment])
    return ",".join(part for part in parts if part)


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
    epoch = job.uid[:_UID_DIGITS]
    if session is None or not session.stored.open or session.stored.uid.hex() != epoch:
        return Verdict.ENDED, None
    if job.action != Action.CUT or job.cause == OPERATOR:
        return Verdict.HOLDS, session
    account = partition.accounts[session.stored.account]
    free = account.available
    enough = job.least < MAX_MICROS and (free is None or (free > 0 and free >= job.least))
    if not (account.suspended or account.closed) and (job.cause == SUSPENDED or enough):
        return Verdict.CREDIT, session
    if job.state == SCHEDULED and now_ms < job.due_ms:
        return Verdict.LATER, session
    return Verdict.HOLDS, session
