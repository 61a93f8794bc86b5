"""All endpoints of the API."""

from typing import Final

from ratewire.http.billing import accounts, audit, customers, payments, vouchers
from ratewire.http.endpoint import Endpoint
from ratewire.http.operations import network, review, subscribers

ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    *customers.ENDPOINTS,
    *accounts.ENDPOINTS,
    *payments.ENDPOINTS,
    *vouchers.ENDPOINTS,
    *audit.ENDPOINTS,
    *subscribers.ENDPOINTS,
    *network.ENDPOINTS,
    *review.ENDPOINTS,
)
