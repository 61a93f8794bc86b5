"""The road from a process to the store: slow, lossy, and away at times.

Every call is a request on its way, one moment in which the store does it, and an answer on its way.
The process may die on either way; the answer may be lost after the store has done it. Whatever was
done is told to the auditor in that moment, whoever hears of it.
"""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from random import Random
from typing import Any, Protocol, TypeVar

import msgspec

from balances.errors import StoreUnavailable
from balances.jobs import Change, Job
from balances.messages import (
    Account,
    AccountAudit,
    AnyMovement,
    Books,
    Claim,
    CommitResult,
    Due,
    Lookup,
    Position,
    Snapshot,
    Step,
    StreamEntry,
)
from tests.balances.world import World as Ports
from tests.simulation.clockwork import Clockwork, Wait

Result = TypeVar("Result")


class Run(Protocol):
    """Does at once what the store is asked, whatever it waits for."""

    def __call__(self, coroutine: Coroutine[Any, Any, Result], /) -> Result:
        """Return what the coroutine returns."""
        ...


def run_in_memory(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("the store in memory waits for nothing")


class Faults(msgspec.Struct):
    """What can happen on the road, as probabilities per call. `away` is a store that is gone."""

    lost_request: float = 0.0
    lost_answer: float = 0.0
    slow: float = 0.0
    death: float = 0.0
    away: bool = False


class Witness(Protocol):
    """Who is told of everything that the store has done."""

    def committed(self, steps: Sequence[Step], result: CommitResult) -> None: ...

    def moved(self, movements: Sequence[AnyMovement], applied: Sequence[int]) -> None: ...

    def changed(self, what: str) -> None: ...


class Road:
    """The store as one process reaches it: every port of balances.port that it uses."""

    def __init__(
        self,
        ports: Ports,
        run: Run,
        clockwork: Clockwork,
        random: Random,
        faults: Faults,
        witness: Witness,
        die: Callable[[], None],
    ) -> None:
        """`die` kills the process whose road it is."""
        self._ports = ports
        self._run = run
        self._clockwork = clockwork
        self._random = random
        self._faults = faults
        self._witness = witness
        self._die = die

    async def _travel(self) -> None:
        faults, random = self._faults, self._random
        if random.random() < faults.death:
            self._die()
        delay_ms = random.randrange(3)
        if random.random() < faults.slow:
            delay_ms = random.choice((30, 300, 3_000, 9_000))
        await Wait(self._clockwork.now_ms + delay_ms)

    async def _call(
        self,
        make: Callable[[], Coroutine[Any, Any, Result]],
        done: Callable[[Result], None] | None = None,
    ) -> Result:
        await self._travel()
        if self._faults.away or self._random.random() < self._faults.lost_request:
            raise StoreUnavailable("simulated: the request did not arrive")
        result = self._run(make())
        if done is not None:
            done(result)
        await self._travel()
        if self._random.random() < self._faults.lost_answer:
            raise StoreUnavailable("simulated: the answer did not arrive")
        return result

    # BalanceStore

    async def read(self, lookups: Sequence[Lookup]) -> Snapshot:
        return await self._call(lambda: self._ports.hot.read(lookups))

    async def commit(self, steps: Sequence[Step], loose: Sequence[bytes] = ()) -> CommitResult:
        return await self._call(
            lambda: self._ports.hot.commit(steps, loose),
            lambda result: self._witness.committed(steps, result),
        )

    async def accounts(self, names: Sequence[str]) -> list[Account | None]:
        return await self._call(lambda: self._ports.hot.accounts(names))

    async def mark_boot(self, nas: str, event_time: int) -> bool:
        return await self._call(lambda: self._ports.hot.mark_boot(nas, event_time))

    async def mark_boots(self, marks: Sequence[tuple[str, int]]) -> list[bool]:
        return await self._call(lambda: self._ports.hot.mark_boots(marks))

    # Movements, Directory

    async def apply(self, movements: Sequence[AnyMovement]) -> list[int]:
        return await self._call(
            lambda: self._ports.movements.apply(movements),
            lambda applied: self._witness.moved(movements, applied),
        )

    async def publish(self, what: str, revision: int, values: Mapping[str, bytes]) -> None:
        await self._call(lambda: self._ports.movements.publish(what, revision, values))

    async def published(self, what: str) -> tuple[int, dict[str, bytes]]:
        return await self._call(lambda: self._ports.directory.published(what))

    async def revision(self, what: str) -> int:
        return await self._call(lambda: self._ports.directory.revision(what))

    # Sweeps

    async def due(self, limit: int, lease_ms: int) -> Due:
        return await self._call(lambda: self._ports.sweeps.due(limit, lease_ms), self._told("due"))

    async def pending_sweeps(self) -> dict[str, int]:
        return await self._call(self._ports.sweeps.pending_sweeps)

    async def sessions_of_nas(self, nas: str, cursor: int, count: int) -> tuple[int, list[str]]:
        return await self._call(lambda: self._ports.sweeps.sessions_of_nas(nas, cursor, count))

    async def swept(self, nas: str, mark: int) -> None:
        await self._call(lambda: self._ports.sweeps.swept(nas, mark))

    # JobQueue

    async def claim_jobs(self, limit: int, lease_ms: int) -> Claim:
        return await self._call(
            lambda: self._ports.jobs.claim_jobs(limit, lease_ms), self._told("claim")
        )

    async def put_off_jobs(self, waits: Mapping[str, int]) -> None:
        await self._call(lambda: self._ports.jobs.put_off_jobs(waits), self._told("put_off_jobs"))

    async def may_transmit(self, uid: str, lease_ms: int, asked: str = "") -> bool:
        return await self._call(
            lambda: self._ports.jobs.may_transmit(uid, lease_ms, asked), self._told("may_transmit")
        )

    async def report_job(
        self,
        uid: str,
        state: str,
        result: str,
        error_cause: int,
        again_in_ms: int,
        asked: str = "",
    ) -> bool:
        return await self._call(
            lambda: self._ports.jobs.report_job(
                uid, state, result, error_cause, again_in_ms, asked
            ),
            self._told("report_job"),
        )

    async def request_disconnect(self, session: str) -> str | None:
        return await self._call(
            lambda: self._ports.jobs.request_disconnect(session), self._told("request_disconnect")
        )

    async def request_change(self, session: str, change: Change) -> str | None:
        return await self._call(
            lambda: self._ports.jobs.request_change(session, change), self._told("request_change")
        )

    async def treatments(self, uids: Sequence[bytes]) -> list[tuple[str, str]]:
        return await self._call(lambda: self._ports.jobs.treatments(uids))

    async def live_jobs(self, limit: int) -> list[Job]:
        return await self._call(lambda: self._ports.jobs.live_jobs(limit))

    # SettlementStream, BookKeeping

    async def entries_after(
        self, position: Position, count: int, wait_ms: int = 0
    ) -> list[StreamEntry]:
        return await self._call(lambda: self._ports.stream.entries_after(position, count))

    async def trim(self, position: Position) -> None:
        await self._call(lambda: self._ports.stream.trim(position))

    async def initialise(self, generation: int) -> Position:
        return await self._call(lambda: self._ports.keeping.initialise(generation))

    async def books(self) -> Books:
        return await self._call(self._ports.keeping.books)

    async def fence(self, reason: str) -> Position:
        return await self._call(lambda: self._ports.keeping.fence(reason))

    async def inspect(self, accounts: Sequence[str]) -> list[AccountAudit | None]:
        return await self._call(lambda: self._ports.keeping.inspect(accounts))

    def _told(self, what: str) -> Callable[[object], None]:
        return lambda _result: self._witness.changed(what)
