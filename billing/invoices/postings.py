"""What documents do to the ledger. Pure.

Settlement has booked usage exactly, as revenue against unbilled usage (postpaid) or the customer's
credit (prepaid), tax included where the price includes it. A document books the rest: an invoice
turns unbilled usage and what else it asks for into a receivable; every tax document takes its tax
out of the revenue; and what is smaller than a minor unit goes to rounding.
"""

from collections.abc import Iterable

from billing.invoices.invoice import Invoice, Kind
from billing.invoices.line import ItemKind, Line
from billing.ledger.chart import Ledger
from billing.ledger.transaction import Posting


class Entries:
    """Amounts by ledger, of one account in one currency, as they add up."""

    def __init__(self, account: str, currency: str) -> None:
        self._account = account
        self._currency = currency
        self._sums: dict[Ledger, int] = {}

    def add(self, ledger: Ledger, micros: int) -> None:
        """Debit a ledger (a credit is negative)."""
        self._sums[ledger] = self._sums.get(ledger, 0) + micros

    def postings(self) -> tuple[Posting, ...]:
        """Return the postings, without those of nothing."""
        return tuple(
            Posting(ledger, self._account if ledger.of_customer else None, self._currency, micros)
            for ledger, micros in sorted(self._sums.items())
            if micros
        )

    @property
    def moves_balance_by(self) -> int:
        """What it does to the account's balance."""
        return -sum(micros for ledger, micros in self._sums.items() if ledger.of_customer)


def finalized(invoice: Invoice, credit_micros: int = 0) -> Entries:
    """Return what finalizing a document books; `credit_micros` of credit pay a part of it."""
    entries = Entries(invoice.account, invoice.currency)
    if invoice.kind in (Kind.PROFORMA, Kind.STATEMENT):
        return entries
    if invoice.kind is Kind.INVOICE:
        entries.add(Ledger.RECEIVABLE, invoice.total_micros)
        entries.add(Ledger.CUSTOMER_CREDIT, credit_micros)
        entries.add(Ledger.RECEIVABLE, -credit_micros)
    for line in invoice.lines:
        _add(entries, line, document=invoice.kind)
    return entries


def opposite(postings: Iterable[Posting]) -> tuple[Posting, ...]:
    """Return what takes postings back."""
    return tuple(
        Posting(each.ledger, each.account, each.currency, -each.amount_micros) for each in postings
    )


def _add(entries: Entries, line: Line, document: Kind) -> None:
    booked = 0  # as revenue, before
    if line.kind is ItemKind.USAGE:
        booked = line.exact_micros
        rounded_by = line.amount_micros - booked
        if document is Kind.INVOICE:
            # The customer owes the rounded amount.
            entries.add(Ledger.UNBILLED_USAGE, -booked)
            entries.add(Ledger.ROUNDING, -rounded_by)
            booked = line.amount_micros
        else:
            # The customer paid the exact amount, and no document moves the balance.
            entries.add(Ledger.ROUNDING, rounded_by)
    elif line.charged:
        booked = line.amount_micros
    entries.add(Ledger.TAX, -line.tax_micros)
    entries.add(Ledger.REVENUE, booked - line.net_micros)
