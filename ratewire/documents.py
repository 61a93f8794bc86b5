"""The documents that payments can be put on, by kind."""

from typing import Final

from billing.invoices.settling import InvoiceDocuments
from billing.payments.documents import DocumentKinds

INVOICE: Final = "invoice"

DOCUMENTS: Final[DocumentKinds] = {INVOICE: InvoiceDocuments()}
