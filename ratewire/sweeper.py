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
from balances.keys import parts_of
from balances.messages import (
    Due,
    Found,
    Lookup,
    Snapshot,
    Status,
    Step,
    decode_state,
)
from balances.port import BalanceStore, Sweeps
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
        due = await self._see_to_due()
        if seen or due.sessions:
            return 0.0
        if due.next_ms is None:
            return LONGEST_WAIT_S
        # Nothing due, and yet the next is not later: there was more to look at than one call does.
        return min(max(due.next_ms - due.now_ms, 0) / 1000, LONGEST_WAIT_S)

    async def _see_to_due(self) -> Due:
        due = await self._sweeps.due(CHUNK, LEASE_MS)
        if due.sessions:
            await self._see_to([each.session for each in due.sessions], mark=None)
        return due

    async def close_lost(self, session: str, seen_ms: int) -> None:
        """Close a session that is known to be gone, unless it was seen again since `seen_ms`."""
        await self._see_to([session], mark=None, gone_since=seen_ms)

    async def replan(self, session: str, uid: bytes) -> bytes | None:
        """Have an open session go on under its subscriber's plan; return its epoch's uid.

        From now on: what it used so far stays as it was charged. None if it is not open any more,
        or cannot go on so: its subscriber or plan is gone, or it is in a walled garden.
        """
        nas = parts_of(session)[0]
        for _ in range(MAX_ATTEMPTS):
            [found] = (await self._store.read([Lookup(session, nas)])).found
            stored = found.session
            if stored is None or stored.uid != uid:
                return None
            username = decode_state(stored.state).username
            snapshot = await self._store.read([Lookup(session, nas, username, always=True)])
            step = (await self._raters.at(snapshot.plans_revision)).replan(
                session,
                nas,
                snapshot.found[0],
                boot=snapshot.boots.get(nas),
                credit=Credit(),
                now_ms=self._clock_ms(),
            )
            if isinstance(step, bytes):
                return step
            if not isinstance(step, Step):
                return None
            [outcome] = (await self._store.commit([step])).outcomes
            if outcome.status is Status.COMMITTED:
                self._observer.count("sessions_replanned")
                return step.uid
        return None

    async def mark_garden(self, session: str, uid: bytes, *, garden: bool) -> None:
        """Note whether an open session is in a walled garden: what it uses there is free."""
        for _ in range(MAX_ATTEMPTS):
            snapshot = await self._store.read([Lookup(session, parts_of(session)[0])])
            [found] = snapshot.found
            stored = found.session
            if stored is None or stored.uid != uid or decode_state(stored.state).garden is garden:
                return
            nas = parts_of(session)[0]
            step = (await self._raters.at(snapshot.plans_revision)).regrant(
                session,
                nas,
                found,
                boot=snapshot.boots.get(nas),
                credit=Credit(),
                now_ms=self._clock_ms(),
                garden=garden,
            )
            if not isinstance(step, Step):
                return
            [outcome] = (await self._store.commit([step])).outcomes
            if outcome.status is Status.COMMITTED:
                return

    async def _sweep_nas(self, nas: str, mark: int) -> int:
        """Close what was open before a restart of a NAS; return how many sessions were looked at.

        Closing changes the set that is walked, which a scan cursor tolerates: a member that stays
        is seen at least once. Only a walk that found nothing to close ends the sweep.
        """
        seen, closed, cursor = 0, 0, 0
        while True:
            cursor, keys = await self._sweeps.sessions_of_nas(nas, cursor, CHUNK)
            for first in range(0, len(keys), CHUNK):
                chunk = keys[first : first + CHUNK]
                closed += await self._see_to(chunk, mark=mark)
                seen += len(chunk)
                await self._see_to_due()  # a top-up does not wait for a hundred thousand sessions
            if cursor == 0:
                break
        if closed:
            _log.info("swept after a NAS restart", nas=nas, sessions=seen, closed=closed)
        else:
            await self._sweeps.swept(nas, mark)
        return seen

    async def _see_to(
        self, keys: Sequence[str], *, mark: int | None, gone_since: int | None = None
    ) -> int:
        """Book what has to be done for these sessions; return how many there was to do for."""
        found_something = 0
        for _ in range(MAX_ATTEMPTS):
            steps, outcomes = await self._try(keys, mark=mark, gone_since=gone_since)
            found_something = found_something or len(steps)
            stale = [
                step.session
                for step, status in zip(steps, outcomes, strict=True)
                if status is not Status.COMMITTED
            ]
            self._observer.count("sweep_stale", len(stale))
            if not stale:
                break
            keys = stale
        return found_something

    async def _try(
        self, keys: Sequence[str], *, mark: int | None, gone_since: int | None
    ) -> tuple[list[Step], list[Status]]:
        snapshot = await self._store.read([Lookup(key, parts_of(key)[0]) for key in keys])
        rater = await self._raters.at(snapshot.plans_revision)
        credit = Credit()
        now_ms = self._clock_ms()
        steps: list[Step] = []
        for key, found in zip(keys, snapshot.found, strict=True):
            try:
                step = self._step(rater, key, found, snapshot, credit, now_ms, mark, gone_since)
            except Exception:  # noqa: BLE001 - a fault in one session must not keep others waiting
                _log.exception("a session cannot be rated", session=key)
                step = Deferred("fault")
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
        found: Found,
        snapshot: Snapshot,
        credit: Credit,
        now_ms: int,
        mark: int | None,
        gone_since: int | None,
    ) -> Step | Deferred | None:
        stored = found.session
        if stored is None or not stored.open:
            return None
        try:
            meter = decode_state(stored.state).meter
        except msgspec.DecodeError:
            return Deferred("state_not_understood")
        nas, _ = parts_of(key)
        boot = snapshot.boots.get(nas)
        silent = snapshot.now_ms >= stored.seen_ms + stored.quiet * 1000
        phase = None
        if boot is not None and went_down(meter, boot):
            phase = Phase.NAS_DOWN
        elif stored.seen_ms == gone_since or (silent and mark is None):
            phase = Phase.LOST
        if phase is not None:
            return rater.give_up(key, nas, found, phase, boot=boot, credit=credit, now_ms=now_ms)
        if mark is None and stored.regrant:
            return rater.regrant(key, nas, found, boot=boot, credit=credit, now_ms=now_ms)
        return None
