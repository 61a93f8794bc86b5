"""Rows packed by hand are what Postgres reads."""

import io
import struct
from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from balances.entries import Used
from billing.database import Connection
from billing.settlement.times import moment_of_seconds, postgres_micros_of_seconds
from billing.settlement.usage_rows import COLUMNS, UsageRows
from rating.quantity import Counters
from tests.billing.settlement.making import used

SETTLED = datetime(2026, 3, 14, 15, 9, 26, 535_897, tzinfo=UTC)

_int64 = st.integers(0, 2**63 - 1)
_counters = st.builds(Counters, _int64, _int64, _int64)
_used = st.builds(
    Used,
    uid=st.binary(min_size=16, max_size=16),
    account=st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=70),
    at_ms=st.just(0),
    kind=st.integers(0, 2**15 - 1),
    event_time=st.integers(0, 2**33),
    usage=_counters,
    used=_counters,
    charge_micros=_int64,
    total_micros=_int64,
    plan=st.just("metered"),
    plan_version=st.integers(1, 2**31 - 1),
    currency=st.just("EUR"),
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(1, 2**63 - 1), _used), max_size=5))
async def test_every_value_arrives(conn: Connection, records: list[tuple[int, Used]]) -> None:
    """Whatever the values within their columns' ranges, the table holds the same."""
    rows = UsageRows(SETTLED)
    for sequence, record in records:
        rows.add(sequence, record, postgres_micros_of_seconds(record.event_time))
    assert len(rows) == len(records)
    transaction = conn.transaction()
    await transaction.start()
    await conn.copy_to_table(
        "usage_records", source=io.BytesIO(rows.copy_data()), columns=COLUMNS, format="binary"
    )
    found = await conn.fetch(f"SELECT {', '.join(COLUMNS)} FROM usage_records")
    await transaction.rollback()
    expected = [
        (
            record.account,
            SETTLED,
            UUID(bytes=record.uid),
            sequence,
            moment_of_seconds(record.event_time),
            record.kind,
            record.plan_version,
            *msgspec.structs.astuple(record.usage),
            *msgspec.structs.astuple(record.used),
            record.charge_micros,
            record.total_micros,
        )
        for sequence, record in records
    ]
    assert sorted(tuple(row) for row in found) == sorted(expected)


def test_a_number_beyond_its_column_adds_nothing() -> None:
    """The rows before and after it are whole."""
    rows = UsageRows(SETTLED)
    rows.add(1, used(), 0)
    before = rows.copy_data()
    with pytest.raises(struct.error):
        rows.add(2**63, used(), 0)
    with pytest.raises(struct.error):
        rows.add(2, used(usage=Counters(0, 2**63, 0)), 0)
    assert rows.copy_data() == before
    assert len(rows) == 1
