"""What a rate is, and which one holds on a day."""

from datetime import date

import pytest

from billing.errors import InvalidInput
from billing.taxes.rate import TaxCode, TaxRate, format_percent, parse_percent, rates_on


def rate(tax: str, ppm: int, since: date, **more: object) -> TaxRate:
    return TaxRate("CA-QC", "standard", tax, since, ppm, **more)  # pyright: ignore[reportArgumentType]


RATES = [
    rate("QST", 99_750, date(2013, 1, 1), place=2),
    rate("GST", 50_000, date(2008, 1, 1)),
    rate("QST", 95_000, date(2012, 1, 1), place=2, compound=True),
    rate("levy", 10_000, date(2012, 1, 1), place=3, valid_until=date(2012, 7, 1)),
]


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        (date(2007, 12, 31), []),
        (date(2008, 1, 1), [("GST", 50_000, False)]),
        (
            date(2012, 6, 30),
            [("GST", 50_000, False), ("QST", 95_000, True), ("levy", 10_000, False)],
        ),
        (date(2012, 7, 1), [("GST", 50_000, False), ("QST", 95_000, True)]),
        (date(2012, 12, 31), [("GST", 50_000, False), ("QST", 95_000, True)]),
        (date(2013, 1, 1), [("GST", 50_000, False), ("QST", 99_750, False)]),
    ],
)
def test_a_rate_holds_from_its_day_until_the_next_one_or_its_end(
    day: date, expected: list[tuple[str, int, bool]]
) -> None:
    found = rates_on(RATES, "CA-QC", "standard", day)
    assert [(each.tax, each.ppm, each.compound) for each in found] == expected


def test_rates_of_other_places_and_categories_do_not_hold() -> None:
    assert rates_on(RATES, "CA-ON", "standard", date(2020, 1, 1)) == ()
    assert rates_on(RATES, "CA-QC", "reduced", date(2020, 1, 1)) == ()


@pytest.mark.parametrize(
    ("text", "ppm"),
    [("19", 190_000), ("9.975", 99_750), ("0", 0), ("100", 1_000_000), ("5.5", 55_000)],
)
def test_percentages_are_read_and_written_exactly(text: str, ppm: int) -> None:
    assert parse_percent(text) == ppm
    assert format_percent(ppm) == text


@pytest.mark.parametrize("text", ["", "-1", "100.1", "1.23456", "1e1", "19 %", "\u0665"])
def test_what_is_no_percentage_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="at most four decimals"):
        parse_percent(text)


@pytest.mark.parametrize(
    ("faulty", "field"),
    [
        (TaxRate("Germany", "standard", "VAT", date(2020, 1, 1), 1), "jurisdiction"),
        (TaxRate("DE", "Standard", "VAT", date(2020, 1, 1), 1), "category"),
        (TaxRate("DE", "standard", "", date(2020, 1, 1), 1), "tax"),
        (TaxRate("DE", "standard", "VAT", date(2020, 1, 1), 1_000_001), "percent"),
        (TaxRate("DE", "standard", "VAT", date(2020, 1, 1), 1, date(2020, 1, 1)), "until"),
        (TaxRate("DE", "standard", "VAT", date(2020, 1, 1), 1, place=0), "place"),
        (TaxRate("DE", "standard", "VAT", date(2020, 1, 1), 0), "code"),
        (TaxRate("DE", "standard", "VAT", date(2020, 1, 1), 1, code=TaxCode.EXEMPT), "code"),
        (TaxRate("DE", "standard", "VAT", date(2020, 1, 1), 0, code=TaxCode.EXEMPT), "reason"),
        (
            TaxRate("DE", "standard", "VAT", date(2020, 1, 1), 0, code=TaxCode.REVERSE_CHARGE),
            "code",
        ),
    ],
)
def test_each_fault_names_its_field(faulty: TaxRate, field: str) -> None:
    [fault] = faulty.faults()
    assert fault.startswith(field)
