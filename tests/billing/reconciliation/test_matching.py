"""Who a line is from: scores, and when nobody has to look."""

from datetime import date

import msgspec
import pytest

from billing.reconciliation.matching import (
    Clues,
    Named,
    OpenInvoice,
    Owner,
    Proposal,
    certain,
    propose,
)
from billing.reconciliation.statement import BankLine

ANNA = Owner(
    "anna", "EUR", ("Anna Weiß",), (OpenInvoice(1, "INV-1", 100), OpenInvoice(2, "INV-2", 50))
)
BOB = Owner("bob", "EUR", ("Bob Blau",), (OpenInvoice(3, "INV-3", 70),))
CLUES = Clues(
    owners={"anna": ANNA, "bob": BOB},
    named={
        "INV1": [Named("anna", "INV-1")],
        "INV2": [Named("anna", "INV-2")],
        "INV3": [Named("bob", "INV-3")],
        "INV9": [Named("anna", "INV-9")],
        "ANNA": [Named("anna")],
    },
    payers={"DE1": ["anna"]},
    people={"bob blau": ["bob"]},
    alone={("EUR", 70): "bob"},
)
LINE = BankLine(place="", booked_on=date(2026, 3, 2), amount_micros=1, currency="EUR")


@pytest.mark.parametrize(
    ("fields", "score", "account", "invoices"),
    [
        ({"text": "INV-1", "amount_micros": 100}, 100, "anna", (1,)),
        ({"text": "INV-1 INV-2", "amount_micros": 150}, 100, "anna", (1, 2)),
        ({"text": "INV-2"}, 80, "anna", (2,)),
        ({"text": "INV-9"}, 60, "anna", ()),
        ({"reference": "anna", "amount_micros": 150}, 90, "anna", (1, 2)),
        ({"payer_account": "DE1"}, 50, "anna", ()),
        ({"payer_account": "DE1", "amount_micros": 50}, 80, "anna", (2,)),
        ({"payer": "BOB BLAU", "amount_micros": 70}, 50, "bob", (3,)),
        ({"amount_micros": 70}, 30, "bob", (3,)),
    ],
)
def test_each_thing_that_speaks_for_an_account_counts(
    fields: dict[str, object], score: int, account: str, invoices: tuple[int, ...]
) -> None:
    best = propose(msgspec.structs.replace(LINE, **fields), CLUES)[0]
    assert (best.score, best.account, best.invoices) == (score, account, invoices)
    assert best.reason
    assert certain([best]) == (best if score >= 80 else None)


def test_nobody_is_certain_where_two_are_likely_or_the_currency_is_another() -> None:
    both = propose(msgspec.structs.replace(LINE, text="INV-1 INV-3"), CLUES)
    assert [each.score for each in both] == [80, 80]
    assert certain(both) is None
    weak = Proposal("bob", (), 50, ("x",))
    assert certain([both[0], weak]) == both[0]
    assert certain([weak], 40) == weak
    assert propose(msgspec.structs.replace(LINE, text="INV-1", currency="USD"), CLUES) == []
    assert propose(LINE, CLUES) == []
