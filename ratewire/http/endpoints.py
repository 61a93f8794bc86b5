"""All endpoints of the API."""

from typing import Final

from ratewire.http.billing import (
    accounts,
    allocations,
    allowances,
    audit,
    bank_files,
    bank_lines,
    credit_notes,
    customers,
    invoices,
    issuers,
    ledger,
    messages,
    overview,
    payment_methods,
    payments,
    reports,
    vouchers,
)
from ratewire.http.endpoint import Endpoint
from ratewire.http.operations import network, rating, review, subscribers, tokens

ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    *customers.ENDPOINTS,
    *accounts.ENDPOINTS,
    *payments.ENDPOINTS,
    *payment_methods.ENDPOINTS,
    *allocations.ENDPOINTS,
    *allowances.ENDPOINTS,
    *vouchers.ENDPOINTS,
    *bank_files.ENDPOINTS,
    *bank_lines.ENDPOINTS,
    *reports.ENDPOINTS,
    *invoices.ENDPOINTS,
    *credit_notes.ENDPOINTS,
    *issuers.ENDPOINTS,
    *messages.ENDPOINTS,
    *ledger.ENDPOINTS,
    *overview.ENDPOINTS,
    *audit.ENDPOINTS,
    *subscribers.ENDPOINTS,
    *network.ENDPOINTS,
    *rating.ENDPOINTS,
    *review.ENDPOINTS,
    *tokens.ENDPOINTS,
)
