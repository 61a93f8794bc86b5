"""What items become, without a database."""

from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from balances import entries
from balances.entries import Closed, Entry, Reopened
from balances.messages import Position
from billing.settlement.rows import Item, Settlement, items_of, settle
from tests.billing.settlement.making import (
    AT_MS,
    EVENT,
    anomaly,
    closed,
    items,
    job_event,
    opened,
    stream,
    uid,
    unrated,
    used,
)

NOW = datetime(2026, 3, 14, tzinfo=UTC)


def settled(*values: Entry | entries.JobEvent | bytes) -> Settlement:
    """What these become when they are settled now."""
    return settle(items(*values), NOW)


def test_charges_of_an_account_are_summed() -> None:
    """Whatever its sessions, an account is charged once a batch; another currency is apart."""
    result = settled(
        used(1, "alice", 20),
        used(2, "alice", 30),
        used(3, "bob", 5),
        used(4, "bob", 7, currency="USD"),
    )
    assert result.charges == {("alice", "EUR"): 50, ("bob", "EUR"): 5, ("bob", "USD"): 7}
    assert len(result.usage) == 4
    assert not result.refusals


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 10**6))))
def test_no_charge_is_lost_or_made(charges: list[tuple[str, int]]) -> None:
    """The sum of what accounts are charged is the sum of the charges, and no posting is 0."""
    result = settled(*(used(n, account, charge) for n, (account, charge) in enumerate(charges)))
    assert sum(result.charges.values()) == sum(charge for _, charge in charges)
    assert all(result.charges.values())
    assert len(result.usage) == len(charges)


def test_free_usage_is_recorded_and_posts_nothing() -> None:
    """A charge of 0 leaves a usage record, and no posting."""
    result = settled(used(charge=0))
    assert len(result.usage) == 1
    assert result.charges == {}


def test_the_last_end_of_a_session_counts() -> None:
    """Closed, open again, closed: the batch closes it; closed, then open again: it is open."""
    first, again, last = closed(total=10), Reopened(uid(1), "alice", AT_MS, EVENT), closed(total=30)
    ended = settled(first, again, last).ends[UUID(bytes=uid(1))]
    assert isinstance(ended.entry, Closed)
    assert ended.entry.total_micros == 30
    reopened = settled(first, again).ends[UUID(bytes=uid(1))]
    assert isinstance(reopened.entry, Reopened)
    assert reopened.closed_at is None


def test_an_opening_keeps_its_moments() -> None:
    """Started is the NAS's time in seconds, opened the store's in milliseconds."""
    opening = settled(opened()).opened[UUID(bytes=uid(1))]
    assert opening.started_at == datetime.fromtimestamp(EVENT - 60, UTC)
    assert opening.opened_at == datetime(2026, 9, 21, 14, 13, 20, 123_000, tzinfo=UTC)


def test_a_session_opened_twice_is_refused_once() -> None:
    """The first opening stands."""
    result = settled(opened(1, session="first"), opened(1, session="second"))
    assert result.opened[UUID(bytes=uid(1))].entry.acct_session_id == "first"
    assert [refusal.item.index for refusal in result.refusals] == [1]


def test_anomalies_are_counted_by_session_and_code() -> None:
    """The last record's counters stand for them."""
    result = settled(anomaly(octets_in=1), anomaly(octets_in=2), anomaly(code="earlier_epoch"))
    note = result.anomalies[UUID(bytes=uid(1)), "counter_fell"]
    assert (note.records, note.last.counters.octets_in) == (2, 2)
    assert result.anomalies[UUID(bytes=uid(1)), "earlier_epoch"].records == 1


def test_the_newest_unrated_record_of_a_session_stands_for_it() -> None:
    """By its event time: one that comes late does not replace it, but is counted."""
    newest, late = unrated(event_time=EVENT, octets_in=9), unrated(event_time=EVENT - 60)
    result = settled(newest, late, unrated("80000010"))
    note = result.unrated["pop1/10.0.0.1", "80000009", "mallory"]
    assert (note.records, note.newest.counters.octets_in) == (2, 9)
    assert len(result.unrated) == 2


def test_job_events_are_told_by_their_field() -> None:
    """They are maps, not arrays, and their uid is in hex."""
    (note,) = settled(job_event(7)).jobs
    assert note.uid == UUID(bytes=uid(7))
    assert note.event == job_event(7)


@pytest.mark.parametrize(
    "faulty",
    [
        b"",
        b"\xff",
        b"no entry",
        msgspec.msgpack.encode((2,)),
        msgspec.msgpack.encode((99, b"", "alice", 0)),
        entries.encode(used())[:-3],
        entries.encode(used(charge=-1)),
        entries.encode(msgspec.structs.replace(used(), uid=b"short")),
        entries.encode(msgspec.structs.replace(used(), kind=2**20)),
        entries.encode(msgspec.structs.replace(used(), total_micros=2**63)),
        entries.encode(msgspec.structs.replace(used(), event_time=2**62)),
        entries.encode(msgspec.structs.replace(opened(), started=2**62)),
        entries.encode(msgspec.structs.replace(closed(), at_ms=2**62)),
        entries.encode(msgspec.structs.replace(anomaly(), uid=b"")),
    ],
)
def test_an_item_that_cannot_be_read_hinders_no_other(faulty: bytes) -> None:
    """It is refused with its octets, and those around it are booked."""
    result = settled(used(1, "alice", 20), faulty, used(2, "alice", 30))
    assert [refusal.item.value for refusal in result.refusals] == [faulty]
    assert result.refusals[0].error
    assert result.charges == {("alice", "EUR"): 50}
    assert len(result.usage) == 2


@given(st.lists(st.binary(max_size=40)), st.sampled_from([b"1", b"0", b"j", b"x", b""]))
def test_no_octets_break_a_batch(values: list[bytes], field: bytes) -> None:
    """Every item is either understood or refused; none raises."""
    made = [Item(Position(1, 1), n, field, value) for n, value in enumerate(values)]
    assert len(settle(made, NOW).refusals) <= len(made)


def test_usage_without_a_charge_sequence_is_refused() -> None:
    """It could not be told whether the account's balance includes it."""
    loose = [msgspec.structs.replace(items(used())[0], field=b"0")]
    (refusal,) = settle(loose, NOW).refusals
    assert "charge sequence" in refusal.error


def test_charges_to_strangers_are_refused() -> None:
    """Only what they are charged: their free usage is kept, and so is everybody else's charge."""
    made = items(used(1, "alice"), used(2, "ghost"), used(3, "ghost", 0))
    result = settle(made, NOW, frozenset({("ghost", "EUR")}))
    assert [refusal.item.index for refusal in result.refusals] == [1]
    assert result.charges == {("alice", "EUR"): 20}
    assert len(result.usage) == 2


def test_items_keep_their_place() -> None:
    """An item knows its stream entry and its number in it."""
    made = items_of(stream([items(used(1), used(2)), items(used(3))]))
    assert [(item.position.sequence, item.index) for item in made] == [(1, 0), (1, 1), (2, 0)]
