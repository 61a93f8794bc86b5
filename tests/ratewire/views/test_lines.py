"""The lines of a charge, in words."""

import pytest

from ratewire.views.lines import told
from rating.charge import Line, LineKind
from rating.tariff import Counter


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (Line(LineKind.CONNECT_FEE, 500_000), "connect fee = 0.50"),
        (Line(LineKind.MINIMUM, -7_729), "minimum = -0.007729"),
        (
            Line(LineKind.USAGE, 7, Counter.SECONDS, 7, 7, 1, 1),
            "7 seconds at 0.000001 each = 0.000007",
        ),
        (
            Line(LineKind.USAGE, 4_000, Counter.OCTETS_OUT, 1_500, 2_000, 2_000_000, 1_000_000),
            "1,500 octets_out billed as 2,000 at 2.00 per 1,000,000 = 0.004",
        ),
        (
            Line(LineKind.ALLOWANCE, 0, Counter.OCTETS_OUT, 50, allowance="pool", left_after=1_950),
            "50 octets_out of allowance pool, 1,950 left = 0.00",
        ),
        (
            Line(
                LineKind.USAGE, 10, Counter.SECONDS, 70, 60, 1, 6, bands=("day",), covered_units=10
            ),
            "70 seconds in day billed as 60 (10 by allowances) at 0.000001 per 6 = 0.00001",
        ),
    ],
)
def test_a_line_in_words(line: Line, words: str) -> None:
    assert told(line, "EUR") == words
