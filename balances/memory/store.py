"""The store in memory: every port of balances.port, over one partition."""

import asyncio
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence

import msgspec

from balances.errors import StoreRefused
from balances.jobs import Action, Change, Job
from balances.keys import all_pointers, parts_of
from balances.memory import enforcement, granting
from balances.memory.booking import Booking, Moving
from balances.memory.enforcement import Verdict
from balances.memory.partition import Partition, Roster, Session, Wake
from balances.messages import (
    Account,
    AccountAudit,
    AnyMovement,
    Books,
    Claim,
    ClaimedJob,
    CommitResult,
    Due,
    DueSession,
    Found,
    Grant,
    Login,
    LoginOutcome,
    Lookup,
    Position,
    RestoredSession,
    Snapshot,
    Step,
    StoredSession,
    StreamEntry,
    Subscriber,
)

#: A second Accounting-On this soon after another is the same one, resent without its delay.
BOOT_REPEAT_S = 30

#: What is published for listeners to read.
PUBLISHED = ("plans", "nas")


class MemoryStore:
    """The books of one partition. `clock` returns the time in Unix ms, and never goes back.

    No method waits for anything, except `entries_after` for an entry.
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._partition = Partition()
        self._waiting: list[tuple[Position, asyncio.Future[None]]] = []

    # BalanceStore

    async def read(self, lookups: Sequence[Lookup]) -> Snapshot:
        partition, now_ms = self._partition, self._clock()
        partition.require_open_books()
        names = dict.fromkeys(lookup.nas for lookup in lookups)
        return Snapshot(
            now_ms,
            await self.revision("plans"),
            {name: partition.boots[name] for name in names if name in partition.boots},
            [self._find(lookup, now_ms) for lookup in lookups],
        )

    def _find(self, lookup: Lookup, now_ms: int) -> Found:
        partition = self._partition
        session = partition.session(lookup.session, now_ms)
        stored = session.stored if session else None
        subscriber = None
        if lookup.username and (lookup.always or not (stored and stored.open)):
            subscriber = partition.subscribers.get(lookup.username)
        return Found(
            stored,
            partition.accounts.get(stored.account) if stored else None,
            subscriber,
            partition.accounts.get(subscriber.account) if subscriber else None,
            None if stored and stored.open else self._grant(lookup),
        )

    def _grant(self, lookup: Lookup) -> Grant | None:
        partition = self._partition
        _, acct_session_id = parts_of(lookup.session)
        pointers = all_pointers(lookup.nas, acct_session_id, lookup.username, lookup.station)
        candidates = [*lookup.grants, *(partition.pointers.get(each, b"") for each in pointers)]
        for uid in candidates:
            kept = partition.grants.get(uid)
            if lookup.username and kept is not None and kept.username == lookup.username:
                return Grant(uid, kept.account, kept.held, kept.username)
        return None

    async def commit(self, steps: Sequence[Step], loose: Sequence[bytes] = ()) -> CommitResult:
        self._partition.require_open_books()
        now_ms = self._clock()
        booking = Booking(self._partition, now_ms)
        outcomes = booking.book(list(steps), list(loose))
        self._tell_waiting()
        return CommitResult(now_ms, outcomes, booking.version)

    async def accounts(self, names: Sequence[str]) -> list[Account | None]:
        return [self._partition.accounts.get(name) for name in names]

    async def mark_boot(self, nas: str, event_time: int) -> bool:
        self._partition.require_open_books()
        mark = self._partition.boots.get(nas)
        if mark is not None and event_time <= mark + BOOT_REPEAT_S:
            return False
        self._partition.boots[nas] = event_time
        self._partition.sweeps.add(nas)
        if mark is None:
            self._partition.forget_boots(self._clock())
        return True

    async def mark_boots(self, marks: Sequence[tuple[str, int]]) -> list[bool]:
        return [await self.mark_boot(nas, event_time) for nas, event_time in marks]

    # Movements, Directory

    async def apply(self, movements: Sequence[AnyMovement]) -> list[int]:
        self._partition.require_open_books()
        moving = Moving(self._partition)
        applied = [moving.move(movement) for movement in movements]
        moving.keep()
        return applied

    async def publish(self, what: str, revision: int, values: Mapping[str, bytes]) -> None:
        if what not in PUBLISHED:
            raise StoreRefused(f"{what} cannot be published: plans and nas can")
        there = self._partition.published.get(what)
        if there is None or there[0] < revision:
            self._partition.published[what] = (revision, dict(values))

    async def published(self, what: str) -> tuple[int, dict[str, bytes]]:
        revision, values = self._partition.published.get(what, (0, {}))
        return revision, dict(values)

    async def revision(self, what: str) -> int:
        return self._partition.published.get(what, (0, {}))[0]

    # Sweeps

    async def due(self, limit: int, lease_ms: int) -> Due:
        partition, now_ms = self._partition, self._clock()
        partition.require_open_books()
        self._wake_waiting(now_ms)
        sessions: list[DueSession] = []
        for key in partition.looks.take(now_ms, limit):
            session = partition.sessions[key]
            session.leased_until_ms = now_ms + lease_ms
            partition.looks.set(key, session.leased_until_ms)
            assert session.stored.regrant or session.silent_ms <= now_ms, session
            sessions.append(DueSession(key, session.stored))
        return Due(now_ms, partition.looks.next_ms(), sessions)

    def _wake_waiting(self, now_ms: int) -> None:
        partition = self._partition
        for account, which in partition.waking:
            for key in partition.open_of_account.get(account, ()):
                session = partition.sessions[key]
                if _is_meant(which, session):
                    partition.wake(session, now_ms)
        partition.waking.clear()

    async def pending_sweeps(self) -> dict[str, int]:
        return {nas: self._partition.boots[nas] for nas in sorted(self._partition.sweeps)}

    async def sessions_of_nas(self, nas: str, cursor: int, count: int) -> tuple[int, list[str]]:
        return self._partition.open_of_nas.get(nas, Roster()).after(cursor, count)

    async def swept(self, nas: str, mark: int) -> None:
        if self._partition.boots.get(nas) == mark:
            self._partition.sweeps.discard(nas)

    # JobQueue

    async def claim_jobs(self, limit: int, lease_ms: int) -> Claim:
        partition, now_ms = self._partition, self._clock()
        partition.require_open_books()
        claimed: list[ClaimedJob] = []
        events: list[bytes] = []
        for uid in partition.job_agenda.take(now_ms, limit):
            job = partition.jobs[uid]
            verdict, session = enforcement.judge(partition, job, now_ms)
            if session is None:
                over = "proven" if job.action == Action.CUT else "ended"
                events += enforcement.finish(partition, uid, over, now_ms)
                continue
            later = job.due_ms if verdict is Verdict.LATER else now_ms + lease_ms
            partition.job_agenda.set(uid, later)
            if verdict is Verdict.CREDIT:
                partition.wake(session, now_ms)
            elif verdict is Verdict.HOLDS:
                claimed.append(_claimed(job, session.stored))
        partition.append_events(events)
        self._tell_waiting()
        return Claim(now_ms, partition.job_agenda.next_ms(), claimed)

    async def put_off_jobs(self, waits: Mapping[str, int]) -> None:
        partition, now_ms = self._partition, self._clock()
        partition.require_open_books()
        for uid, again_in_ms in waits.items():
            if uid in partition.jobs:
                partition.job_agenda.set(uid, now_ms + again_in_ms)

    async def may_transmit(self, uid: str, lease_ms: int, asked: str = "") -> bool:
        partition, now_ms = self._partition, self._clock()
        partition.require_open_books()
        job = partition.jobs.get(uid)
        if job is None:
            return False
        verdict, session = enforcement.judge(partition, job, now_ms)
        if verdict is Verdict.HOLDS and job.action != Action.CUT and asked != job.asked:
            partition.job_agenda.set(uid, now_ms)  # something else is asked for meanwhile
            return False
        if verdict is Verdict.HOLDS:
            partition.jobs[uid] = enforcement.transmit(job, asked)
            partition.job_agenda.set(uid, now_ms + lease_ms)
            return True
        partition.job_agenda.set(uid, job.due_ms if verdict is Verdict.LATER else now_ms)
        if verdict is Verdict.CREDIT:
            assert session is not None
            partition.wake(session, now_ms)
        return False

    async def report_job(
        self,
        uid: str,
        state: str,
        result: str,
        error_cause: int,
        again_in_ms: int,
        asked: str = "",
    ) -> bool:
        partition, now_ms = self._partition, self._clock()
        partition.require_open_books()
        job = partition.jobs.get(uid)
        if job is None:
            return False
        noted = msgspec.structs.replace(job, result=result, error_cause=error_cause)
        # A deadline that was set meanwhile stands: what was sent belonged to the one before it. So
        # does a newer change.
        stands = job.state == enforcement.SCHEDULED and job.due_ms > now_ms
        if job.action != Action.CUT:
            stands = asked != job.asked
        if state == enforcement.IN_FORCE and not stands:
            event = enforcement.settle_change(partition, job, result, error_cause, now_ms)
            partition.append_events([event])
            self._tell_waiting()
            return True
        if not stands:
            noted = msgspec.structs.replace(
                noted,
                state=state,
                due_ms=now_ms + again_in_ms,
                noted_ms=job.noted_ms if state == job.state else now_ms,
            )
        enforcement.put(partition, noted)
        partition.append_events([enforcement.event_of(noted, state, now_ms)])
        self._tell_waiting()
        return True

    async def request_disconnect(self, session: str) -> str | None:
        partition, now_ms = self._partition, self._clock()
        partition.require_open_books()
        kept = partition.session(session, now_ms)
        if kept is None or not kept.stored.open:
            return None
        uid = kept.stored.uid.hex()
        job = partition.jobs.get(uid)
        if job is None:
            enforcement.schedule(
                partition, kept, enforcement.OPERATOR, now_ms, now_ms, granted=False
            )
            kept.stored = msgspec.structs.replace(kept.stored, cutting=True)
        else:
            asked = msgspec.structs.replace(job, cause=enforcement.OPERATOR, due_ms=now_ms)
            enforcement.put(partition, asked)
        event = enforcement.event_of(partition.jobs[uid], "requested", now_ms)
        partition.append_events([event])
        self._tell_waiting()
        return uid

    async def request_change(self, session: str, change: Change) -> str | None:
        partition, now_ms = self._partition, self._clock()
        partition.require_open_books()
        kept = partition.session(session, now_ms)
        if kept is None or not kept.stored.open:
            return None
        job = enforcement.schedule_change(partition, kept, change, now_ms)
        partition.append_events([enforcement.event_of(job, "requested", now_ms)])
        self._tell_waiting()
        return job.uid

    async def treatments(self, uids: Sequence[bytes]) -> list[tuple[str, str]]:
        jobs = [self._partition.jobs.get(enforcement.change_uid(uid)) for uid in uids]
        return [("", "") if job is None else (job.treatment, job.wanted) for job in jobs]

    async def live_jobs(self, limit: int) -> list[Job]:
        return [self._partition.jobs[uid] for uid in self._partition.job_agenda.soonest(limit)]

    # Logins

    async def login(self, login: Login) -> LoginOutcome:
        self._partition.require_open_books()
        return granting.book_login(self._partition, login, self._clock())

    async def open_sessions(self, account: str, most: int) -> list[tuple[str, StoredSession]]:
        keys = list(self._partition.open_of_account.get(account, ()))[:most]
        return [(key, self._partition.sessions[key].stored) for key in keys]

    async def count_failure(self, who: str, forget_ms: int) -> int:
        now_ms = self._clock()
        number, until_ms = self._partition.failures.get(who, (0, now_ms))
        number = number + 1 if now_ms < until_ms else 1
        self._partition.failures[who] = (number, now_ms + forget_ms)
        return number

    async def forget_failures(self, who: str) -> None:
        self._partition.failures.pop(who, None)

    async def hold(self, who: str, hold_ms: int) -> None:
        self._partition.holds[who] = self._clock() + hold_ms

    async def is_held(self, who: str) -> tuple[bool, bool]:
        now_ms = self._clock()
        _, until_ms = self._partition.failures.get(who, (0, 0))
        return now_ms < self._partition.holds.get(who, 0), now_ms < until_ms

    async def release_grants(self, uids: list[bytes]) -> int:
        self._partition.require_open_books()
        return granting.release(self._partition, uids)

    async def expire_grants(self, limit: int) -> tuple[int, int | None]:
        partition = self._partition
        partition.require_open_books()
        due = [bytes.fromhex(uid) for uid in partition.grant_agenda.take(self._clock(), limit)]
        return granting.release(partition, due), partition.grant_agenda.next_ms()

    # SettlementStream

    async def entries_after(
        self, position: Position, count: int, wait_ms: int = 0
    ) -> list[StreamEntry]:
        if wait_ms and not self._after(position, 1):
            waiting = (position, asyncio.get_running_loop().create_future())
            self._waiting.append(waiting)
            try:
                await asyncio.wait([waiting[1]], timeout=wait_ms / 1000)
            finally:
                self._waiting = [other for other in self._waiting if other is not waiting]
        return self._after(position, count)

    def _after(self, position: Position, count: int) -> list[StreamEntry]:
        entries = self._partition.entries
        first = bisect_right(entries, position, key=lambda entry: entry.position)
        return entries[first : first + count]

    def _tell_waiting(self) -> None:
        """Let those go on who wait for an entry that is there now."""
        for position, appended in self._waiting:
            if self._after(position, 1) and not appended.done():
                appended.set_result(None)

    async def trim(self, position: Position) -> None:
        entries = self._partition.entries
        del entries[: bisect_right(entries, position, key=lambda entry: entry.position)]

    # BookKeeping

    async def initialise(self, generation: int) -> Position:
        if self._partition.generation is None:
            self._partition.begin(generation)
        return self._partition.position()

    async def books(self) -> Books:
        partition = self._partition
        partition.require_books()
        return Books(
            position=partition.position(),
            settled_lag=len(partition.entries),
            accounts=len(partition.accounts),
            open_sessions=len(partition.looks),
            live_jobs=len(partition.job_agenda),
            fence=partition.fence,
            totals=partition.totals(),
        )

    async def fence(self, reason: str) -> Position:
        self._partition.fence = reason or None
        return self._partition.position()

    async def boots(self) -> dict[str, int]:
        return dict(self._partition.boots)

    async def inspect(self, accounts: Sequence[str]) -> list[AccountAudit | None]:
        return [self._audit(name) for name in accounts]

    def _audit(self, name: str) -> AccountAudit | None:
        partition = self._partition
        account = partition.accounts.get(name)
        if account is None:
            return None
        held = [
            partition.sessions[key].stored.held for key in partition.open_of_account.get(name, ())
        ]
        held_in_all = sum(held) + granting.held_by_grants(partition, name)
        return AccountAudit(account, held_in_all, len(held))

    # Restoration

    async def fenced(self) -> str | None:
        return self._partition.fence

    async def restore_boots(self, marks: Mapping[str, int]) -> None:
        self._require_fence()
        partition = self._partition
        for nas, mark in marks.items():
            partition.boots[nas] = max(mark, partition.boots.get(nas, mark))
            partition.sweeps.add(nas)

    async def restart(self, generation: int) -> None:
        self._require_fence()
        self._partition.begin(generation)
        self._partition.clear()

    async def restore_accounts(self, accounts: Sequence[Account]) -> None:
        self._require_fence()
        for account in accounts:
            self._partition.accounts[account.account] = msgspec.structs.replace(account, reserved=0)

    async def restore_subscribers(self, subscribers: Sequence[tuple[str, Subscriber]]) -> None:
        self._require_fence()
        self._partition.subscribers |= dict(subscribers)

    async def restore_sessions(self, sessions: Sequence[RestoredSession]) -> None:
        self._require_fence()
        partition, now_ms = self._partition, self._clock()
        for restored in sessions:
            stored = StoredSession(
                uid=restored.uid,
                account=restored.account,
                version=partition.version,
                open=restored.open,
                cutting=False,
                regrant=False,
                held=0,
                seen_ms=now_ms,
                quiet=restored.quiet,
                state=restored.state,
            )
            session = Session(restored.session, restored.nas, stored)
            partition.put_session(session, now_ms)
            if restored.open:
                partition.wake(session, now_ms)

    def _require_fence(self) -> None:
        if self._partition.fence is None:
            raise StoreRefused("books are restored behind a fence only")


def _claimed(job: Job, stored: StoredSession) -> ClaimedJob:
    return ClaimedJob(
        job.uid,
        job.session,
        job.cause,
        job.state,
        job.attempts,
        job.noted_ms,
        stored,
        job.action,
        job.treatment,
        job.wanted,
        job.pending,
        job.applied,
    )


def _is_meant(which: Wake, session: Session) -> bool:
    """Whether a session is one of those to be woken."""
    match which:
        case Wake.ALL:
            return True
        case Wake.CUTTING:
            return session.stored.cutting
        case Wake.HOLDING:
            return session.stored.held > 0
