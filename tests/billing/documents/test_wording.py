"""Every language has every word, and writes numbers and dates its own way."""

from datetime import date

import pytest

from billing.documents.wording import decimal_text, wording
from billing.entities.entity import LANGUAGES


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_every_word_with_the_same_values(language: str) -> None:
    english, other = wording("en"), wording(language)
    assert set(other.words) == set(english.words)
    assert len(other.months) == 12
    for key, text in english.words.items():
        named = {word.split("}")[0] for word in text.split("{")[1:]}
        assert {word.split("}")[0] for word in other.words[key].split("{")[1:]} == named, key


def test_numbers_and_dates_are_written_as_is_usual() -> None:
    assert wording("de").money(-1_234_560_000, "EUR") == "\u22121.234,56\u00a0EUR"
    assert wording("fr").amount(1_234_567_890_000, "EUR") == "1\u202f234\u202f567,89"
    assert wording("en").amount(12_469_134, "EUR") == "12.469134"
    assert wording("ar").money(5_000_000, "BHD") == "\u20665.000\u00a0BHD\u2069"
    assert wording("en").day(date(2026, 3, 4)) == "04 Mar 2026"
    assert wording("de").day(date(2026, 3, 4)) == "04.03.2026"


def test_machines_get_the_exact_minor_units() -> None:
    assert decimal_text(-12_500_000, "EUR") == "-12.50"
    assert decimal_text(12_000_000, "JPY") == "12"
    assert decimal_text(12_345_000, "BHD") == "12.345"
    with pytest.raises(AssertionError):
        decimal_text(1, "EUR")
