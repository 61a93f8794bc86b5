"""From what was found and what was reported to what is to be booked. Pure.

A session's records of one batch are folded one after the other and become one step. What the store
has to check, and what it decides, is in the step (see balances.messages.Step).
"""

from collections.abc import Callable, Sequence

import msgspec

from balances import entries
from balances.messages import (
    Account,
    CutCause,
    Found,
    Step,
    decode_state,
    encode_state,
)
from radius.records import AccountingRecord, SessionIdentity, attributes_of, identity
from ratewire.pipeline.credit import Credit
from ratewire.pipeline.plans import Plans
from ratewire.pipeline.progress import Progress, counters_of, go_on, new_state, report_of
from ratewire.pipeline.sharing import is_needed, service_of, sharing_of
from ratewire.pipeline.tickets import is_in_garden
from rating.money import MAX_MICROS
from rating.plan import Plan
from rating.reservation import REFUSED, Pace, Slice, longest_silence, size
from rating.session import price
from rating.usage import Finding, Fold, Kind, Phase, begins_another, fold, unpriced

_pack = msgspec.msgpack.Encoder().encode
_identity = msgspec.msgpack.Decoder(SessionIdentity).decode
_CLOSED = Slice(0, 0, None)

# Named here for what is done for every record: see rating.money.
_OPEN, _EXHAUSTED = Phase.OPEN, CutCause.EXHAUSTED
_OPENED, _RESTARTED = Finding.OPENED, Finding.RESTARTED


class Terms(msgspec.Struct, frozen=True):
    """What the operator sets for all sessions.

    `interim` is how often a session is expected to report until it shows (seconds); a session
    silent for `stale_factor` of its intervals is lost; a record older than `late_window` (seconds)
    of a session nobody knows is not rated.
    """

    interim: int = 300
    stale_factor: int = 3
    late_window: int = 7 * 86_400


class Booking(msgspec.Struct, frozen=True, gc=False):
    """What came of a session's records: a step to commit, and loose entries.

    `done` counts the records that are durable once both are committed; those after them have to be
    tried again then. `findings` says what each of the done ones was taken for. `progress` is where
    the session stands after the step, if there is one.
    """

    done: int
    findings: tuple[str, ...]
    step: Step | None = None
    loose: tuple[bytes, ...] = ()
    progress: Progress | None = None


class Missing(msgspec.Struct, frozen=True):
    """The session is not known to the store: look it up in Postgres before it counts as new."""


class Deferred(msgspec.Struct, frozen=True):
    """The records cannot be rated now and must not be answered; `reason` says why."""

    reason: str


class Unclear(msgspec.Struct, frozen=True):
    """An open session is reported under another user name: look up whose that is."""


class Unratable(msgspec.Struct, frozen=True):
    """No session can be opened for a record; `reason` is one of balances.entries.Unrated."""

    reason: str


class Rater:
    """Turns records into bookings, under the plans and terms that hold now."""

    def __init__(
        self,
        plans: Plans,
        terms: Terms,
        *,
        new_uid: Callable[[], bytes],
        wraps_32: Callable[[str], bool],
    ) -> None:
        """`new_uid` names session epochs; `wraps_32` tells which NAS clients' octets wrap."""
        self._plans = plans
        self._terms = terms
        self._new_uid = new_uid
        self._wraps_32 = wraps_32

    def advance(
        self,
        key: str,
        records: Sequence[AccountingRecord],
        found: Found,
        *,
        boot: int | None,
        credit: Credit,
        archived: bool,
        owner_asked: bool = False,
        now_ms: int,
    ) -> Booking | Missing | Unclear | Deferred:
        """Return what to book for one session's records, in the order in which they came.

        `found.session` may come from the archive, with version 0: it is then written anew.
        `archived` tells that the archive was asked, and `owner_asked` that the subscriber of the
        first record was looked up although its session is open, whatever was found.
        """
        progress = self._resume(key, records[0].nas, found)
        if isinstance(progress, Deferred):
            return progress
        if progress is None and not archived and _may_be_archived(records[0], found):
            return Missing()
        findings: list[str] = []
        loose: list[bytes] = []
        for record in records:
            if progress is not None and progress.full:
                break
            meter = None if progress is None else progress.meter
            wraps = self._wraps_32(record.client)
            folded = fold(meter, report_of(record), boot=boot, wraps_32=wraps)
            if progress is not None and _is_of_another(record, progress):
                if record.user_name != records[0].user_name:
                    break  # somebody else, who has not been looked up
                if progress.meter.phase is _OPEN and not owner_asked:
                    if not findings:
                        return Unclear()
                    break
                folded = _under_another_name(folded, record, progress, found)
                if folded is None:
                    loose.append(unrated(record, "other_user", now_ms))
                    findings.append("unrated_other_user")
                    continue
            finding = folded.finding
            if finding is _OPENED or finding is _RESTARTED:
                if progress is not None and not self._may_restart(progress, now_ms):
                    break
                if record.user_name != records[0].user_name:
                    break  # somebody else, who has not been looked up
                opened = self._open(key, record, found, folded, progress, credit, now_ms)
                if isinstance(opened, Deferred):
                    if not findings:
                        return opened
                    break
                if isinstance(opened, Unratable):
                    loose.append(unrated(record, opened.reason, now_ms))
                    findings.append(f"unrated_{opened.reason}")
                    continue
                progress = opened
            else:
                assert progress is not None
                deferred = progress.share(credit)
                if deferred:
                    if not findings:
                        return Deferred(deferred)
                    break
                if progress.state.garden:
                    folded = unpriced(folded)
                rated = price(
                    progress.plan, progress.meter, progress.state.pace, folded, progress.sharing
                )
                progress.advance(record, rated, now_ms)
            findings.append(finding)
        if progress is not None and progress.changed:
            step = self._step(progress, boot, credit, now_ms, report=bool(findings))
            return Booking(len(findings), tuple(findings), step, tuple(loose), progress)
        if progress is not None:
            loose += progress.anomalies
        return Booking(len(findings), tuple(findings), None, tuple(loose))

    def regrant(
        self,
        key: str,
        nas: str,
        found: Found,
        *,
        boot: int | None,
        credit: Credit,
        now_ms: int,
        garden: bool | None = None,
    ) -> Step | Deferred | None:
        """Return the step that grants an open session anew; None if it is not open any more.

        `garden` tells that it is in a walled garden from now on, or no more.
        """
        progress = self._resume(key, nas, found)
        if progress is None or isinstance(progress, Deferred):
            return progress
        if progress.stored is None or not progress.stored.open:
            return None
        deferred = progress.share(credit)
        if deferred:
            return Deferred(deferred)
        if garden is not None:
            progress.state = msgspec.structs.replace(progress.state, garden=garden)
        return self._step(progress, boot, credit, now_ms, report=False)

    def replan(
        self, key: str, nas: str, found: Found, *, boot: int | None, credit: Credit, now_ms: int
    ) -> Step | Deferred | bytes | None:
        """Return the step that has an open session go on under its subscriber's newest plan.

        As a new epoch that begins where the one before it ends, so that each is charged by one
        plan. Its uid if it has that plan already; None if it is not open, in a walled garden, or if
        there is no such plan.
        """
        before = self._resume(key, nas, found)
        if before is None or isinstance(before, Deferred):
            return before
        subscriber, stored, state = found.subscriber, before.stored, before.state
        if subscriber is None or stored is None or not stored.open or state.garden:
            return None
        plan = self._plans.newest(subscriber.plan)
        if plan is None or plan.tariff.currency != before.account.currency:
            return None
        if plan == before.plan:
            return stored.uid
        before.give_up(Phase.STOPPED, now_ms, reason="plan_changed")
        known = _identity(state.identity)
        service = service_of(plan, nas, state.username, attributes_of(known), known.classes)
        progress = Progress(
            key=key,
            nas=nas,
            uid=self._new_uid(),
            account=before.account,
            plan=plan,
            stored=stored,
            state=go_on(state, plan, service),
        )
        progress.go_on_from(before, now_ms)
        deferred = progress.share(credit)
        if deferred:
            return Deferred(deferred)
        return self._step(progress, boot, credit, now_ms, report=False)

    def give_up(
        self,
        key: str,
        nas: str,
        found: Found,
        phase: Phase,
        *,
        boot: int | None,
        credit: Credit,
        now_ms: int,
    ) -> Step | Deferred | None:
        """Return the step that closes a session which will not report any more."""
        progress = self._resume(key, nas, found)
        if progress is None or isinstance(progress, Deferred):
            return progress
        if progress.stored is None or not progress.stored.open:
            return None
        progress.give_up(phase, now_ms)
        return self._step(progress, boot, credit, now_ms, report=False)

    def _resume(self, key: str, nas: str, found: Found) -> Progress | Deferred | None:
        """The session as it was found, or None if there is none."""
        stored = found.session
        if stored is None:
            return None
        if found.account is None:
            return Deferred("account_missing")
        state = found.state
        if state is None:
            try:
                state = decode_state(stored.state)
            except msgspec.DecodeError:
                return Deferred("state_not_understood")
        plan = self._plans.version(state.plan, state.plan_version)
        if plan is None:
            return Deferred("plan_version_missing")
        return Progress(
            key=key,
            nas=nas,
            uid=stored.uid,
            account=found.account,
            plan=plan,
            stored=stored,
            state=state,
        )

    def _may_restart(self, progress: Progress, now_ms: int) -> bool:
        """Whether the next epoch may begin in this very step.

        What was known must be booked first if it is still open, since another account may follow;
        and the subscriber is not looked up for a session that the store has as open.
        """
        if progress.meter.phase is _OPEN:
            progress.give_up(Phase.LOST, now_ms, reason="restarted")
            return False
        return not progress.changed and not (progress.stored and progress.stored.open)

    def _open(
        self,
        key: str,
        record: AccountingRecord,
        found: Found,
        folded: Fold,
        before: Progress | None,
        credit: Credit,
        now_ms: int,
    ) -> Progress | Unratable | Deferred:
        """Begin a session epoch for the subscriber of a record."""
        if before is None and record.event_time < now_ms // 1000 - self._terms.late_window:
            return Unratable("too_old")
        resolved = self._subscriber(record, found)
        if isinstance(resolved, Unratable | Deferred):
            return resolved
        account, plan = resolved
        service = service_of(
            plan, record.nas, record.user_name or "", record.attributes, record.classes
        )
        sharing = None
        if is_needed(plan, account, None):
            found_sharing = sharing_of(
                plan, account, credit, username=record.user_name or "", service=service
            )
            if isinstance(found_sharing, str):
                return Deferred(found_sharing)
            sharing = found_sharing
        before_pool = None if sharing is None else sharing.pool
        rated = price(plan, None, Pace(self._terms.interim), folded, sharing)
        grant = found.grant
        if grant is not None and grant.account != account.account:
            grant = None
        progress = Progress(
            key=key,
            nas=record.nas,
            uid=self._new_uid() if grant is None else grant.uid,
            account=account,
            plan=plan,
            stored=None if before is None else before.stored,
            state=new_state(record, plan, rated.meter, rated.pace, rated.tally),
            grant=grant,
            sharing=sharing,
            pool=before_pool,
        )
        progress.open_with(record, rated, now_ms)
        return progress

    def _subscriber(
        self, record: AccountingRecord, found: Found
    ) -> tuple[Account, Plan] | Unratable | Deferred:
        subscriber, account = found.subscriber, found.subscriber_account
        if not record.user_name:
            return Unratable("no_user")
        if subscriber is None:
            return Unratable("unknown_user")
        if account is None:
            return Unratable("no_account")
        if not self._plans.understands(subscriber.plan):
            return Deferred("plan_not_understood")
        plan = self._plans.newest(subscriber.plan)
        if plan is not None and plan.access.garden_plan and is_in_garden(record.classes):
            plan = self._plans.newest(plan.access.garden_plan)
        if plan is None:
            return Unratable("unknown_plan")
        if plan.tariff.currency != account.currency:
            return Unratable("other_currency")
        return account, plan

    def _step(
        self, progress: Progress, boot: int | None, credit: Credit, now_ms: int, *, report: bool
    ) -> Step:
        account, state, stored = progress.account, progress.state, progress.stored
        charge, held = progress.charge, progress.held
        rating_version, pool = self._pool(progress, credit, now_ms)
        available = credit.available(account, charge=charge, held=held)
        piece, cause = self._slice(progress, available)
        progress.admit(admitted=state.admitted or piece is not REFUSED)
        state = progress.state
        credit.book(account, charge=charge, held=held, grant=piece.grant_micros)
        cut_after_ms = None
        if piece.lasts_seconds is not None:
            cut_after_ms = max(0, state.reported_ms + piece.lasts_seconds * 1000 - now_ms)
        # By position: naming nineteen fields would cost more time than reading them.
        return Step(
            progress.key,
            progress.nas,
            account.account,
            progress.uid,
            encode_state(state),
            progress.state.meter.phase is _OPEN,
            0 if stored is None else stored.version,
            rating_version,
            boot,
            charge,
            piece.want_micros,
            piece.grant_micros,
            cut_after_ms,
            cause,
            longest_silence(state.pace, self._terms.interim, self._terms.stale_factor),
            (*progress.entries, *progress.anomalies),
            report,
            self._least(progress),
            progress.grant is not None,
            pool,
        )

    def _pool(self, progress: Progress, credit: Credit, now_ms: int) -> tuple[int, bytes | None]:
        """The rating version that the step expects, and the account's new pool if it has one."""
        account, pool = progress.account, progress.new_pool
        version = credit.rating_version(account)
        if pool is None:
            return version, None
        credit.share(account, pool)
        return version, progress.book_pool(pool, now_ms)

    def _least(self, progress: Progress) -> int:
        """What must be available again for a session that is to end to go on."""
        if progress.at_maximum:
            return MAX_MICROS  # no credit helps: the tariff ends it
        return 0 if progress.state.admitted else progress.plan.minimum_credit_micros

    def _slice(self, progress: Progress, available: int | None) -> tuple[Slice, CutCause]:
        """What the session is given next, and why it would have to be cut."""
        if progress.meter.phase is not _OPEN:
            return _CLOSED, _EXHAUSTED
        if progress.account.suspended or progress.account.closed:
            return REFUSED, CutCause.SUSPENDED
        if progress.at_maximum:
            return REFUSED, _EXHAUSTED
        piece = size(
            progress.plan,
            progress.meter,
            progress.state.pace,
            available,
            begins=not progress.state.admitted,
            sharing=progress.sharing,
        )
        return piece, _EXHAUSTED


def _may_be_archived(record: AccountingRecord, found: Found) -> bool:
    """Whether Postgres may know the session: a Start begins one, a stranger has none."""
    return record.status != Kind.START and found.subscriber is not None


def _is_of_another(record: AccountingRecord, progress: Progress) -> bool:
    """Whether a record names another user than its session has."""
    return bool(record.user_name) and record.user_name != progress.state.username


def _under_another_name(
    folded: Fold, record: AccountingRecord, progress: Progress, found: Found
) -> Fold | None:
    """Return what a record under another name than its session's does; None if nothing.

    A user of the same account is the same (another spelling, say); one of another account may begin
    an epoch of its own.
    """
    subscriber = found.subscriber
    if subscriber is not None and subscriber.account == progress.account.account:
        return folded
    again = None
    if subscriber is not None:
        again = begins_another(progress.meter, report_of(record))
    if again is None and (folded.finding is _OPENED or folded.finding is _RESTARTED):
        return folded
    return again


def unrated(record: AccountingRecord, reason: str, now_ms: int) -> bytes:
    """Return the entry that keeps a record which cannot be rated."""
    return entries.encode(
        entries.Unrated(
            at_ms=now_ms,
            reason=reason,
            client=record.client,
            nas=record.nas,
            acct_session_id=record.session_id,
            username=record.user_name or "",
            kind=record.status,
            event_time=record.event_time,
            counters=counters_of(record),
            identity=msgspec.Raw(_pack(identity(record))),
        )
    )
