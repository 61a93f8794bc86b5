"""A worker that reports usage to the store as the listener's does, without RADIUS.

It reads, rates, commits, and rates again what was stale.
"""

import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

import msgspec

from balances import entries
from balances.keys import session_key
from balances.messages import (
    Account,
    CutCause,
    Found,
    Lookup,
    SessionState,
    Status,
    Step,
    StoredSession,
    decode_state,
    encode_state,
)
from rating.plan import Plan
from rating.reservation import Pace, size
from rating.session import Rated, rate
from rating.usage import Finding, Kind, Phase, Report, close
from tests.billing.settlement.world import Books

Archive = Callable[[Sequence[str]], Awaitable[Mapping[str, StoredSession]]]

IDENTITY = msgspec.Raw(msgspec.msgpack.encode(("pop1", "pop1/10.0.0.1", "10.0.0.1")))

_CLOSE_REASONS = {Phase.STOPPED: "stop", Phase.LOST: "lost", Phase.NAS_DOWN: "nas_down"}


class SessionReport(msgspec.Struct, frozen=True):
    """What a NAS reports of a session."""

    session: str
    username: str
    report: Report
    nas: str = "pop1/10.0.0.1"

    @property
    def key(self) -> str:
        """The session's key in the store."""
        return session_key(self.nas, self.session)


def interim(
    session: str, username: str, at: int, octets: int, *, seconds: int = 0
) -> SessionReport:
    """An Interim-Update with cumulative octets, one tenth of them upload."""
    octets_in = octets // 10
    report = Report(Kind.INTERIM, at, seconds, octets_in, octets - octets_in)
    return SessionReport(session, username, report)


def stop(session: str, username: str, at: int, octets: int, *, seconds: int = 0) -> SessionReport:
    """A Stop with cumulative octets."""
    there = interim(session, username, at, octets, seconds=seconds)
    return msgspec.structs.replace(
        there, report=msgspec.structs.replace(there.report, kind=Kind.STOP)
    )


class Unanswered(Exception):
    """The store lacks the user name of a report, or its account: it cannot be rated now."""


class Worker:
    """Books reports in the store as a worker of the listener does.

    `archive` finds sessions that the store does not know; without one they are new.
    """

    def __init__(
        self,
        books: Books,
        plans: Iterable[Plan],
        *,
        archive: Archive | None = None,
    ) -> None:
        self._store = books.store
        self._plans = {plan.name: plan for plan in plans}
        self._archive = archive
        self.charged = 0

    async def report(self, *reports: SessionReport) -> None:
        """Book the reports, each of another session; until all are committed."""
        pending = list(reports)
        for _ in range(50):
            lookups = [Lookup(one.key, one.nas, one.username) for one in pending]
            snapshot = await self._store.read(lookups)
            archived = await self._archived(pending, snapshot.found)
            taken: dict[str, tuple[int, int]] = {}
            steps = [
                self._step(one, archived.get(one.key, found), snapshot.now_ms, taken)
                for one, found in zip(pending, snapshot.found, strict=True)
            ]
            outcomes = (await self._store.commit([step for step, _ in steps])).outcomes
            again: list[SessionReport] = []
            for one, (step, is_booked), outcome in zip(pending, steps, outcomes, strict=True):
                committed = outcome.status is Status.COMMITTED
                self.charged += step.charge if committed else 0
                if not (committed and is_booked):
                    again.append(one)
            if not again:
                return
            pending = again
        raise AssertionError(f"still stale: {pending}")

    async def _archived(
        self, reports: Sequence[SessionReport], found: Sequence[Found]
    ) -> dict[str, Found]:
        if self._archive is None:
            return {}
        unknown = {
            one.key: there
            for one, there in zip(reports, found, strict=True)
            if there.session is None
        }
        if not unknown:
            return {}
        stored = await self._archive(list(unknown))
        return {
            key: msgspec.structs.replace(
                unknown[key], session=session, account=unknown[key].subscriber_account
            )
            for key, session in stored.items()
        }

    async def close(self, key: str, nas: str, phase: Phase) -> None:
        """Give a session up without a report, as the sweeper does."""
        snapshot = await self._store.read([Lookup(key, nas)])
        found = snapshot.found[0]
        assert found.session is not None
        assert found.account is not None
        step = self._closing(
            key,
            nas,
            found.session,
            found.account,
            phase,
            _CLOSE_REASONS[phase],
            snapshot.now_ms,
            {},
        )
        outcome = (await self._store.commit([step])).outcomes[0]
        assert outcome.status is Status.COMMITTED, outcome

    def _closing(
        self,
        key: str,
        nas: str,
        stored: StoredSession,
        account: Account,
        phase: Phase,
        reason: str,
        now_ms: int,
        taken: dict[str, tuple[int, int]],
    ) -> Step:
        """The step that closes a session without a report."""
        state = decode_state(stored.state)
        meter = close(state.meter, phase)
        closed = entries.Closed(
            stored.uid,
            account.account,
            now_ms,
            reason,
            0,
            meter.last_event,
            meter.used,
            meter.total_micros,
        )
        return _commit_step(
            key,
            nas,
            stored.uid,
            stored,
            account,
            msgspec.structs.replace(state, meter=meter),
            charge=0,
            taken=taken,
            plan=self._plans[state.plan],
            packed=[entries.encode(closed)],
        )

    def _step(
        self, one: SessionReport, found: Found, now_ms: int, taken: dict[str, tuple[int, int]]
    ) -> tuple[Step, bool]:
        """The step for a report, and whether it books it: an epoch ends before the next begins."""
        stored = found.session
        before = None if stored is None else decode_state(stored.state)
        if before is None:
            if found.subscriber is None:
                raise Unanswered(one.username)
            plan = self._plans[found.subscriber.plan]
        else:
            plan = self._plans[before.plan]
        pace = Pace(300) if before is None else before.pace
        rated = rate(plan, None if before is None else before.meter, pace, one.report)
        new = rated.finding in (Finding.OPENED, Finding.RESTARTED)
        if new and stored is not None and stored.open and found.account is not None:
            step = self._closing(
                one.key, one.nas, stored, found.account, Phase.LOST, "restarted", now_ms, taken
            )
            return step, False
        account = found.subscriber_account if new or stored is None else found.account
        if account is None:
            raise Unanswered(one.username)
        uid = secrets.token_bytes(16) if new or stored is None else stored.uid
        state = SessionState(
            one.username, plan.name, plan.version, plan.tariff.currency, rated.meter, rated.pace,
            now_ms, IDENTITY,
        )  # fmt: skip
        packed = _entries(one, uid, account, before, state, rated, now_ms)
        step = _commit_step(
            one.key,
            one.nas,
            uid,
            stored,
            account,
            state,
            charge=rated.charge_micros,
            taken=taken,
            plan=plan,
            packed=packed,
        )
        return step, True


def _entries(
    one: SessionReport,
    uid: bytes,
    account: Account,
    before: SessionState | None,
    state: SessionState,
    rated: Rated,
    now_ms: int,
) -> list[bytes]:
    """What a report leaves for settlement."""
    packed: list[entries.Entry] = []
    meter = rated.meter
    new = rated.finding in (Finding.OPENED, Finding.RESTARTED)
    if new:
        packed.append(_opened(one, uid, account, state, now_ms))
    if rated.usage:
        packed.append(
            entries.Used(
                uid,
                account.account,
                now_ms,
                one.report.kind,
                one.report.event_time,
                rated.usage,
                meter.used,
                rated.charge_micros,
                meter.total_micros,
                state.plan,
                state.plan_version,
                state.currency,
            )
        )
    if meter.phase is not Phase.OPEN and rated.finding.changes:
        packed.append(
            entries.Closed(
                uid,
                account.account,
                now_ms,
                _CLOSE_REASONS[meter.phase],
                1,
                meter.last_event,
                meter.used,
                meter.total_micros,
            )
        )
    elif before is not None and not new and before.meter.phase is not meter.phase:
        packed.append(entries.Reopened(uid, account.account, now_ms, one.report.event_time))
    return [entries.encode(entry) for entry in packed]


def _opened(
    one: SessionReport, uid: bytes, account: Account, state: SessionState, now_ms: int
) -> entries.Opened:
    return entries.Opened(
        uid, account.account, now_ms, one.key, one.nas, one.session, state.meter.epoch,
        one.username, state.plan, state.plan_version, state.currency, state.meter.started,
        state.meter.base, IDENTITY,
    )  # fmt: skip


def _commit_step(
    key: str,
    nas: str,
    uid: bytes,
    stored: StoredSession | None,
    account: Account,
    state: SessionState,
    *,
    charge: int,
    taken: dict[str, tuple[int, int]],
    plan: Plan,
    packed: Sequence[bytes],
) -> Step:
    held = stored.held if stored is not None else 0
    is_open = state.meter.phase is Phase.OPEN
    want = grant = 0
    lasts = None
    balance, reserved = taken.get(account.account, (account.balance, account.reserved))
    balance, reserved = balance - charge, reserved - held
    if is_open:
        free = None
        if account.credit_limit is not None:
            free = balance - reserved + account.credit_limit - account.minimum
        slice_ = size(plan, state.meter, state.pace, free, begins=False)
        want, grant, lasts = slice_.want_micros, slice_.grant_micros, slice_.lasts_seconds
    taken[account.account] = (balance, reserved + grant)
    return Step(
        session=key,
        nas=nas,
        account=account.account,
        uid=uid,
        state=encode_state(state),
        open=is_open,
        expected_version=0 if stored is None else stored.version,
        expected_rating=account.rating_version,
        expected_boot=None,
        charge=charge,
        want=want,
        grant=grant,
        cut_after_ms=None if lasts is None else lasts * 1000,
        cut_cause=CutCause.EXHAUSTED,
        quiet=900,
        entries=tuple(packed),
    )
