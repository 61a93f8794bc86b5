"""A session while its records are being rated: what it was, what it has become, what to book."""

import msgspec

from balances import entries
from balances.layout import MAX_STEP_ENTRIES
from balances.messages import (
    Account,
    Grant,
    SessionState,
    StoredSession,
    encode_state,
)
from radius.attributes import ACCT_DELAY_TIME, CALLING_STATION_ID
from radius.records import AccountingRecord, identity, text
from ratewire.pipeline.credit import Credit
from ratewire.pipeline.sharing import is_needed, sharing_of
from rating.plan import Plan
from rating.pool import Pool, encode_pool
from rating.quantity import Counters
from rating.reservation import Pace
from rating.session import Rated, moment_of
from rating.tally import Sharing, Tally, begin, total
from rating.tariff import AtMaximum
from rating.threshold import crossings
from rating.usage import Finding, Kind, Meter, Phase, Report

_pack = msgspec.msgpack.Encoder().encode

#: Most entries that a record adds to its session's step: it opens, uses, is odd, and closes.
_RECORD_ENTRIES = 4

#: What a step has besides: the end of an epoch, the account's pool, and its notices.
_STEP_ENTRIES = 3

# Looked up here for what is done for every record: see rating.money.
_KINDS = {int(kind): kind for kind in Kind}
_OPEN = Phase.OPEN
_SUSPECTED, _EARLIER_EPOCH = Finding.SUSPECTED, Finding.EARLIER_EPOCH

CLOSE_REASONS = {Phase.STOPPED: "stop", Phase.LOST: "lost", Phase.NAS_DOWN: "nas_down"}


def report_of(record: AccountingRecord) -> Report:
    """Return what rating needs of a record (Acct-Status-Type has the values of Kind)."""
    return Report(
        _KINDS[record.status],
        record.event_time,
        record.session_seconds,
        record.octets_in,
        record.octets_out,
    )


def reported_ms(record: AccountingRecord) -> int:
    """Return when the record was made, by our own clock (RFC 2866, section 5.2)."""
    delay = record.attributes.get(ACCT_DELAY_TIME)
    return record.arrived_ms - (int.from_bytes(delay) * 1000 if delay else 0)


def station_of(record: AccountingRecord) -> str:
    """Return the device of a record, as its login is found by it; empty if it names none."""
    station = record.attributes.get(CALLING_STATION_ID)
    return "" if station is None else text(station)


def counters_of(record: AccountingRecord) -> Counters:
    """Return the counters of a record as it sent them; what it did not send is 0."""
    return Counters(record.session_seconds or 0, record.octets_in or 0, record.octets_out or 0)


class Progress:
    """One session being worked on; `entries` and `charge` grow with each record."""

    __slots__ = (
        "account",
        "anomalies",
        "changed",
        "charge",
        "entries",
        "grant",
        "key",
        "nas",
        "plan",
        "pool",
        "sharing",
        "state",
        "stored",
        "uid",
    )

    def __init__(
        self,
        *,
        key: str,
        nas: str,
        uid: bytes,
        account: Account,
        plan: Plan,
        stored: StoredSession | None,
        state: SessionState,
        grant: Grant | None = None,
        sharing: Sharing | None = None,
        pool: Pool | None = None,
    ) -> None:
        self.key = key
        self.nas = nas
        self.uid = uid
        self.account = account
        self.plan = plan
        self.stored = stored
        self.state = state
        self.grant = grant
        self.sharing = sharing
        self.pool = pool
        self.entries: list[bytes] = []
        self.anomalies: list[bytes] = []
        self.charge = 0
        self.changed = False

    @property
    def meter(self) -> Meter:
        """The session's counters as they are now."""
        return self.state.meter

    @property
    def held(self) -> int:
        """What the store holds for the session, and for the login that it begins with."""
        held = self.stored.held if self.stored is not None and self.stored.open else 0
        return held if self.grant is None else held + self.grant.held

    @property
    def full(self) -> bool:
        """Whether one more record, and the end of the epoch, might be too much for one step."""
        there = len(self.entries) + len(self.anomalies)
        return there + _RECORD_ENTRIES + _STEP_ENTRIES > MAX_STEP_ENTRIES

    def share(self, credit: Credit) -> str:
        """Read what pricing needs beyond the counters; return why that cannot be, or nothing."""
        if self.sharing is not None or not is_needed(self.plan, self.account, self.state.tally):
            return ""
        state = self.state
        found = sharing_of(
            self.plan,
            self.account,
            credit,
            username=state.username,
            service="" if state.tally is None else state.tally.service,
            tally=state.tally,
        )
        if isinstance(found, str):
            return found
        self.sharing, self.pool = found, found.pool
        return ""

    @property
    def at_maximum(self) -> bool:
        """Whether the session costs all that it may, and is to end by that."""
        tariff, tally = self.plan.tariff, self.state.tally
        return (
            tally is not None
            and tariff.at_maximum is AtMaximum.CUT
            and tariff.maximum_micros is not None
            and total(self.plan, tally) >= tariff.maximum_micros
        )

    @property
    def new_pool(self) -> Pool | None:
        """What the account's sessions share now, if a charge has changed it."""
        sharing = self.sharing
        return None if sharing is None or sharing.pool == self.pool else sharing.pool

    def open_with(self, record: AccountingRecord, rated: Rated, now_ms: int) -> None:
        """Begin a session epoch with its first record; `state` is already that of the epoch."""
        self.changed = True
        self._book_opening(now_ms)
        self._note(record, rated, now_ms)
        if rated.usage:
            self._book_usage(record, rated, now_ms)
        if rated.meter.phase is not _OPEN:
            self._book_end(record.terminate_cause or 0, now_ms)

    def go_on_from(self, before: "Progress", now_ms: int) -> None:
        """Begin an epoch where the one before it has just ended, in the same step."""
        self.changed = True
        self.entries = before.entries
        self._book_opening(now_ms)

    def advance(self, record: AccountingRecord, rated: Rated, now_ms: int) -> None:
        """Take over what a record did to the session, and note what is to be booked for it."""
        before = self.state.meter
        self._note(record, rated, now_ms)
        if not rated.finding.changes:
            if self._is_sign_of_life(record, now_ms):
                meter = msgspec.structs.replace(before, last_event=record.event_time)
                self._become(meter, self.state.pace, reported_ms(record))
            return
        if self.sharing is not None:
            self.sharing.tally = rated.tally
        self._become(rated.meter, rated.pace, reported_ms(record))
        if rated.usage:
            self._book_usage(record, rated, now_ms)
        elif rated.meter.base != before.base:
            base = rated.meter.base
            self.entries.append(
                entries.encode(entries.Freed(self.uid, self.account.account, now_ms, base))
            )
        if rated.meter.phase is not _OPEN:
            self._book_end(record.terminate_cause or 0, now_ms)
        elif before.phase is not _OPEN:
            self.admit(admitted=False)
            self.entries.append(
                entries.encode(
                    entries.Reopened(self.uid, self.account.account, now_ms, record.event_time)
                )
            )

    def _is_sign_of_life(self, record: AccountingRecord, now_ms: int) -> bool:
        """Whether a record without anything new shows that an open session lives.

        Noted only when a good part of the time has passed after which it would be taken for lost.
        """
        stored = self.stored
        return (
            stored is not None
            and stored.open
            and record.event_time > self.state.meter.last_event
            and now_ms - stored.seen_ms > stored.quiet * 1000 // 3
        )

    def admit(self, *, admitted: bool) -> None:
        """Note whether the session has had the credit to begin."""
        if admitted is not self.state.admitted:
            self.state = msgspec.structs.replace(self.state, admitted=admitted)

    def give_up(self, phase: Phase, now_ms: int, reason: str | None = None) -> None:
        """Close the session without a record of its own."""
        meter = msgspec.structs.replace(self.state.meter, phase=phase)
        self._become(meter, self.state.pace, self.state.reported_ms)
        self._book_end(0, now_ms, reason)

    def _note(self, record: AccountingRecord, rated: Rated, now_ms: int) -> None:
        if rated.implausible:
            code = "implausible_counters"
        elif rated.finding is _SUSPECTED:
            code = "restart_suspected"
        elif rated.finding is _EARLIER_EPOCH:
            code = "earlier_epoch"
        elif rated.fell:
            code = "counter_fell"
        else:
            return
        self.note_anomaly(code, record, now_ms)

    def note_anomaly(self, code: str, record: AccountingRecord, now_ms: int) -> None:
        """Leave something for staff to see."""
        self.anomalies.append(
            entries.encode(
                entries.Anomaly(
                    self.uid,
                    self.account.account,
                    now_ms,
                    code,
                    record.event_time,
                    counters_of(record),
                )
            )
        )

    def _book_opening(self, now_ms: int) -> None:
        state = self.state
        _, _, acct_session_id = self.key.partition("|")
        self.entries.append(
            entries.encode(
                entries.Opened(
                    self.uid,
                    self.account.account,
                    now_ms,
                    self.key,
                    self.nas,
                    acct_session_id,
                    state.meter.epoch,
                    state.username,
                    state.plan,
                    state.plan_version,
                    state.currency,
                    state.meter.started,
                    state.meter.base,
                    state.identity,
                )
            )
        )

    def _become(self, meter: Meter, pace: Pace, at_ms: int) -> None:
        state = self.state
        self.changed = True
        self.state = SessionState(
            state.username,
            state.plan,
            state.plan_version,
            state.currency,
            meter,
            pace,
            max(at_ms, state.reported_ms),
            state.identity,
            state.admitted,
            state.tally if self.sharing is None else self.sharing.tally,
            state.garden,
        )

    def _book_usage(self, record: AccountingRecord, rated: Rated, now_ms: int) -> None:
        self.charge += rated.charge_micros
        self.entries.append(
            entries.encode(
                entries.Used(
                    self.uid,
                    self.account.account,
                    now_ms,
                    record.status,
                    record.event_time,
                    rated.usage,
                    rated.meter.used,
                    rated.charge_micros,
                    rated.meter.total_micros,
                    self.plan.name,
                    self.plan.version,
                    self.account.currency,
                    rated.lines,
                    rated.tally,
                )
            )
        )

    def book_pool(self, pool: Pool, now_ms: int) -> bytes:
        """Book what the account shares from now on, and what thresholds that crosses; packed."""
        account, plan, packed = self.account.account, self.plan, encode_pool(pool)
        crossed = crossings(plan.thresholds, plan.name, self.pool or Pool(), pool)
        if crossed:
            noticed = entries.Noticed(account, now_ms, plan.name, self.state.username, crossed)
            self.entries.append(entries.encode(noticed))
        self.entries.append(entries.encode(entries.Pooled(account, now_ms, packed)))
        return packed

    def _book_end(self, terminate_cause: int, now_ms: int, reason: str | None = None) -> None:
        meter = self.state.meter
        self.entries.append(
            entries.encode(
                entries.Closed(
                    self.uid,
                    self.account.account,
                    now_ms,
                    reason or CLOSE_REASONS[meter.phase],
                    terminate_cause,
                    meter.last_event,
                    meter.used,
                    meter.total_micros,
                )
            )
        )


def go_on(state: SessionState, plan: Plan, service: str) -> SessionState:
    """Return the state of the epoch in which a session goes on under another plan.

    Its usage counts from here. It has a tally of its own, whose seconds go on as they were.
    """
    meter = state.meter
    marks = meter.marks
    at = moment_of(state.tally, meter) if state.tally else max(meter.last_event, meter.started)
    return SessionState(
        username=state.username,
        plan=plan.name,
        plan_version=plan.version,
        currency=plan.tariff.currency,
        meter=msgspec.structs.replace(meter, epoch=meter.epoch + 1, base=marks, total_micros=0),
        pace=state.pace,
        reported_ms=state.reported_ms,
        identity=state.identity,
        admitted=state.admitted,
        tally=begin(plan, at - marks.seconds, at, service),
    )


def new_state(
    record: AccountingRecord, plan: Plan, meter: Meter, pace: Pace, tally: Tally | None = None
) -> SessionState:
    """Return the state of a session epoch that begins with a record."""
    return SessionState(
        username=record.user_name or "",
        plan=plan.name,
        plan_version=plan.version,
        currency=plan.tariff.currency,
        meter=meter,
        pace=pace,
        reported_ms=reported_ms(record),
        identity=msgspec.Raw(_pack(identity(record))),
        admitted=False,
        tally=tally,
    )


def stored_from_archive(
    uid: bytes, account: str, state: SessionState, *, is_open: bool
) -> StoredSession:
    """Return a session of the archive as if the store had it: with version 0, holding nothing."""
    return StoredSession(
        uid=uid,
        account=account,
        version=0,
        open=is_open,
        cutting=False,
        regrant=False,
        held=0,
        seen_ms=0,
        quiet=0,
        state=encode_state(state),
    )
