"""Reports as CSV do nothing but say what they say."""

import csv
import io
from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from billing.reports.table import Report, report, to_csv


def test_money_is_in_units_of_its_currency_and_names_are_no_formulas() -> None:
    rows = [
        {"name": "=1+1", "currency": "EUR", "amount_micros": -1_500_000},
        {"name": "a,b", "currency": "JPY", "amount_micros": 7_000_000},
    ]
    made = report("x", ("name", "currency", "amount_micros"), rows)
    assert to_csv(made) == 'name,currency,amount\r\n\'=1+1,EUR,-1.50\r\n"a,b",JPY,7\r\n'
    dated = Report("x", ("day", "amount_micros"), [(date(2026, 3, 1), None)])
    assert to_csv(dated) == "day,amount\r\n2026-03-01,\r\n"


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20))
def test_no_text_begins_as_a_formula_does_and_none_is_lost(text: str) -> None:
    [_, [cell, other]] = csv.reader(
        io.StringIO(to_csv(Report("x", ("name", "other"), [(text, "y")])), newline="")
    )
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n", "|", "%"))
    assert (cell.removeprefix("'"), other) == (text.removeprefix("'"), "y")
