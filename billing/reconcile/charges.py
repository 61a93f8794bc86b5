"""Charges that are committed and not settled: in the store's balances, not yet in the ledger."""

from collections.abc import Iterable

from balances import entries
from balances.entries import JOB_FIELD, Used
from balances.messages import Position, StreamEntry
from balances.port import SettlementStream

#: Stream entries of one read; each may hold some hundred items.
_READ = 64


class StreamChanged(Exception):
    """The stream does not go on where it was read to: the books are not what they were."""


class UnsettledCharges:
    """The charges of the stream after a position, by account and charge sequence.

    An account's balance includes the charges up to the sequence that was read with it; those after
    it are kept until the account is read again.
    """

    def __init__(self, settled: Position) -> None:
        self.position = settled
        self.entries = 0
        self.unreadable = 0
        self._charges: dict[str, list[tuple[int, int]]] = {}

    async def read_to(self, stream: SettlementStream, end: Position) -> None:
        """Read on, up to and including the entry `end`. Raises StreamChanged or StoreError."""
        while self.position < end:
            found = await stream.entries_after(self.position, _READ)
            if not found:
                raise StreamChanged(f"the stream ends at {self.position}, not at {end}")
            for entry in found:
                self._add(entry)

    def _add(self, entry: StreamEntry) -> None:
        expected = Position(self.position.generation, self.position.sequence + 1)
        if entry.position != expected:
            raise StreamChanged(f"the stream goes on at {entry.position}, expected is {expected}")
        self.position = expected
        self.entries += 1
        for field, value in entry.items:
            if field == JOB_FIELD:
                continue
            try:
                decoded, sequence = entries.decode(value), int(field)
            except ValueError:
                self.unreadable += 1
                continue
            if type(decoded) is Used and decoded.charge_micros:
                charges = self._charges.setdefault(decoded.account, [])
                charges.append((sequence, decoded.charge_micros))

    def up_to(self, account: str, charge_sequence: int) -> int:
        """Return the sum of an account's charges up to a sequence, in micros."""
        return sum(
            micros
            for sequence, micros in self._charges.get(account, ())
            if sequence <= charge_sequence
        )


def parked_charges(parked: Iterable[bytes]) -> dict[str, int]:
    """Return the charges in parked entries by account, in micros, as far as they can be read."""
    charges: dict[str, int] = {}
    for value in parked:
        try:
            decoded = entries.decode(value)
        except ValueError:
            continue
        if type(decoded) is Used:
            charges[decoded.account] = charges.get(decoded.account, 0) + decoded.charge_micros
    return charges
