"""Settlement entries: what one version writes, the next one reads."""

import msgspec
import pytest

from balances.entries import (
    Anomaly,
    Closed,
    Entry,
    Freed,
    Opened,
    Reopened,
    Unrated,
    Used,
    decode,
    decode_job_event,
    encode,
)
from rating.quantity import Counters

UID, RAW = b"u" * 16, msgspec.Raw(b"\x90")
USED = Counters(60, 2**40, 2**63 - 1)

ENTRIES: list[Entry] = [
    Opened(UID, "a", 5, "n|1", "n", "1", 0, "bob", "metered", 1, "EUR", 4, Counters(), RAW),
    Used(UID, "a", 5, 3, 4, USED, USED, 2**53 - 1, 2**53 - 1, "metered", 1, "EUR"),
    Closed(UID, "a", 5, "stop", 1, 4, USED, 7),
    Reopened(UID, "a", 5, 4),
    Anomaly(UID, "a", 5, "counter_fell", 4, USED),
    Freed(UID, "a", 5, USED),
    Unrated(5, "unknown_user", "pop1", "n", "1", "bob", 3, 4, USED, RAW),
]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: type(entry).__name__)
def test_an_entry_is_read_as_it_was_written(entry: Entry) -> None:
    assert decode(encode(entry)) == entry


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: type(entry).__name__)
def test_a_field_that_a_newer_worker_added_is_passed_over(entry: Entry) -> None:
    fields = msgspec.msgpack.decode(encode(entry))
    assert decode(encode([*fields, "new"])) == entry


def test_a_job_event_may_bring_new_fields() -> None:
    event = {
        "uid": "0a",
        "session": "n|1",
        "account": "a",
        "cause": "operator",
        "event": "proven",
        "at_ms": 1,
        "due_ms": 2,
        "attempts": 3,
        "result": "",
        "error_cause": 0,
        "new": 1,
    }
    assert decode_job_event(msgspec.msgpack.encode(event)).attempts == 3
