"""Sessions that need a look without having reported.

Three reasons: silent for too long (their Stop never came), waiting for a new grant (a top-up, a
limit, a suspension), or closed by a restart of their NAS. Each is booked like a record, by the same
rater and the same commit, so a report that comes in between simply makes the step stale.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import msgspec
import structlog

from balances.errors import StoreError
from balances.messages import (
    Found,
    Lookup,
    Snapshot,
    Status,
    Step,
    StoredSession,
    decode_state,
)
from balances.port import BalanceStore, Sweeps
from radius.records import SessionIdentity
from ratewire.observer import Observer
from ratewire.outage import Outage
from ratewire.pipeline.credit import Credit
from ratewire.pipeline.raters import Raters
from ratewire.pipeline.steps import Deferred, Rater
from rating.usage import Phase, went_down

_log = structlog.get_logger(__name__)

#: How many sessions are looked at in one commit: a chunk never stalls the store.
CHUNK = 256

#: A session that was taken and not seen to (a crash, a stale step) comes up again after this.
LEASE_MS = 15_000

#: What is stale is tried again at once, this often; then it waits for its lease to end.
MAX_ATTEMPTS = 4

#: The longest sleep between two looks when no notice comes.
LONGEST_WAIT_S = 0.25

_identity = msgspec.msgpack.Decoder(SessionIdentity).decode


def identity_of(stored: StoredSession) -> SessionIdentity:
    """Return how a stored session is known to its NAS."""
    return _identity(decode_state(stored.state).identity)


class Sweeper:
    """Sees to due sessions; any number of them may run, on one machine or several."""

    def __init__(
        self,
        store: BalanceStore,
        sweeps: Sweeps,
        raters: Raters,
        observer: Observer,
        *,
        clock_ms: Callable[[], int],
    ) -> None:
        self._store = store
        self._sweeps = sweeps
        self._raters = raters
        self._observer = observer
        self._clock_ms = clock_ms

    async def run(self, stop: asyncio.Event, wait: Callable[[float], Awaitable[object]]) -> None:
        """Sweep until `stop` is set. `wait` sleeps so many seconds, or until there is a notice."""
        outage = Outage("the sweeper's store")
        while not stop.is_set():
            try:
                pause = await self.sweep()
                outage.works()
            except StoreError as error:
                outage.failed(error)
                pause = 1.0
            if pause:
                await wait(pause)

    async def sweep(self) -> float:
        """See to one chunk of what is due; return for how many seconds nothing is to be done."""
        seen = 0
        for nas, mark in (await self._sweeps.pending_sweeps()).items():
            seen += await self._sweep_nas(nas, mark)
        due = await self._sweeps.due(CHUNK, LEASE_MS)
        if due.sessions:
            names = [(each.session, identity_of(each.stored).nas) for each in due.sessions]
            await self._see_to(names, mark=None)
        if seen or due.sessions:
            return 0.0
        if due.next_ms is None:
            return LONGEST_WAIT_S
        # Nothing due, and yet the next is not later: there was more to look at than one call does.
        return min(max(due.next_ms - due.now_ms, 0) / 1000, LONGEST_WAIT_S)

    async def close_lost(self, session: str, nas: str) -> None:
        """Close one session that is known to be gone."""
        await self._see_to([(session, nas)], mark=None, lost=True)

    async def _sweep_nas(self, nas: str, mark: int) -> int:
        """Close what was open before a restart of a NAS; return how many sessions were looked at.

        Closing changes the set that is walked, which a scan cursor tolerates: a member that stays
        is seen at least once. Only a walk that found nothing to close ends the sweep.
        """
        seen, closed, cursor = 0, 0, 0
        while True:
            cursor, keys = await self._sweeps.sessions_of_nas(nas, cursor, CHUNK)
            for first in range(0, len(keys), CHUNK):
                chunk = [(key, nas) for key in keys[first : first + CHUNK]]
                closed += await self._see_to(chunk, mark=mark)
                seen += len(chunk)
            if cursor == 0:
                break
        if not closed:
            await self._sweeps.swept(nas, mark)
        _log.info("swept after a NAS restart", nas=nas, sessions=seen, closed=closed)
        return seen

    async def _see_to(
        self, names: Sequence[tuple[str, str]], *, mark: int | None, lost: bool = False
    ) -> int:
        """Book what has to be done for these sessions; return how many there was to do for."""
        found_something = 0
        for _ in range(MAX_ATTEMPTS):
            steps, outcomes = await self._try(names, mark=mark, lost=lost)
            found_something = found_something or len(steps)
            stale = [
                (step.session, step.nas)
                for step, status in zip(steps, outcomes, strict=True)
                if status is not Status.COMMITTED
            ]
            self._observer.count("sweep_stale", len(stale))
            if not stale:
                break
            names = stale
        return found_something

    async def _try(
        self, names: Sequence[tuple[str, str]], *, mark: int | None, lost: bool
    ) -> tuple[list[Step], list[Status]]:
        snapshot = await self._store.read([Lookup(key, nas) for key, nas in names])
        rater = await self._raters.at(snapshot.plans_revision)
        credit = Credit()
        now_ms = self._clock_ms()
        steps: list[Step] = []
        for (key, nas), found in zip(names, snapshot.found, strict=True):
            step = self._step(rater, key, nas, found, snapshot, credit, now_ms, mark, lost=lost)
            if isinstance(step, Deferred):
                _log.error("a session cannot be seen to", reason=step.reason, session=key)
            elif step is not None:
                steps.append(step)
        if not steps:
            return [], []
        statuses = [each.status for each in (await self._store.commit(steps)).outcomes]
        for step, status in zip(steps, statuses, strict=True):
            if status is Status.COMMITTED:
                self._observer.count("sweep_regranted" if step.open else "sweep_closed")
        return steps, statuses

    def _step(
        self,
        rater: Rater,
        key: str,
        nas: str,
        found: Found,
        snapshot: Snapshot,
        credit: Credit,
        now_ms: int,
        mark: int | None,
        *,
        lost: bool,
    ) -> Step | Deferred | None:
        stored = found.session
        if stored is None or not stored.open:
            return None
        boot = snapshot.boots.get(nas)
        phase = None
        if boot is not None and went_down(decode_state(stored.state).meter, boot):
            phase = Phase.NAS_DOWN
        elif lost or (mark is None and snapshot.now_ms >= stored.seen_ms + stored.quiet * 1000):
            phase = Phase.LOST
        if phase is not None:
            return rater.give_up(key, nas, found, phase, boot=boot, credit=credit, now_ms=now_ms)
        if mark is None and stored.regrant:
            return rater.regrant(key, nas, found, boot=boot, credit=credit, now_ms=now_ms)
        return None
