"""What payers' words name."""

from datetime import date

import pytest

from billing.reconciliation.naming import candidates, found_in, plain, same_person, words_of
from billing.reconciliation.statement import BankLine

KNOWN = {"INV202600012": ["invoice 12"], "ACME7": ["acme-7"], "2026": ["account 2026"]}


def named(text: str) -> list[str]:
    line = BankLine(
        place="", booked_on=date(2026, 3, 2), amount_micros=1, currency="EUR", text=text
    )
    words = words_of(line)
    return found_in(words, lambda name: KNOWN.get(name, []))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("INV-2026-00012", ["invoice 12"]),
        ("inv 2026/000 12, thanks", ["invoice 12"]),
        ("Rg.INV202600012", ["invoice 12"]),
        ("INV-2026-00012 acme-7", ["invoice 12", "acme-7"]),
        ("customer ACME 7", ["acme-7"]),
        ("Invoice:INV- 2026-00012", ["invoice 12"]),
        ("for 2026", ["account 2026"]),
        ("INV-2026-000123", []),
        ("nothing known", []),
    ],
)
def test_names_are_found_however_they_are_spaced_and_never_within_one(
    text: str, found: list[str]
) -> None:
    assert named(text) == found


def test_people_are_the_same_without_accents_and_in_any_order() -> None:
    assert same_person("Anna Weiß", "WEISS ANNA")
    assert same_person("Jörg Müller", "Joerg Mueller")
    assert same_person("Anna Maria Weiß", "Anna Weiss")
    assert not same_person("Anna", "Anna Weiß")
    assert not same_person("", "")


def test_all_that_can_be_found_is_asked_for() -> None:
    asked = set(candidates(["INV", "2026", "00012", "FOR", "ME"]))
    assert {"INV", "2026", "INV202600012", "FOR"} <= asked
    # Words are not put together without a digit, and two letters name nobody.
    assert not asked & {"FORME", "ME"}
    assert plain("acme-7 ü") == "ACME7"
