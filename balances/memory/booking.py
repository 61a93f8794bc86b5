"""What commits and movements do to the books."""

import msgspec

from balances.entries import JOB_FIELD, LOOSE_FIELD
from balances.errors import StoreRefused
from balances.jobs import Action, Change
from balances.layout import MAX_ENTRIES, MAX_STEPS
from balances.memory import enforcement, granting
from balances.memory.partition import Partition, Session, Wake
from balances.messages import (
    COMMITTED,
    Account,
    AnyMovement,
    CutCause,
    DropSubscriber,
    GrantAllowance,
    OpenAccount,
    Outcome,
    Post,
    PutSubscriber,
    SetCalendar,
    SetLimits,
    SetStatus,
    Status,
    Step,
    StoredSession,
    Subscriber,
)
from rating.money import MAX_MICROS
from rating.pool import NO_POOL

_replace = msgspec.structs.replace


class Booking:
    """One commit: its steps one after the other, then their entries as one in the stream."""

    def __init__(self, partition: Partition, now_ms: int) -> None:
        self._partition = partition
        self._now_ms = now_ms
        self._version = partition.version + 1
        self._booked: set[str] = set()
        self._events: list[bytes] = []
        self._entries: list[tuple[bytes, bytes]] = []
        self._before: dict[str, Account] = {}

    @property
    def version(self) -> int:
        """The version of the sessions that were written; 0 if none was."""
        return self._version if self._booked else 0

    def book(self, steps: list[Step], loose: list[bytes]) -> list[Outcome]:
        """Book what can be; return the outcomes, which tell what is there after all of them."""
        partition = self._partition
        entries = len(loose) + sum(
            len(step.entries) + (step.pool is not None) + (step.change is not None)
            for step in steps
        )
        if len(steps) > MAX_STEPS or entries > MAX_ENTRIES:
            raise StoreRefused(
                f"a commit of {len(steps)} steps and {entries} entries:"
                f" at most {MAX_STEPS} and {MAX_ENTRIES}"
            )
        statuses = [self._book_one(step) for step in steps]
        self._entries += ((LOOSE_FIELD, entry) for entry in loose)
        # Charges and loose entries first, then what happened to jobs.
        partition.append([*self._entries, *((JOB_FIELD, event) for event in self._events)])
        if self._booked or loose:
            partition.version = self._version
        self._wake_overdrawn()
        return [
            COMMITTED if status is Status.COMMITTED else self._outcome(status, step)
            for status, step in zip(statuses, steps, strict=True)
        ]

    def _book_one(self, step: Step) -> Status:
        session = self._partition.session(step.session, self._now_ms)
        old = session.stored if session else None
        status = self._judge(step, old)
        if status is not Status.COMMITTED:
            return status
        account = self._partition.accounts[step.account]
        self._before.setdefault(step.account, account)
        self._partition.accounts[step.account] = _replace(
            account,
            balance=account.balance - step.charge,
            reserved=account.reserved - self._held(step, old) + step.grant,
            charged=account.charged + len(step.entries),
            rating_version=account.rating_version + (step.pool is not None),
            pool=account.pool if step.pool is None else step.pool,
        )
        self._entries += (
            (str(account.charged + number).encode(), entry)
            for number, entry in enumerate(step.entries, 1)
        )
        self._put(step, session)
        if step.takes_grant:
            granting.take_over(self._partition, step.uid, step.session)
        self._booked.add(step.session)
        return Status.COMMITTED

    def _judge(self, step: Step, old: StoredSession | None) -> Status:
        if (old.version if old else 0) != step.expected_version or step.session in self._booked:
            return Status.STALE_SESSION
        if self._partition.boots.get(step.nas) != step.expected_boot:
            return Status.STALE_BOOT
        account = self._partition.accounts.get(step.account)
        if account is None:
            return Status.NO_ACCOUNT
        if account.rating_version != step.expected_rating:
            return Status.STALE_RATING
        if _is_faulty(step, old):
            return Status.FAULTY
        if max(step.charge, step.want) > MAX_MICROS:
            return Status.BEYOND_BOUNDS
        if step.takes_grant:
            grant = self._partition.grants.get(step.uid)
            if grant is None or grant.account != step.account:
                return Status.STALE_SESSION
        balance = account.balance - step.charge
        reserved = account.reserved - self._held(step, old)
        after = _replace(account, balance=balance, reserved=reserved)
        if _granted(step.want, after.available) != step.grant:
            return Status.STALE_CREDIT
        if abs(balance) > MAX_MICROS or reserved + step.grant > MAX_MICROS:
            return Status.BEYOND_BOUNDS
        return Status.COMMITTED

    def _held(self, step: Step, old: StoredSession | None) -> int:
        """What the step gives back before it is granted anew."""
        grant = self._partition.grants[step.uid].held if step.takes_grant else 0
        return (old.held if old else 0) + grant

    def _put(self, step: Step, session: Session | None) -> None:
        old = session.stored if session else None
        goes_on = old is not None and old.open and step.open and old.uid == step.uid
        job = self._partition.jobs.get(step.uid.hex())
        asked_for = goes_on and job is not None and job.cause == enforcement.OPERATOR
        cut = step.open and step.cut_after_ms is not None
        stored = StoredSession(
            uid=step.uid,
            account=step.account,
            version=self._version,
            open=step.open,
            cutting=cut or asked_for,
            regrant=False,
            held=step.grant,
            seen_ms=old.seen_ms if old and not step.report else self._now_ms,
            quiet=step.quiet,
            state=step.state,
        )
        restored = False
        if old and not (goes_on and stored.cutting):
            outcome = "cancelled" if goes_on else "proven"
            before = self._partition.jobs.get(old.uid.hex())
            restored = goes_on and before is not None and before.gardened
            self._events += enforcement.finish(
                self._partition, old.uid.hex(), outcome, self._now_ms
            )
        after = Session(step.session, step.nas, stored)
        if session and session.stored.open:
            after.leased_until_ms = session.leased_until_ms
        self._partition.put_session(after, self._now_ms)
        if restored:
            cause = step.cut_cause.name.lower()
            self._change(after, Change(Action.RESTORE, cause=cause), gardened=True)
        if old and not goes_on:
            self._events += enforcement.finish(
                self._partition, enforcement.change_uid(old.uid), "ended", self._now_ms
            )
        if step.change is not None:
            self._change(after, step.change)
        if cut:
            enforcement.schedule(
                self._partition,
                after,
                step.cut_cause.name.lower(),
                self._now_ms + max(step.cut_after_ms or 0, 0),
                self._now_ms,
                granted=step.grant > 0,
                least=step.least,
            )

    def _change(self, session: Session, change: Change, *, gardened: bool = False) -> None:
        job = enforcement.schedule_change(
            self._partition, session, change, self._now_ms, gardened=gardened
        )
        self._events.append(enforcement.event_of(job, "requested", self._now_ms))

    def _wake_overdrawn(self) -> None:
        """Where charges went beyond what there was, what siblings hold has to be granted anew."""
        for name, before in self._before.items():
            after = self._partition.accounts[name]
            if not _overdrawn(before) and _overdrawn(after) and after.reserved > 0:
                self._partition.waking[name, Wake.HOLDING] = None

    def _outcome(self, status: Status, step: Step) -> Outcome:
        session = self._partition.session(step.session, self._now_ms)
        return Outcome(
            status,
            session.stored if session else None,
            self._partition.accounts.get(step.account),
        )


def _is_faulty(step: Step, old: StoredSession | None) -> bool:
    """Whether a step could never be booked, whatever is in the books."""
    return (
        step.charge < 0
        or step.want < 0
        or (not step.open and (step.want > 0 or step.change is not None))
        or step.cut_cause not in tuple(CutCause)
        or (old is not None and old.open and old.account != step.account)
    )


def _granted(want: int, available: int | None) -> int:
    return want if available is None else min(want, max(available, 0))


def _overdrawn(account: Account) -> bool:
    return account.available is not None and account.available < 0


class Moving:
    """One call of movements: all of them or none.

    Works on copies of what it changes, which `keep` then puts in place.
    """

    def __init__(self, partition: Partition) -> None:
        self._partition = partition
        self._accounts: dict[str, Account] = {}
        self._subscribers: dict[str, Subscriber | None] = {}
        self._waking: list[tuple[str, Wake]] = []

    def move(self, movement: AnyMovement) -> int:
        """Apply a movement if it is next; return the sequence applied. Raises StoreRefused."""
        name = movement.account
        account = self._accounts.get(name) or self._partition.accounts.get(name)
        moved = account.moved if account else 0
        if movement.sequence != moved + 1:
            return moved
        if isinstance(movement, OpenAccount):
            after = _opened(movement, account)
        elif account is None:
            raise StoreRefused(f"account {name} is not open")
        else:
            after, wake = self._changed(movement, account)
            if wake is not None:
                self._waking.append((name, wake))
        self._accounts[name] = _replace(after, moved=movement.sequence)
        return movement.sequence

    def keep(self) -> None:
        """Put what was moved in place."""
        partition = self._partition
        partition.accounts |= self._accounts
        for username, subscriber in self._subscribers.items():
            if subscriber is None:
                partition.subscribers.pop(username, None)
            else:
                partition.subscribers[username] = subscriber
        partition.waking |= dict.fromkeys(self._waking)
        partition.version += 1

    def _changed(self, movement: AnyMovement, account: Account) -> tuple[Account, Wake | None]:
        """The account after a movement, and which of its sessions it concerns."""
        match movement:
            case Post(amount=amount):
                after = _replace(account, balance=account.balance + amount)
                if abs(after.balance) > MAX_MICROS:
                    raise StoreRefused(f"account {account.account}: balance beyond {MAX_MICROS}")
                if amount > 0:
                    return after, Wake.CUTTING
                return after, Wake.ALL if _overdrawn(after) else None
            case SetLimits(credit_limit=limit, minimum=minimum):
                _check_limits(account.account, limit, minimum)
                return _replace(account, credit_limit=limit, minimum=minimum), Wake.ALL
            case SetStatus(suspended=suspended, closed=closed):
                return _rerated(account, suspended=suspended, closed=closed), Wake.ALL
            case PutSubscriber(username=username, plan=plan, login=login):
                self._subscribers[username] = Subscriber(account.account, plan, login)
                return _rerated(account), None
            case GrantAllowance() | SetCalendar():
                pool = (account.pool or NO_POOL) + movement.part()
                return _rerated(account, pool=pool), Wake.ALL
            case DropSubscriber(username=username):
                owner = self._subscribers.get(username, self._partition.subscribers.get(username))
                if owner is not None and owner.account == account.account:
                    self._subscribers[username] = None
                return _rerated(account), None
            case OpenAccount():
                raise AssertionError(movement)


def _opened(movement: OpenAccount, account: Account | None) -> Account:
    if account is not None:
        raise StoreRefused(f"account {movement.account} is open already")
    currency = movement.currency
    if not (len(currency) == 3 and all("A" <= letter <= "Z" for letter in currency)):
        raise StoreRefused(f"account {movement.account}: currency is three letters A to Z")
    _check_limits(movement.account, movement.credit_limit, movement.minimum)
    return Account(
        movement.account,
        currency,
        balance=0,
        reserved=0,
        credit_limit=movement.credit_limit,
        minimum=movement.minimum,
        rating_version=1,
        charged=0,
        moved=0,
    )


def _check_limits(account: str, limit: int | None, minimum: int) -> None:
    if not (0 <= (limit or 0) <= MAX_MICROS and 0 <= minimum <= MAX_MICROS):
        raise StoreRefused(f"account {account}: limits are 0 to {MAX_MICROS}")


def _rerated(account: Account, **changes: bool | bytes) -> Account:
    """The account after a change of something that rating reads."""
    return _replace(account, rating_version=account.rating_version + 1, **changes)
