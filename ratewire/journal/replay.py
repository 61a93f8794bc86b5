"""From the journal to the books: the datagrams as they arrived, through decoder and intake."""

from collections.abc import Sequence

import structlog

from balances.errors import StoreError
from radius import packet
from radius.decode import IgnoredStatus, decode
from radius.engine import Request
from radius.packet import Fault
from radius.records import AccountingRecord
from ratewire.journal.frames import Entry
from ratewire.observer import Observer
from ratewire.pipeline.intake import Intake

_log = structlog.get_logger(__name__)

#: What is left of a batch although the store works is tried so often in all.
TRIES = 3


def entry_of(request: Request) -> Entry:
    """Return what is kept of a request."""
    record, client = request.record, request.client
    return Entry(
        record.arrived_ms,
        record.source_host,
        record.source_port,
        client.name,
        client.swap_octets,
        client.octet_unit,
        request.octets,
    )


def record_of(entry: Entry) -> AccountingRecord | IgnoredStatus | Fault:
    """Return the record of an entry, as it was when it arrived.

    It is not verified again: it was, and its secret or its client may have been changed since.
    """
    parsed = packet.split(entry.octets)
    if isinstance(parsed, Fault):
        return parsed
    return decode(parsed, entry, entry.host, entry.port, entry.arrived_ms)


class Replay:
    """Books entries in their order, batch after batch."""

    def __init__(self, intake: Intake, observer: Observer, *, batch: int) -> None:
        self._intake = intake
        self._observer = observer
        self._batch = batch

    async def book(self, entries: Sequence[Entry]) -> list[Entry]:
        """Book entries; return those that the books do not take although the store works.

        Raises StoreError: some are booked then, and to book all of them again does no harm.
        """
        refused: list[Entry] = []
        for first in range(0, len(entries), self._batch):
            refused += await self._book_batch(entries[first : first + self._batch])
        return refused

    async def _book_batch(self, entries: Sequence[Entry]) -> list[Entry]:
        try:
            return await self._try(entries)
        except StoreError:
            raise
        except Exception:  # noqa: BLE001 - what was answered is kept, whatever is wrong with it
            if len(entries) == 1:
                _log.exception("a record of the journal cannot be booked", nas=entries[0].name)
                return list(entries)
        # One of them is too much for the program; the others must not suffer for it.
        refused: list[Entry] = []
        for entry in entries:
            refused += await self._book_batch([entry])
        return refused

    async def _try(self, entries: Sequence[Entry]) -> list[Entry]:
        refused: list[Entry] = []
        left: list[tuple[Entry, AccountingRecord]] = []
        for entry in entries:
            record = record_of(entry)
            if isinstance(record, AccountingRecord):
                left.append((entry, record))
            else:
                refused.append(entry)
        for _ in range(TRIES):
            booked = await self._intake.book([record for _, record in left])
            # By identity: a record has no hash.
            durable = frozenset(map(id, booked.done))
            left = [each for each in left if id(each[1]) not in durable]
            self._observer.count("journal_replayed", len(durable))
            if booked.failure is not None:
                raise booked.failure
            if not left:
                break
        return refused + [entry for entry, _ in left]
