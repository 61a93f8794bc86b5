"""Rate files as people write them, and what they are told of their faults."""

from datetime import date
from pathlib import Path

import pytest

from billing.taxes.rate import TaxCode, rates_on
from billing.taxes.ratefile import RateFileError, parse_rates, read_rates

SAMPLES = Path(__file__).parents[3] / "config" / "samples" / "taxes.toml"
GOOD = """
[[rate]]
jurisdiction = "DE"
category = "standard"
tax = "VAT"
percent = "19"
from = 2021-01-01
"""


def test_the_samples_can_be_read_and_each_country_has_its_rate() -> None:
    rates = read_rates(SAMPLES)
    day = date(2026, 1, 1)
    for place, ppm in (("DE", 190_000), ("CH", 81_000), ("BH", 100_000), ("JP", 100_000)):
        [rate] = rates_on(rates, place, "standard", day)
        assert rate.ppm == ppm
    gst, qst = rates_on(rates, "CA-QC", "standard", day)
    assert (gst.ppm, qst.ppm, qst.compound) == (50_000, 99_750, False)
    [kuwait] = rates_on(rates, "KW", "standard", day)
    assert kuwait.code is TaxCode.OUTSIDE
    [then] = rates_on(rates, "DE", "standard", date(2020, 12, 31))
    assert then.ppm == 160_000


def test_nothing_percent_is_the_zero_rate() -> None:
    [rate] = parse_rates(GOOD.replace('"19"', '"0"'), "t")
    assert rate.code is TaxCode.ZERO


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (('percent = "19"', "percent = 19"), "percent is 19, allowed is a text"),
        (('percent = "19"', 'percent = "190"'), "percent '190': allowed is 0 to 100"),
        (('percent = "19"', ""), "percent is missing"),
        (('tax = "VAT"', 'taxe = "VAT"'), "the key taxe is not known; did you mean tax?"),
        (("2021-01-01", '"2021"'), "from is '2021', allowed is a day"),
        (("2021-01-01", "2021-01-01T00:00:00"), "allowed is a day"),
        (("2021-01-01", '2021-01-01\ncode = "S "'), "code is 'S ', allowed is S, Z, E or O"),
        (("2021-01-01", "2021-01-01\nuntil = 2020-01-01"), "until is 2020-01-01, allowed is a day"),
        (("2021-01-01", "2021-01-01\nplace = true"), "place is True, allowed is 1 to 9"),
        (('"DE"', '"Germany"'), "jurisdiction is 'Germany', allowed is a country"),
    ],
)
def test_a_fault_says_where_it_is_and_what_is_allowed(change: tuple[str, str], told: str) -> None:
    with pytest.raises(RateFileError) as caught:
        parse_rates(GOOD.replace(*change), "rates.toml")
    assert any(told in str(fault) for fault in caught.value.faults), caught.value
    assert str(caught.value).startswith("rates.toml:2: ")


def test_all_faults_are_told_at_once_and_a_rate_may_stand_once() -> None:
    text = GOOD + GOOD + GOOD.replace('"19"', '"x"')
    with pytest.raises(RateFileError) as caught:
        parse_rates(text, "t")
    assert [fault.line for fault in caught.value.faults] == [9, 16]
    assert "there are two of that day" in caught.value.faults[0].message


@pytest.mark.parametrize(
    ("text", "told"),
    [("", "there is no [[rate]]"), ("rate = 3", "there is no [[rate]]"), ("[", "is not TOML")],
)
def test_a_file_without_rates_is_refused(text: str, told: str) -> None:
    with pytest.raises(RateFileError, match=told.replace("[", r"\[")):
        parse_rates(text, "t")


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(RateFileError, match="cannot be read: No such file"):
        read_rates(tmp_path / "none.toml")
    (tmp_path / "odd").write_bytes(b"\xff")
    with pytest.raises(RateFileError, match="not UTF-8"):
        read_rates(tmp_path / "odd")
