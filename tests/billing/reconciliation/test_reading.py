"""A file's format is seen from its beginning."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.reconciliation import reading
from billing.reconciliation.statement import Format, Unreadable
from billing.reconciliation.table import CsvFormat
from tests.billing.reconciliation.bank import Booked, camt, mt940, ofx

LINE = Booked("1.00", "x")
FILES = {Format.CAMT: camt(LINE), Format.MT940: mt940(LINE), Format.OFX: ofx(LINE)}


def test_the_format_is_seen_and_csv_is_told() -> None:
    for form, content in FILES.items():
        found, [line] = reading.read(content, "a", None)
        assert (found, line.amount_micros) == (form, 1_000_000)
    table = b"date,amount,currency,payer,reference\n2026-03-02,1,EUR,,\n"
    assert reading.read(table, "a", CsvFormat())[0] is Format.CSV
    with pytest.raises(Unreadable, match="allowed are CAMT"):
        reading.read(table, "a", None)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(FILES.items())), st.data())
def test_a_damaged_file_is_read_to_the_cent_or_refused(
    file: tuple[Format, bytes], data: st.DataObject
) -> None:
    _, content = file
    start = data.draw(st.integers(0, len(content)))
    end = data.draw(st.integers(start, len(content)))
    damaged = content[:start] + data.draw(st.binary(max_size=8)) + content[end:]
    with contextlib.suppress(Unreadable):
        _, lines = reading.read(damaged, "a", None)
        assert all(line.amount_micros % 10_000 == 0 for line in lines if line.currency == "EUR")
