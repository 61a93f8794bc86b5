"""The independent model: what the books must hold, from the invariants of the design alone.

It is told what the store has done, the moment it is done, and reads the stream and the books
through the ports. It computes nothing with the code that made them: balances are sums, prices are
worked out anew (`prices`), usage is compared with what the NASes counted (`lives`).
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from balances.entries import (
    JOB_FIELD,
    LOOSE_FIELD,
    Anomaly,
    Closed,
    Opened,
    Reopened,
    Unrated,
    Used,
    decode,
    decode_job_event,
)
from balances.jobs import Job
from balances.messages import (
    AnyMovement,
    CommitResult,
    DropSubscriber,
    GrantAllowance,
    Lookup,
    OpenAccount,
    Position,
    Post,
    PutSubscriber,
    SetCalendar,
    SetLimits,
    SetStatus,
    Status,
    Step,
    StoredSession,
)
from radius.records import AccountingRecord, AcctStatus
from rating.plan import Plan
from rating.quantity import Counters
from tests.balances.world import World as Ports
from tests.simulation.clockwork import Clockwork
from tests.simulation.lives import ZERO, Name, Report, Triple, reaches
from tests.simulation.nas import BOOT_REPEAT_S
from tests.simulation.prices import price
from tests.simulation.road import Run

#: A session is not taken for lost sooner than this after its last record (ms): the shortest slice.
SHORTEST_SILENCE_MS = 10_000

#: Doubts under which it is still certain that nothing is charged twice.
NO_DOUBLE_CHARGE = frozenset({"unrated for a while"})


class Violation(BaseException):
    """An invariant does not hold. Nobody who catches exceptions gets over it."""


class Epoch(msgspec.Struct, eq=False):
    """What the stream says of a session epoch."""

    uid: bytes
    key: str
    number: int
    account: str
    plan: Plan
    base: Triple
    used: Triple = ZERO
    total: int = 0
    open: bool = True
    reported_ms: int = 0

    @property
    def marks(self) -> Triple:
        """The counters it stands at."""
        return _plus(self.base, self.used)


class Book(msgspec.Struct, eq=False):
    """What an account must come to."""

    moved: int = 0
    posted: int = 0
    charged: int = 0
    entries: int = 0
    limit: int | None = 0
    minimum: int = 0
    suspended: bool = False
    closed: bool = False
    shaken: bool = False

    def available(self, held: int) -> int | None:
        """What there is beyond what is held."""
        if self.limit is None:
            return None
        return self.posted - self.charged - held + self.limit - self.minimum


class Auditor:
    """Checks after each step; the witness of all that the store does (tests.simulation.road)."""

    def __init__(
        self,
        ports: Ports,
        run: Run,
        clockwork: Clockwork,
        plans: Mapping[tuple[str, int], Plan],
        name_of: Callable[[str], Name | None],
        posted: Mapping[str, Sequence[AnyMovement]],
        tell: Callable[[str], None] | None,
    ) -> None:
        """`tell`, if any, is told of every entry and outcome in a line."""
        self._ports = ports
        self._run = run
        self._clockwork = clockwork
        self._plans = plans
        self._name_of = name_of
        self._posted = posted
        self._tell = tell
        self.position = Position(1, 0)
        self.books: dict[str, Book] = defaultdict(Book)
        self.epochs: dict[bytes, Epoch] = {}
        self.of_key: dict[str, list[Epoch]] = defaultdict(list)
        self.held: dict[str, tuple[str, int]] = {}
        self.jobs: dict[str, Job] = {}
        self.notes: dict[str, list[Triple]] = defaultdict(list)
        self.steps = 0

    # What the store has done

    def committed(self, steps: Sequence[Step], result: CommitResult) -> None:
        """Check grants and charges of what was committed, one step after the other."""
        booked: dict[str, Step] = {}
        for step, outcome in zip(steps, result.outcomes, strict=True):
            if self._tell is not None:
                self._tell(f"{outcome.status.name} {step.session} grant {step.grant}/{step.want}")
            if outcome.status is not Status.COMMITTED:
                continue
            booked[step.uid.hex()] = step
            used = [entry for entry in map(decode, step.entries) if isinstance(entry, Used)]
            self._require(
                step.charge == sum(entry.charge_micros for entry in used) >= 0,
                "a step charges what its entries say",
                step.session,
            )
            book = self.books[step.account]
            book.charged += step.charge
            self.held.pop(step.session, None)
            there = book.available(self.held_for(step.account))
            self._require(
                there is None or 0 <= step.grant <= max(there, 0),
                "no more is granted than there is",
                (step.session, step.grant, there),
            )
            self._require(step.open or step.grant == 0, "what is closed holds nothing", step)
            if step.open:
                self.held[step.session] = (step.account, step.grant)
            if there is not None and there - step.grant < 0:
                book.shaken = True
        self._audit(booked)

    def moved(self, movements: Sequence[AnyMovement], applied: Sequence[int]) -> None:
        """Follow movements, each once and in its account's order."""
        for movement, done in zip(movements, applied, strict=True):
            book = self.books[movement.account]
            if movement.sequence == book.moved + 1:
                book.moved += 1
                book.shaken = True
                _move(book, movement)
            self._require(done == book.moved, "movements are applied in order", movement)
        self._audit({})

    def changed(self, what: str) -> None:
        """Look at the books after anything else."""
        if what == "due":  # whoever waited for it is marked now
            for book in self.books.values():
                book.shaken = False
        self._audit({})

    def rebuilt(self, generation: int) -> None:
        """The books began anew from Postgres: nothing is held, no job is live."""
        self.position = Position(generation, 0)
        self.held = {epoch.key: (epoch.account, 0) for epoch in self.epochs.values() if epoch.open}
        self.jobs.clear()
        for name, movements in self._posted.items():
            book = self.books[name]
            book.entries = 0
            for movement in movements[book.moved :]:
                _move(book, movement)
            book.moved = len(movements)
        for epoch in self.epochs.values():
            epoch.reported_ms = self._clockwork.now_ms
        self._audit({})

    def answering(self, record: AccountingRecord) -> None:
        """A record is answered now: what it says must be in what was committed."""
        if record.status in (AcctStatus.ACCOUNTING_ON, AcctStatus.ACCOUNTING_OFF):
            snapshot = self._run(self._ports.hot.read([Lookup("", record.nas)]))
            mark = snapshot.boots.get(record.nas)
            self._require(
                mark is not None and record.event_time <= mark + BOOT_REPEAT_S,
                "an Accounting-On is answered when it is marked",
                record.nas,
            )
            return
        key = f"{record.nas}|{record.session_id}"
        told = (record.session_seconds or 0, record.octets_in or 0, record.octets_out or 0)
        reached = [epoch for epoch in self.of_key[key] if reaches(epoch.marks, told)]
        self._require(
            bool(reached) or any(reaches(note, told) for note in self.notes[key]),
            "what is acknowledged is committed",
            (key, told),
        )
        if record.status is AcctStatus.STOP and reached and not self.notes[key]:
            name = self._name_of(key)
            if name is not None and not name.doubts and len(name.lives) == 1:
                self._require(not self.of_key[key][-1].open, "an acknowledged Stop has closed", key)

    def kept(self, report: Report) -> None:
        """A NAS heard that a record is kept."""
        if report.life is not None:
            self._check_name(report.life.name)

    def check_may_be_up(self, key: str) -> None:
        """A session is up although everybody obeyed for long: nothing may stand against it."""
        epochs = self.of_key[key]
        if epochs and epochs[-1].open:
            book = self.books[epochs[-1].account]
            self._require(
                not (book.suspended or book.closed), "who is suspended is off in the end", key
            )

    # What must hold

    def held_for(self, account: str) -> int:
        """Return what the open sessions of an account hold."""
        return sum(held for owner, held in self.held.values() if owner == account)

    def used_of(self, key: str) -> Triple:
        """Return what was charged under a session key, over its epochs."""
        total = ZERO
        for epoch in self.of_key[key]:
            total = _plus(total, epoch.used)
        return total

    def _audit(self, booked: Mapping[str, Step]) -> None:
        self.steps += 1
        touched = self._follow_stream()
        for name in touched:
            self._check_name(name)
        self._check_accounts()
        sessions = self._check_sessions()
        self._check_jobs(booked, sessions)

    def _check_name(self, name: Name) -> None:
        """What was acknowledged is charged, and what is charged has arrived: no more, no less."""
        used = self.used_of(name.key)
        if not name.doubts:
            self._require(
                reaches(used, name.kept()), "what is acknowledged is charged", (name, used)
            )
        if name.doubts <= NO_DOUBLE_CHARGE:
            self._require(reaches(name.arrived(), used), "nothing is charged twice", (name, used))

    def _check_accounts(self) -> None:
        names = list(self.books)
        for name, audit in zip(names, self._run(self._ports.keeping.inspect(names)), strict=True):
            book = self.books[name]
            if audit is None:
                self._require(book.moved == 0, "an account that was opened is there", name)
                continue
            account = audit.account
            held = self.held_for(name)
            self._require(
                account.balance == book.posted - book.charged,
                "balance = movements - charges",
                (account, book),
            )
            self._require(
                account.reserved == audit.held == held, "reserved = held by sessions", (audit, held)
            )
            self._require(
                (account.charged, account.moved, account.credit_limit, account.minimum)
                == (book.entries, book.moved, book.limit, book.minimum)
                and (account.suspended, account.closed) == (book.suspended, book.closed),
                "an account is as its movements made it",
                (account, book),
            )

    def _check_sessions(self) -> dict[str, StoredSession]:
        """Every epoch that is open by the stream is open in the store, and holds what it should."""
        keys = list(self.held)
        lookups = [Lookup(key, key.partition("|")[0]) for key in keys]
        sessions: dict[str, StoredSession] = {}
        for key, found in zip(keys, self._run(self._ports.hot.read(lookups)).found, strict=True):
            stored = found.session
            epoch = self.of_key[key][-1]
            self._require(epoch.open, "what holds is open", epoch)
            self._require(
                stored is not None
                and stored.open
                and stored.uid == epoch.uid
                and stored.account == epoch.account
                and stored.held == self.held[key][1],
                "an open session is in the store",
                (stored, epoch),
            )
            assert stored is not None
            sessions[stored.uid.hex()] = stored
        return sessions

    def _check_jobs(
        self, booked: Mapping[str, Step], sessions: Mapping[str, StoredSession]
    ) -> None:
        live = self._run(self._ports.jobs.live_jobs(1000))
        jobs = {job.uid: job for job in live}
        self._require(len(jobs) == len(live), "one live job for a session epoch", live)
        for uid in jobs:
            self._require(uid in sessions, "a job is of an open session", jobs[uid])
        for uid, stored in sessions.items():
            self._require(stored.cutting == (uid in jobs), "who is to be cut has a job", stored)
            if stored.cutting or stored.regrant:
                continue
            book = self.books[stored.account]
            available = book.available(self.held_for(stored.account))
            has_nothing = available is not None and available < 0 and not stored.held
            self._require(
                book.shaken or not (has_nothing or book.suspended or book.closed),
                "who has nothing in an overdrawn account, or is suspended, is cut",
                (stored.uid, available),
            )
        for uid, job in self.jobs.items():
            if uid in jobs or uid not in sessions:
                continue
            step = booked.get(uid)
            book = self.books[job.account]
            self._require(
                job.cause != "operator"
                and step is not None
                and step.cut_after_ms is None
                and not (book.suspended or book.closed),
                "a job ends by a Stop, by silence or by credit",
                job,
            )
        self.jobs = jobs

    # The stream

    def _follow_stream(self) -> list[Name]:
        touched: dict[str, None] = {}
        while True:
            found = self._run(self._ports.stream.entries_after(self.position, 100))
            for entry in found:
                self._require(
                    entry.position
                    == Position(self.position.generation, self.position.sequence + 1),
                    "the stream has no gap",
                    entry.position,
                )
                self.position = entry.position
                for field, value in entry.items:
                    if field == JOB_FIELD:
                        self._follow_job(decode_job_event(value))
                    else:
                        self._follow(field, decode(value), touched)
            if not found:
                break
        return [name for key in touched if (name := self._name_of(key)) is not None]

    def _follow_job(self, event: Any) -> None:
        if self._tell is not None:
            self._tell(f"job {event.event} {event.session} {event.cause} {event.result}")
        epoch = self.epochs[bytes.fromhex(event.uid)]
        if event.event == "proven":
            self._require(
                not epoch.open or epoch is not self.of_key[epoch.key][-1],
                "a job is proven when its session is over",
                event,
            )

    def _follow(self, field: bytes, entry: Any, touched: dict[str, None]) -> None:
        if self._tell is not None:
            self._tell(f"{field.decode()} {entry}")
        if isinstance(entry, Unrated):
            key = f"{entry.nas}|{entry.acct_session_id}"
            self.notes[key].append(_triple(entry.counters))
            name = self._name_of(key)
            if name is not None:
                name.doubts.add("unrated for a while")
            return
        if field != LOOSE_FIELD:
            book = self.books[entry.account]
            book.entries += 1
            self._require(int(field) == book.entries, "charges are numbered", (field, entry))
        if isinstance(entry, Opened):
            self._open(entry)
            touched[entry.session] = None
            return
        epoch = self.epochs[entry.uid]
        touched[epoch.key] = None
        self._require(epoch.account == entry.account, "an epoch has one account", entry)
        match entry:
            case Used():
                self._use(epoch, entry)
            case Closed():
                self._close(epoch, entry)
            case Reopened():
                self._require(not epoch.open, "what is open is not reopened", entry)
                epoch.open = True
            case Anomaly():
                self.notes[epoch.key].append(_triple(entry.counters))
            case _:
                raise Violation(f"an entry of no kind: {entry}")

    def _open(self, entry: Opened) -> None:
        before = self.of_key[entry.session]
        self._require(entry.uid not in self.epochs, "an epoch opens once", entry)
        self._require(
            not (before and before[-1].open), "an epoch ends before the next begins", entry
        )
        number = before[-1].number + 1 if before else 0
        self._require(entry.epoch == number, "epochs count", entry)
        base = _triple(entry.base)
        epoch = Epoch(
            entry.uid, entry.session, entry.epoch, entry.account,
            self._plans[entry.plan, entry.plan_version], base, reported_ms=self._clockwork.now_ms,
        )  # fmt: skip
        self.epochs[entry.uid] = epoch
        before.append(epoch)

    def _use(self, epoch: Epoch, entry: Used) -> None:
        after = _triple(entry.used)
        self._require(
            after == _plus(epoch.used, _triple(entry.usage))
            and reaches(after, epoch.used)
            and after != epoch.used,
            "usage moves the high-water marks",
            (epoch, entry),
        )
        cost = price(epoch.plan, after)
        self._require(
            entry.total_micros == cost and entry.charge_micros == cost - epoch.total,
            "charges are the price of the high-water usage",
            (epoch, entry, cost),
        )
        epoch.used, epoch.total = after, cost
        epoch.reported_ms = self._clockwork.now_ms

    def _close(self, epoch: Epoch, entry: Closed) -> None:
        self._require(
            _triple(entry.used) == epoch.used and entry.total_micros == epoch.total,
            "an epoch ends at its figures",
            (epoch, entry),
        )
        if entry.reason == "lost" and epoch.open:
            silent_ms = self._clockwork.now_ms - epoch.reported_ms
            self._require(
                silent_ms >= SHORTEST_SILENCE_MS, "lost is only who was silent", (epoch, silent_ms)
            )
        epoch.open = False

    def _require(self, holds: bool, what: str, about: object) -> None:
        if not holds:
            raise Violation(f"not so: {what}: {about}")

    # The end

    def finally_(self, names: Sequence[Name], settled: Mapping[str, int], at: Position) -> None:
        """All is calm: nothing is open, nothing is held, and everybody has counted the same."""
        for epoch in self.epochs.values():
            self._require(not epoch.open, "in the end all sessions are closed", epoch)
        self._require(at == self.position, "in the end all is settled", (at, self.position))
        self._require(not self.jobs, "in the end no job is live", self.jobs)
        for name, book in self.books.items():
            self._require(
                settled.get(name, 0) == book.charged, "ledger = store", (name, settled.get(name))
            )
            self._require(self.held_for(name) == 0, "in the end nothing is reserved", name)
            total = sum(each.total for each in self.epochs.values() if each.account == name)
            self._require(book.charged == total, "charges = prices of the epochs", name)
        totals = self._run(self._ports.keeping.books()).totals["EUR"]
        balance = sum(book.posted - book.charged for book in self.books.values())
        self._require(
            (totals.balance, totals.reserved) == (balance, 0), "totals of the books", totals
        )
        for name in names:
            self._check_name(name)
            finished = all(life.stop_kept for life in name.lives)
            if finished and not name.doubts:
                counted, used = name.kept(), self.used_of(name.key)
                self._require(
                    counted == used, "what NASes counted is charged, to the octet", (name, used)
                )


def _move(book: Book, movement: AnyMovement) -> None:
    match movement:
        case Post():
            book.posted += movement.amount
        case OpenAccount() | SetLimits():
            book.limit, book.minimum = movement.credit_limit, movement.minimum
        case SetStatus():
            book.suspended, book.closed = movement.suspended, movement.closed
        case PutSubscriber() | DropSubscriber() | GrantAllowance() | SetCalendar():
            pass


def _triple(counters: Counters) -> Triple:
    return counters.seconds, counters.octets_in, counters.octets_out


def _plus(one: Triple, other: Triple) -> Triple:
    return one[0] + other[0], one[1] + other[1], one[2] + other[2]
