"""Which documents an account can have."""

import pytest

from billing.accounts.account import PaymentMode
from billing.errors import InvalidInput
from billing.invoices.invoice import Buyer, Kind, NewInvoice, check
from billing.invoices.line import ItemKind
from tests.billing.invoices.making import BUYER, SELLER, fee

PRE, POST = PaymentMode.PREPAID, PaymentMode.POSTPAID


@pytest.mark.parametrize(
    ("kind", "mode", "usage", "allowed"),
    [
        (Kind.INVOICE, POST, True, True),
        (Kind.INVOICE, PRE, False, True),
        (Kind.INVOICE, PRE, True, False),
        (Kind.PROFORMA, POST, True, False),
        (Kind.CONSUMPTION, PRE, True, True),
        (Kind.CONSUMPTION, POST, True, False),
        (Kind.STATEMENT, PRE, True, True),
        (Kind.TOPUP, PRE, True, False),
    ],
)
def test_usage_stands_on_the_document_that_is_for_it(
    kind: Kind, mode: PaymentMode, usage: bool, allowed: bool
) -> None:
    new = NewInvoice(account="a", kind=kind, usage=usage)
    if allowed:
        check(new, mode)
    else:
        with pytest.raises(InvalidInput):
            check(new, mode)


def test_a_document_of_what_was_charged_before_holds_nothing_else() -> None:
    for line in (fee(), fee(charged=True, discount_micros=1), fee(charged=True, inclusive=False)):
        with pytest.raises(InvalidInput, match="line 1: "):
            check(NewInvoice(account="a", kind=Kind.CONSUMPTION, lines=(line,)), PRE)
    check(NewInvoice(account="a", kind=Kind.CONSUMPTION, lines=(fee(charged=True),)), PRE)
    topup = fee(kind=ItemKind.TOPUP, charged=True)
    check(NewInvoice(account="a", kind=Kind.TOPUP, lines=(topup,)), PRE)


def test_kinds_say_where_their_numbers_come_from() -> None:
    assert {kind: kind.series for kind in Kind} == {
        Kind.INVOICE: "invoice",
        Kind.CONSUMPTION: "invoice",
        Kind.TOPUP: "invoice",
        Kind.PROFORMA: "proforma",
        Kind.STATEMENT: "statement",
    }


def test_a_buyer_without_an_address_is_where_the_seller_is() -> None:
    assert Buyer(name="x").tax_party(SELLER).country == "DE"
    assert BUYER.tax_party(SELLER).tax_id is None
