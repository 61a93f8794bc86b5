"""A batch of requests, from the socket to the answer: read, rate, commit, retry what is stale."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec
import structlog

from balances.errors import StoreError
from balances.keys import session_key
from balances.messages import Account, CommitResult, Found, Lookup, Status, Step, StoredSession
from balances.port import BalanceStore
from radius.engine import Request
from radius.records import AccountingRecord, AcctStatus
from ratewire.observer import Observer
from ratewire.outage import Outage
from ratewire.pipeline.credit import Credit
from ratewire.pipeline.hints import Hints
from ratewire.pipeline.progress import station_of
from ratewire.pipeline.raters import Raters
from ratewire.pipeline.steps import Booking, Deferred, Missing, Rater, Unclear
from ratewire.pipeline.tickets import grants_in

_log = structlog.get_logger(__name__)

# Named here for what is done for every record: see rating.money.
_COMMITTED = Status.COMMITTED
_NOTHING = CommitResult(0, [])
_OF_NAS = frozenset({AcctStatus.ACCOUNTING_ON, AcctStatus.ACCOUNTING_OFF})

#: A batch is tried this often before what is still stale is left to the NAS's retransmission.
MAX_ATTEMPTS = 8


class Archive(Protocol):
    """Sessions that the store does not know any more."""

    async def find(self, keys: Sequence[str]) -> Mapping[str, StoredSession]:
        """Return the newest epoch of each session that Postgres knows, with version 0.

        Raises ArchiveUnavailable if it cannot be asked.
        """
        ...


class ArchiveUnavailable(Exception):
    """Postgres cannot be asked now."""


class Booked(msgspec.Struct, frozen=True):
    """What came of a batch: the records whose effect is durable, and what ended the work on it.

    Without a failure, records that are left could not be booked although the store works.
    """

    done: Sequence[AccountingRecord]
    failure: StoreError | None = None

    def among(self, requests: Sequence[Request]) -> Sequence[Request]:
        """Return those of the requests whose records are durable; the records are all theirs."""
        if len(self.done) == len(requests):
            return requests
        # By identity: a record holds a dictionary, so it has no hash.
        durable = frozenset(map(id, self.done))
        return [request for request in requests if id(request.record) in durable]


class _Group:
    """The records of one session that are still to be booked, in order of arrival."""

    __slots__ = ("archived", "asked_archive", "asks_owner", "guessed", "key", "records")

    def __init__(self, key: str, record: AccountingRecord) -> None:
        self.key = key
        self.records = [record]
        self.archived: StoredSession | None = None
        self.asked_archive = False
        self.asks_owner = False
        self.guessed = False

    @property
    def lookup(self) -> Lookup:
        record = self.records[0]
        classes = record.classes
        return Lookup(
            self.key,
            record.nas,
            record.user_name or "",
            self.asks_owner,
            grants_in(classes) if classes else (),
            station_of(record) if record.status == AcctStatus.START else "",
        )


class Intake:
    """Handles batches; several may be in flight at once, since every step says what it expects."""

    def __init__(
        self,
        store: BalanceStore,
        raters: Raters,
        archive: Archive,
        observer: Observer,
        *,
        clock_ms: Callable[[], int],
    ) -> None:
        self._store = store
        self._raters = raters
        self._archive = archive
        self._observer = observer
        self._clock_ms = clock_ms
        self._hints = Hints()
        self._booking = Outage("booking accounting")
        self._asking_archive = Outage("looking up sessions in Postgres")

    async def handle(self, requests: Sequence[Request]) -> Sequence[Request]:
        """Book a batch; return the requests whose effect is durable, to be answered.

        The others must not be answered: the NAS will send them again. Never raises for the store
        or the archive being away; whatever was booked before is returned.
        """
        booked = await self.book([request.record for request in requests])
        self.leave(len(requests) - len(booked.done), booked.failure)
        return booked.among(requests)

    async def book(self, records: Sequence[AccountingRecord]) -> Booked:
        """Book a batch. Never raises for the store or the archive being away."""
        done: list[AccountingRecord] = []
        try:
            groups = await self._begin(records, done)
            for attempt in range(MAX_ATTEMPTS):
                if not groups:
                    break
                if attempt:
                    self._observer.count("retries", sum(len(g.records) for g in groups))
                groups = await self._attempt(groups, done, guess=not attempt)
        except StoreError as error:
            self._observer.count("store_errors")
            return Booked(done, error)
        return Booked(done)

    def leave(self, left: int, failure: StoreError | None) -> None:
        """Tell that so many records are not answered, and why if the store failed."""
        if failure is None:
            self._booking.works()
        else:
            self._booking.failed(failure)
        if left:
            self._observer.count("unanswered", left)

    async def probe(self) -> None:
        """Ask the store for a commit of nothing. Raises StoreError if it would take no record."""
        await self._store.commit([])

    async def _begin(
        self, records: Sequence[AccountingRecord], done: list[AccountingRecord]
    ) -> list[_Group]:
        """Mark boots, group the rest by session."""
        groups: dict[str, _Group] = {}
        boots: list[AccountingRecord] = []
        for record in records:
            if record.status in _OF_NAS:
                boots.append(record)
                continue
            key = session_key(record.nas, record.session_id)
            group = groups.get(key)
            if group is None:
                groups[key] = _Group(key, record)
            else:
                group.records.append(record)
        if boots:
            moved = await self._store.mark_boots([(each.nas, each.event_time) for each in boots])
            self._observer.count("nas_boot", sum(moved))
            self._observer.count("nas_boot_repeated", len(moved) - sum(moved))
            done += boots
        return list(groups.values())

    async def _attempt(
        self, groups: list[_Group], done: list[AccountingRecord], *, guess: bool
    ) -> list[_Group]:
        """Try each group once: what is durable goes to `done`, what is stale comes back.

        `guess` takes hints where there are some; else all is read.
        """
        rater, known = await self._look_up(groups, guess=guess)
        began = time.perf_counter()
        now_ms = self._clock_ms()
        credit = Credit()
        bookings: list[tuple[_Group, Booking]] = []
        missing: list[_Group] = []
        unclear: list[_Group] = []
        doubtful: list[_Group] = []
        for group, found, boot in known:
            try:
                outcome = rater.advance(
                    group.key,
                    group.records,
                    found,
                    boot=boot,
                    credit=credit,
                    archived=group.asked_archive,
                    owner_asked=group.asks_owner,
                    now_ms=now_ms,
                )
            except Exception:  # noqa: BLE001 - a fault in one session must not keep others waiting
                _log.exception("a session cannot be rated", session=group.key)
                outcome = Deferred("fault")
            if isinstance(outcome, Booking) and outcome.step is not None:
                bookings.append((group, outcome))
            elif found.state is not None:
                # No commit will tell whether the hint is right.
                self._hints.drop(group.key)
                doubtful.append(group)
            elif isinstance(outcome, Booking):
                bookings.append((group, outcome))
            elif isinstance(outcome, Missing):
                missing.append(group)
            elif isinstance(outcome, Unclear):
                group.asks_owner = True
                unclear.append(group)
            else:
                self._observer.count(f"deferred_{outcome.reason}", len(group.records))
                _log.error("records are not answered", reason=outcome.reason, session=group.key)
        rated = time.perf_counter()
        self._observer.stage("rate", rated - began)

        again = await self._commit(bookings, done)
        self._observer.stage("commit", time.perf_counter() - rated)
        return again + doubtful + unclear + await self._ask_archive(missing)

    async def _look_up(
        self, groups: list[_Group], *, guess: bool
    ) -> tuple[Rater, list[tuple[_Group, Found, int | None]]]:
        """Return what there is for each group, with the boot mark of its NAS; and the rater."""
        known: list[tuple[_Group, Found, int | None]] = []
        unknown: list[_Group] = []
        find = self._hints.find
        for group in groups:
            first = group.records[0]
            hint = find(group.key, first.nas, first.user_name) if guess else None
            group.guessed = hint is not None
            if hint is None:
                unknown.append(group)
            else:
                known.append((group, hint.found, hint.boot))
        if not unknown:
            return self._raters.latest, known
        began = time.perf_counter()
        snapshot = await self._store.read([group.lookup for group in unknown])
        rater = await self._raters.at(snapshot.plans_revision)
        if guess:
            for group, found in zip(unknown, snapshot.found, strict=True):
                self._hints.compare(group.key, group.records[0].nas, found.session)
        owners = await self._owners_of_archived(unknown)
        known += [
            (group, _known(found, group, owners), snapshot.boots.get(group.records[0].nas))
            for group, found in zip(unknown, snapshot.found, strict=True)
        ]
        self._observer.stage("read", time.perf_counter() - began)
        return rater, known

    async def _owners_of_archived(self, groups: list[_Group]) -> dict[str, Account]:
        """The accounts of the sessions that came from the archive, as they are now."""
        names = list({g.archived.account for g in groups if g.archived is not None})
        found = await self._store.accounts(names)
        return {account.account: account for account in found if account is not None}

    async def _commit(
        self, bookings: list[tuple[_Group, Booking]], done: list[AccountingRecord]
    ) -> list[_Group]:
        steps = [booking.step for _, booking in bookings if booking.step is not None]
        loose = [entry for _, each in bookings if each.step is None for entry in each.loose]
        result = _NOTHING
        if steps or loose:
            try:
                result = await self._store.commit(steps, loose)
            except StoreError:
                # Whether it was booked is not known.
                self._forget(steps)
                raise
        outcomes = iter(result.outcomes)
        booked: list[tuple[_Group, Booking]] = []
        again: list[_Group] = []
        for group, booking in bookings:
            step = booking.step
            status = _COMMITTED if step is None else next(outcomes).status
            if step is not None and group.guessed:
                self._hints.judge(step.nas, right=status is _COMMITTED)
            if status is _COMMITTED:
                booked.append((group, booking))
                if step is not None and booking.progress is not None:
                    self._hints.committed(
                        step,
                        booking.progress.account,
                        booking.progress.state,
                        held=booking.progress.held,
                        version=result.version,
                        seen_ms=result.now_ms,
                    )
                continue
            self._hints.drop(group.key)
            self._observer.count(f"commit_{status.name.lower()}")
            if status in (Status.BEYOND_BOUNDS, Status.FAULTY):
                _log.error("a step was refused", status=status.name, session=group.key)
            else:
                again.append(group)
        # What goes with a step waits for its outcome, so that the next attempt does not repeat it.
        loose = [entry for _, each in booked if each.step is not None for entry in each.loose]
        if loose:
            await self._store.commit([], loose)
        findings: Counter[tuple[str, ...]] = Counter()
        for group, booking in booked:
            findings[booking.findings] += 1
            if booking.done == len(group.records):
                done += group.records
                continue
            done += group.records[: booking.done]
            del group.records[: booking.done]
            again.append(group)
        for found, times in findings.items():
            for finding in found:
                self._observer.count(f"record_{finding}", times)
        return again

    def _forget(self, steps: Sequence[Step]) -> None:
        for step in steps:
            self._hints.drop(step.session)

    async def _ask_archive(self, missing: list[_Group]) -> list[_Group]:
        if not missing:
            return []
        try:
            archived = await self._archive.find([group.key for group in missing])
        except ArchiveUnavailable as error:
            # Whether the session is new cannot be told; its NAS will ask again.
            self._observer.count("deferred_archive", sum(len(g.records) for g in missing))
            self._asking_archive.failed(error)
            return []
        self._asking_archive.works()
        for group in missing:
            group.asked_archive = True
            group.archived = archived.get(group.key)
        return missing


def _known(found: Found, group: _Group, owners: Mapping[str, Account]) -> Found:
    """What was found, with the session of the archive where the store has none."""
    if found.session is not None or group.archived is None:
        return found
    account = owners.get(group.archived.account)
    return msgspec.structs.replace(found, session=group.archived, account=account)
