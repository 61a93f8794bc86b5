"""What is committed and not settled, by account and charge sequence."""

import pytest

from balances import entries
from balances.messages import Position, StreamEntry
from billing.reconcile.charges import StreamChanged, UnsettledCharges, parked_charges
from tests.billing.settlement.making import closed, items, job_event, opened, stream, unrated, used


class Recorded:
    """A stream that is what it was made of."""

    def __init__(self, entries: list[StreamEntry]) -> None:
        self._entries = entries

    async def entries_after(
        self, position: Position, count: int, wait_ms: int = 0
    ) -> list[StreamEntry]:
        """Return the entries after a position."""
        return [each for each in self._entries if each.position > position][:count]

    async def trim(self, position: Position) -> None:
        """Nobody settles here."""
        raise AssertionError


async def test_charges_up_to_a_sequence() -> None:
    """Those after it are kept, for when the account is read again."""
    batches = [
        items(opened(1), used(1, "alice", 20), used(2, "bob", 5)),
        items(job_event(1), unrated(), used(1, "alice", 30), closed(1), b"odd"),
    ]
    charges = UnsettledCharges(Position(1, 0))
    await charges.read_to(Recorded(stream(batches)), Position(1, 2))
    assert (charges.entries, charges.unreadable) == (2, 1)
    assert charges.up_to("alice", 1) == 0
    assert charges.up_to("alice", 2) == 20
    assert charges.up_to("alice", 4) == 50
    assert charges.up_to("bob", 99) == 5
    assert charges.up_to("nobody", 99) == 0


async def test_reading_on() -> None:
    """To a later end, from where it was read to."""
    recorded = Recorded(stream([items(used(n, charge=1)) for n in range(200)]))
    charges = UnsettledCharges(Position(1, 0))
    await charges.read_to(recorded, Position(1, 150))
    assert charges.entries >= 150
    await charges.read_to(recorded, Position(1, 200))
    assert (charges.entries, charges.position) == (200, Position(1, 200))
    assert charges.up_to("alice", 1) == 200


async def test_a_stream_that_is_not_whole() -> None:
    """Nothing can be said about balances then."""
    whole = stream([items(used(n)) for n in range(5)])
    with pytest.raises(StreamChanged, match="expected"):
        await UnsettledCharges(Position(1, 0)).read_to(
            Recorded(whole[:2] + whole[3:]), Position(1, 5)
        )
    with pytest.raises(StreamChanged, match="ends"):
        await UnsettledCharges(Position(1, 0)).read_to(Recorded(whole[:2]), Position(1, 5))


def test_parked_charges_by_account() -> None:
    """As far as their entries can be read."""
    parked = [
        *(entries.encode(used(n, "alice", 20)) for n in range(3)),
        entries.encode(used(9, "bob", 1)),
        entries.encode(closed(1)),
        b"odd",
    ]
    assert parked_charges(parked) == {"alice": 60, "bob": 1}
