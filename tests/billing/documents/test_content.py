"""What stands on documents."""

import msgspec

from billing.documents import content
from billing.documents.content import made_at, payment_code
from billing.invoices.invoice import Kind
from billing.taxes.rate import AppliedRate, TaxCode
from tests.billing.documents import making
from tests.billing.invoices.making import SELLER


def test_an_invoice_says_what_is_due_and_how_to_pay_it() -> None:
    invoice = making.invoice("de")
    made = content.of_invoice(invoice, 10_000_000)
    labels = {row["label"]: row["value"] for row in made["totals"]}
    assert labels["Zu zahlen"] == "43,19\u00a0EUR"
    assert labels["Aus Guthaben bezahlt"] == "\u221210,00\u00a0EUR"
    assert labels["USt 19 % auf 33,49\u00a0EUR"] == "6,36\u00a0EUR"
    assert made["payment"]["qr"].startswith("<svg")
    assert made["rows"][1][0] == ("Static IPv4 address", "Rabatt (Loyalty): \u22120,50")
    assert made["rows"][3][0][1] == "31 Sitzungen, 96:01 h, 133,00 GB"
    assert made_at(made).isoformat() == "2026-04-01T00:00:00+00:00"


def test_what_is_paid_for_asks_for_nothing() -> None:
    paid = msgspec.structs.replace(making.invoice(), kind=Kind.CONSUMPTION)
    made = content.of_invoice(paid)
    assert made["payment"] is None
    assert "Paid from your prepaid balance" in made["notes"][0]
    draft = content.of_invoice(msgspec.structs.replace(making.invoice(), number=None))
    assert (draft["draft"], draft["payment"]) == ("Draft", None)


def test_why_nothing_is_taxed_is_told_once() -> None:
    exempt = AppliedRate("VAT", "DE", "x", 0, code=TaxCode.EXEMPT, reason="Embassy")
    assert content.of_invoice(making.invoice(rate=exempt))["notes"] == ["Embassy"]


def test_a_code_to_pay_by_is_for_euros_and_an_iban() -> None:
    assert payment_code(SELLER, "EUR", 10_000, "INV-1").startswith("<svg")
    assert payment_code(SELLER, "USD", 10_000, "INV-1") == ""
    assert payment_code(msgspec.structs.replace(SELLER, iban=""), "EUR", 10_000, "INV-1") == ""
    assert payment_code(SELLER, "EUR", 0, "INV-1") == ""


def test_the_other_documents_say_what_they_are_for() -> None:
    note = content.of_credit_note(making.credit_note())
    assert note["totals"][-2]["label"] == "Taken off what was to be paid"
    receipt = content.of_receipt(making.receipt())
    assert [row[1][0] for row in receipt["rows"]] == ["35.69\u00a0EUR", "14.31\u00a0EUR"]
    statement = content.of_statement(making.statement())
    assert statement["totals"][0]["value"] == "23.765433\u00a0EUR"
    sheet = content.of_vouchers(making.vouchers(count=2))
    assert [each["until"] for each in sheet["vouchers"]] == ["Valid until 31 Dec 2027"] * 2
