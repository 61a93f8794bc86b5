"""Between listener and intake: while the store is away, records go to the journal, in order.

*Directly*: batches go to the intake; the journal is empty. *Holding*, once the store has failed for
longer than the grace, or when something waits from before: batches are appended to the journal and
answered from there, and nothing else. As soon as the store takes commits again, what waits is
replayed, oldest first, while new batches go on behind it; the last few records are replayed with
new batches held back, so that the journal is empty when these go directly again.

What that keeps. *Exactly once*: a replay is the record as it arrived, through the same intake, and
the session's marks make of a second one nothing; a file goes only when all of it is in the books.
*In order*: no record of this listener overtakes one that waits in its journal. Another listener may
get the same session meanwhile (a NAS that has changed its port) and be before or behind us: that is
the disorder of UDP, which the counters stand, since they only move forward. A late record charges
and refunds nothing, and the newer one has charged what it would have. The same holds for a record
that was with the intake when the store failed, and is kept behind those that came just after it.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TypeVar

import structlog

from balances.errors import StoreEmpty, StoreError, StoreFenced, StoreFull, StoreUnavailable
from radius.engine import Request
from ratewire.journal.frames import Scan
from ratewire.journal.replay import Replay, entry_of
from ratewire.journal.segments import JournalFull, Segment, Segments
from ratewire.journal.slots import Slot
from ratewire.observer import Observer
from ratewire.outage import Outage
from ratewire.pipeline.intake import Intake

_log = structlog.get_logger(__name__)

T = TypeVar("T")

#: What keeps the store from taking any record for a while: it is away or too slow, its books are
#: being rebuilt, it is full, or it has lost its books and waits for a rebuild. StoreRefused is a
#: fault of the program or of the store's setup, which waiting does not mend; and a record that is
#: refused by itself (FAULTY, BEYOND_BOUNDS) says nothing of the store.
PASSING = (StoreUnavailable, StoreFenced, StoreFull, StoreEmpty)

#: With so many records left to replay, new ones are held back until it is done.
LAST_RECORDS = 512


class Keeper:
    """One listener's way to the books: `handle` is its handler, and `watch` is called beside it."""

    def __init__(
        self,
        intake: Intake,
        slot: Slot,
        observer: Observer,
        *,
        grace_seconds: float | None,
        batch: int,
    ) -> None:
        """`slot` is closed by `close`, with all that is inherited.

        `grace_seconds` None: nothing new is kept. What waits from before is replayed all the same,
        and until then nothing is answered.
        """
        self._intake = intake
        self._slots = [slot]  # ours is the last
        self._aside = slot.aside
        self._observer = observer
        self._grace_seconds = grace_seconds
        self._replay = Replay(intake, observer, batch=batch)
        # One thread: files are for one at a time, and the order is that of the calls.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")
        self._writing = Outage("writing the journal")
        self._replaying = Outage("replaying the journal")
        self._turn = asyncio.Lock()
        self._queued = 0
        self._failing_since: float | None = None
        self._failed_at = 0.0
        self._probed = False  # the store has answered a probe since it failed
        self._held_since: datetime | None = None
        self._replayed = self._refused = 0  # since then, for the log
        if len(slot.waiting):
            self._hold("records wait from before")

    @property
    def holds(self) -> bool:
        """Whether records go to the journal."""
        return self._held_since is not None

    @property
    def health(self) -> tuple[bool, str]:
        """Whether records go to the books directly, and what is the matter if not."""
        if self._held_since is None:
            return True, ""
        records = sum(each.records for each in self.waiting)
        return False, f"journaling since {self._held_since:%F %T} UTC: {records} records wait"

    @property
    def waiting(self) -> list[Segments]:
        """What is to be replayed, by directory, in order."""
        *inherited, ours = self._slots
        return [each for slot in inherited for each in (slot.aside, slot.waiting)] + [ours.waiting]

    @property
    def aside(self) -> Segments:
        """What the books did not take."""
        return self._aside

    async def handle(self, requests: Sequence[Request]) -> Sequence[Request]:
        """Book a batch or keep it; return the requests whose effect is durable, to be answered."""
        # Those that queue go first, even if they will find that nothing is held any more.
        if self._queued or self._must_hold():
            kept = await self._keep(requests)
            if kept is not None:
                return kept
        began = time.monotonic()
        booked = await self._intake.book([request.record for request in requests])
        done = booked.among(requests)
        if booked.failure is None:
            self._failing_since = None
        elif isinstance(booked.failure, PASSING):
            self._fails(began)
            if self._must_hold():
                durable = frozenset(map(id, done))
                kept = await self._keep([each for each in requests if id(each) not in durable])
                if kept is not None:
                    return [*done, *kept]
        self._intake.leave(len(requests) - len(done), booked.failure)
        return done

    async def watch(self, stop: asyncio.Event) -> None:
        """Try the store if it fails; if it works, replay what waits. To be called again and again.

        It takes as long as the replay does, unless `stop` is set.
        """
        if self._failing_since is None and not self.holds:
            return
        began = time.monotonic()
        try:
            await self._intake.probe()
            self._probed = True
            if self.holds:
                self._failing_since = None
                await self._drain(stop)
            elif began - self._failed_at >= (self._grace_seconds or 0):
                self._failing_since = None
        except StoreError as error:
            if isinstance(error, PASSING):
                self._fails(began)
            if self._must_hold():
                self._replaying.failed(error)
        except (OSError, JournalFull) as error:
            self._replaying.failed(error)

    def inherit(self, slots: Sequence[Slot]) -> None:
        """Take over what other processes left behind; it is older than what we have."""
        if slots:
            self._slots[:0] = slots
            self._hold("another process has left records behind")

    async def retry_aside(self) -> None:
        """Try once more what the books did not take; what they still refuse stays."""
        if self.holds or not self._aside.records:
            return
        try:
            await self._in_thread(self._aside.turn_over)
            for _ in range(len(self._aside)):
                await self._replay_oldest(self._aside)
        except (StoreError, OSError, JournalFull) as error:
            _log.warning("what was set aside has to wait", error=str(error))

    def close(self) -> None:
        """Finish what is being written, and let the directories go; what waits in them, waits."""
        self._thread.shutdown(wait=True)
        for slot in self._slots:
            slot.close()

    def _fails(self, began: float) -> None:
        """Note that the store fails, asked at `began`.

        That it has answered a probe meanwhile does not say that it takes records: a store whose
        disk is full ends with each one, and comes back. It was well only if none failed for long.
        """
        well = self._probed and began - self._failed_at >= (self._grace_seconds or 0)
        if self._failing_since is None or well:
            self._failing_since = began
        self._failed_at, self._probed = time.monotonic(), False

    def _must_hold(self) -> bool:
        """Whether records go to the journal; from now on, if the grace has passed.

        After a probe that was answered the next batch is tried first.
        """
        since, grace = self._failing_since, self._grace_seconds
        if self.holds or since is None or grace is None or self._probed:
            return self.holds
        if time.monotonic() - since >= grace:
            self._hold("the store is away")
        return self.holds

    def _hold(self, why: str) -> None:
        if not self.holds:
            self._held_since = datetime.fromtimestamp(time.time(), UTC)
            self._replayed = self._refused = 0
            _log.warning("journaling: records are kept before they are booked", why=why)

    async def _keep(self, requests: Sequence[Request]) -> Sequence[Request] | None:
        """Append a batch; return those that are durable; None if records go directly by now."""
        self._queued += 1
        try:
            async with self._turn:
                if not self.holds:
                    return None
                if self._grace_seconds is None:
                    self._observer.count("unanswered", len(requests))
                    return []
                entries = [entry_of(request) for request in requests]
                await self._in_thread(self._slots[-1].waiting.append, entries)
        except (OSError, JournalFull) as error:
            full = isinstance(error, JournalFull)
            self._observer.count("journal_full" if full else "journal_failed", len(requests))
            self._observer.count("unanswered", len(requests))
            self._writing.failed(error)
            return []
        finally:
            self._queued -= 1
        self._writing.works()
        self._observer.count("journaled", len(requests))
        return requests

    async def _drain(self, stop: asyncio.Event) -> None:
        """Replay until nothing waits. Raises StoreError, OSError or JournalFull: then more does."""
        while sum(each.records for each in self.waiting) > LAST_RECORDS:
            if stop.is_set():
                return
            await self._replay_first()
        async with self._turn:
            while await self._replay_first():
                pass
            self._release()

    async def _replay_first(self) -> bool:
        """Replay the oldest file of all; whether there was one."""
        for segments in self.waiting:
            if await self._replay_oldest(segments):
                self._replaying.works()
                return True
        return False

    async def _replay_oldest(self, segments: Segments) -> bool:
        found = await self._in_thread(segments.oldest)
        if found is None:
            return False
        segment, scan = found
        refused = await self._replay.book(scan.entries)
        self._replayed += len(scan.entries) - len(refused)
        if refused:
            self._refused += len(refused)
            await self._in_thread(self._aside.append, refused)
            self._observer.count("journal_set_aside", len(refused))
            _log.error("records of the journal are set aside", count=len(refused))
        self._tell(segment, scan)
        await self._in_thread(lambda: segments.remove(segment, damaged=bool(scan.damages)))
        return True

    def _tell(self, segment: Segment, scan: Scan) -> None:
        """Tell what is wrong with a file that has been replayed."""
        if scan.torn:
            _log.warning(
                "a file of the journal ends in a write that was interrupted",
                file=str(segment.path), octets=scan.torn,
            )  # fmt: skip
        if scan.damages:
            self._observer.count("journal_damages", len(scan.damages))
            _log.error(
                "a file of the journal is damaged, and kept",
                file=str(segment.path),
                octets=[(each.at, each.length) for each in scan.damages],
            )

    def _release(self) -> None:
        """Let records go directly again."""
        assert self._held_since is not None
        for slot in self._slots[:-1]:
            slot.close()
        del self._slots[:-1]
        lasted = time.time() - self._held_since.timestamp()
        self._held_since = None
        self._replaying.works()
        _log.warning(
            "the journal is replayed",
            records=self._replayed,
            set_aside=self._refused,
            after_seconds=round(lasted, 1),
        )

    async def _in_thread(self, work: Callable[..., T], *arguments: object) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, work, *arguments)
