"""What a line of a bank file is."""

from datetime import date

import msgspec
import pytest

from billing.reconciliation.statement import (
    BankLine,
    Fault,
    Refusal,
    Unreadable,
    day_of,
    identities,
    micros_of,
    tidy,
)

LINE = BankLine(place="row 1", booked_on=date(2026, 3, 2), amount_micros=1, currency="EUR")


def test_an_amount_is_exact_or_refused() -> None:
    assert micros_of("-12.50", "EUR") == -12_500_000
    assert micros_of("12", "JPY") == 12_000_000
    assert micros_of("0.125", "KWD") == 125_000
    for text, currency in (
        *(("1.005", "EUR"), ("1,00", "EUR"), ("1e3", "EUR"), ("NaN", "EUR"), ("", "EUR")),
        *(("1.5", "JPY"), ("1", "XXQ"), ("99999999999999", "EUR")),
    ):
        with pytest.raises(Refusal):
            micros_of(text, currency)


def test_a_day_is_iso_and_a_text_one_printable_line() -> None:
    assert day_of("2026-03-02T10:00:00+01:00") == date(2026, 3, 2)
    with pytest.raises(Refusal, match="not a date"):
        day_of("02.03.2026")
    assert tidy(" a\n\tb\x00\u202ec ") == "a bc"
    assert tidy(None) == ""
    assert len(tidy("x" * 600)) == 500


def test_a_line_is_the_same_in_another_file_and_its_twin_in_one_file_is_another() -> None:
    first, twin = identities([LINE, LINE])
    assert first != twin
    assert identities([msgspec.structs.replace(LINE, place="elsewhere")]) == [first]
    assert identities([msgspec.structs.replace(LINE, amount_micros=2)]) != [first]
    named = msgspec.structs.replace(LINE, bank_reference="B1", text="a")
    assert identities([named]) == identities([msgspec.structs.replace(named, text="b")])


def test_a_refused_file_tells_its_faults_and_how_many_more() -> None:
    error = Unreadable("x.csv", [Fault(f"row {number}", "bad") for number in range(25)])
    assert "nothing of it is imported: row 0: bad; row 1: bad" in str(error)
    assert str(error).endswith("and 5 more")
    assert len(error.faults) == 25
