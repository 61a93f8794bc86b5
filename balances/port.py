"""What may be asked of the books. `store.Store` and `memory.MemoryStore` answer alike.

All methods may raise balances.errors.StoreError. `now_ms` is the store's own clock unless a
simulated world brings one.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from balances.jobs import Change, Job
from balances.messages import (
    Account,
    AccountAudit,
    AnyMovement,
    Books,
    Claim,
    CommitResult,
    Due,
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


class BalanceStore(Protocol):
    """The hot path: read what a batch needs, commit what it did."""

    async def read(self, lookups: Sequence[Lookup]) -> Snapshot:
        """Return what is there for each lookup, all at one moment."""
        ...

    async def commit(self, steps: Sequence[Step], loose: Sequence[bytes] = ()) -> CommitResult:
        """Book the steps, each wholly or not at all, and append the loose entries.

        Durable as the store is configured to be before it returns. At most one step a session.
        """
        ...

    async def accounts(self, names: Sequence[str]) -> list[Account | None]:
        """Return accounts as they are now; None for one that is not there."""
        ...

    async def mark_boot(self, nas: str, event_time: int) -> bool:
        """Note an Accounting-On or -Off; False if it only repeats the mark that is there.

        The first mark of a NAS may drop those of others that are older than the late window.
        """
        ...

    async def mark_boots(self, marks: Sequence[tuple[str, int]]) -> list[bool]:
        """Note several in order, in the time of one; some may be noted although this raises."""
        ...


class Movements(Protocol):
    """What comes from outside."""

    async def apply(self, movements: Sequence[AnyMovement]) -> list[int]:
        """Apply movements that are next in their account's order; return its applied sequence.

        An earlier one was applied before and a later one is not applied: go on from what is
        returned. Raises StoreRefused (and applies none) if one cannot be.
        """
        ...

    async def publish(self, what: str, revision: int, values: Mapping[str, bytes]) -> None:
        """Replace the published "plans" or "nas", unless a newer revision is there."""
        ...


class Directory(Protocol):
    """What listeners read besides sessions: the plans and NASes that were published."""

    async def published(self, what: str) -> tuple[int, dict[str, bytes]]:
        """Return the revision and the values of "plans" or "nas"."""
        ...

    async def revision(self, what: str) -> int:
        """Return the revision alone; 0 if nothing was published."""
        ...


class Sweeps(Protocol):
    """Sessions that need a look without having reported."""

    async def due(self, limit: int, lease_ms: int) -> Due:
        """Take sessions that are silent for too long or wait for a new grant, for a lease."""
        ...

    async def pending_sweeps(self) -> dict[str, int]:
        """Return the NASes whose sessions of before a boot have to be closed, with the mark."""
        ...

    async def sessions_of_nas(self, nas: str, cursor: int, count: int) -> tuple[int, list[str]]:
        """Return some session keys of a NAS and the next cursor; 0 begins and ends the round."""
        ...

    async def swept(self, nas: str, mark: int) -> None:
        """Note that all of them are closed, unless the NAS restarted once more."""
        ...


class JobQueue(Protocol):
    """Enforcement jobs."""

    async def claim_jobs(self, limit: int, lease_ms: int) -> Claim:
        """Take jobs that are due and whose cause holds, for a lease."""
        ...

    async def put_off_jobs(self, waits: Mapping[str, int]) -> None:
        """Give claimed jobs back, each due again in so many milliseconds."""
        ...

    async def may_transmit(self, uid: str, lease_ms: int, asked: str = "") -> bool:
        """Check atomically, right before a transmission, that the cause still holds.

        `asked` is a change's as it was claimed, and it still asks for that; for a cut whose session
        is to be put into a walled garden instead, "redirect".
        """
        ...

    async def report_job(
        self,
        uid: str,
        state: str,
        result: str,
        error_cause: int,
        again_in_ms: int,
        asked: str = "",
    ) -> bool:
        """Note an outcome and when to look again; False if the job has ended meanwhile.

        `asked` is a change's as it was claimed: what came of it says nothing of a newer one.
        """
        ...

    async def request_disconnect(self, session: str) -> str | None:
        """Ask for a session to be cut; the job's uid, or None if it is not open."""
        ...

    async def request_change(self, session: str, change: Change) -> str | None:
        """Ask for a session to be changed; the job's uid, or None if it is not open."""
        ...

    async def treatments(self, uids: Sequence[bytes]) -> list[tuple[str, str]]:
        """Return what changes have put these session epochs under, with its argument.

        Twice nothing for one under its plan.
        """
        ...

    async def live_jobs(self, limit: int) -> list[Job]:
        """Return the live jobs, soonest first."""
        ...


class Logins(Protocol):
    """What logins reserve before their sessions begin."""

    async def login(self, login: Login) -> LoginOutcome:
        """Reserve for a login, unless its user has too many sessions."""
        ...

    async def open_sessions(self, account: str, most: int) -> list[tuple[str, StoredSession]]:
        """Return open sessions of an account with their keys, about `most` of them."""
        ...

    async def count_failure(self, who: str, forget_ms: int) -> int:
        """Count a wrong password; return how many there were, none of them `forget_ms` apart."""
        ...

    async def forget_failures(self, who: str) -> None:
        """Begin to count anew."""
        ...

    async def hold(self, who: str, hold_ms: int) -> None:
        """Have `is_held` say so for so long."""
        ...

    async def is_held(self, who: str) -> tuple[bool, bool]:
        """Return whether logins are refused unseen, and whether wrong passwords were counted."""
        ...

    async def release_grants(self, uids: list[bytes]) -> int:
        """Give back what these grants hold; return how many there were."""
        ...

    async def expire_grants(self, limit: int) -> tuple[int, int | None]:
        """Give back what grants hold that nobody used in time, at most `limit` of them.

        Return how many, and when the next expires (Unix ms; None: none is waiting).
        """
        ...


class SettlementStream(Protocol):
    """The committed entries, in order."""

    async def entries_after(
        self, position: Position, count: int, wait_ms: int = 0
    ) -> list[StreamEntry]:
        """Return the next entries; waits for the first at most `wait_ms`."""
        ...

    async def trim(self, position: Position) -> None:
        """Forget the entries up to and including a position: they are settled."""
        ...


class BookKeeping(Protocol):
    """The partition as a whole."""

    async def initialise(self, generation: int) -> Position:
        """Begin the books of an empty store; return the position that holds."""
        ...

    async def books(self) -> Books:
        """Return the state of the books. Raises StoreEmpty if there are none."""
        ...

    async def fence(self, reason: str) -> Position:
        """Refuse all writing from now on; an empty reason lifts the fence."""
        ...

    async def boots(self) -> dict[str, int]:
        """Return the boot mark of every NAS that has one: when it restarted last (Unix seconds)."""
        ...

    async def inspect(self, accounts: Sequence[str]) -> list[AccountAudit | None]:
        """Return accounts beside what their sessions and grants hold; None where there is none."""
        ...


class Restoration(Protocol):
    """Writing the books anew from Postgres. All writing is refused unless the fence is up."""

    async def fenced(self) -> str | None:
        """Return the reason of the fence that is up, also of a store without books; else None."""
        ...

    async def restore_boots(self, marks: Mapping[str, int]) -> None:
        """Note boot marks, where there is no later one, and have their sessions looked at."""
        ...

    async def restart(self, generation: int) -> None:
        """Drop accounts, subscribers, sessions, jobs and stream; begin a generation.

        Boot marks and what was published stay. Repeating it after a failure is safe.
        """
        ...

    async def restore_accounts(self, accounts: Sequence[Account]) -> None:
        """Write accounts, with nothing reserved."""
        ...

    async def restore_subscribers(self, subscribers: Sequence[tuple[str, Subscriber]]) -> None:
        """Write who user names belong to."""
        ...

    async def restore_sessions(self, sessions: Sequence[RestoredSession]) -> None:
        """Write sessions; the open ones hold nothing and wait for a new grant."""
        ...
