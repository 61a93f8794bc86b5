"""What a payment is, and what may become of it. Pure."""

import enum
from collections.abc import Mapping
from datetime import datetime
from typing import Final

import msgspec

from billing.errors import Conflict, InvalidInput
from billing.ledger.chart import Ledger
from rating.money import EXPONENTS, MAX_MICROS, MICROS_PER_UNIT, format_micros

MAX_TEXT_OCTETS: Final = 255


class Method(enum.StrEnum):
    """How the money comes. WALLET is one with a third party (M-Pesa, PayPal)."""

    CARD = "card"
    BANK_TRANSFER = "bank_transfer"
    DIRECT_DEBIT = "direct_debit"
    CASH = "cash"
    CHEQUE = "cheque"
    VOUCHER = "voucher"
    WALLET = "wallet"

    @property
    def comes_from(self) -> Ledger:
        """The ledger that a payment of this kind is debited to."""
        return Ledger.VOUCHER_CLEARING if self is Method.VOUCHER else Ledger.CASH


class PaymentStatus(enum.StrEnum):
    """Where a payment stands. UNKNOWN: the gateway did not say; only evidence ends it."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


#: What each status may become. Money that came leaves only by refund or chargeback; and it may
#: come although its gateway, or we, had given it up.
TRANSITIONS: Final[Mapping[PaymentStatus, frozenset[PaymentStatus]]] = {
    PaymentStatus.PENDING: frozenset(PaymentStatus) - {PaymentStatus.PENDING},
    PaymentStatus.UNKNOWN: frozenset({PaymentStatus.SUCCEEDED, PaymentStatus.FAILED}),
    PaymentStatus.SUCCEEDED: frozenset(),
    PaymentStatus.FAILED: frozenset({PaymentStatus.SUCCEEDED}),
    PaymentStatus.CANCELLED: frozenset({PaymentStatus.SUCCEEDED}),
}


class Payment(msgspec.Struct, frozen=True):
    """A payment at one moment. Amounts are micros of its currency.

    Of the amount, `allocated_micros` stands on documents, `refunded_micros` went back,
    `disputed_micros` is with the bank (chargebacks that are open) and `lost_micros` was taken back
    by it. `reference` is the payer's, `gateway_reference` the gateway's.
    """

    payment_id: int
    account: str
    currency: str
    amount_micros: int
    method: Method
    status: PaymentStatus
    gateway: str
    gateway_reference: str | None
    reference: str
    description: str
    failure: str
    actor: str
    created_at: datetime
    settled_at: datetime | None
    allocated_micros: int
    refunded_micros: int
    disputed_micros: int
    lost_micros: int

    @property
    def unallocated_micros(self) -> int:
        """What may still be put on documents."""
        if self.status is not PaymentStatus.SUCCEEDED:
            return 0
        gone = self.allocated_micros + self.refunded_micros + self.lost_micros
        return max(0, self.amount_micros - gone - self.disputed_micros)

    @property
    def refundable_micros(self) -> int:
        """What of it may still go back; its account must have as much as well."""
        if self.status is not PaymentStatus.SUCCEEDED:
            return 0
        gone = self.refunded_micros + self.disputed_micros + self.lost_micros
        return self.amount_micros - gone


def advance(status: PaymentStatus, to: PaymentStatus) -> PaymentStatus:
    """Return the new status. Raises Conflict if a payment cannot go there."""
    allowed = TRANSITIONS[status]
    if to not in allowed:
        known = ", ".join(sorted(allowed)) or "nothing else"
        raise Conflict(f"a payment that is {status} cannot become {to}; it can become {known}")
    return to


def payable(micros: int, currency: str) -> int:
    """Return an amount if money can be paid in it: more than 0, whole minor units.

    Raises InvalidInput.
    """
    unit = MICROS_PER_UNIT // 10 ** EXPONENTS[currency]
    if not 0 < micros <= MAX_MICROS or micros % unit:
        raise InvalidInput(
            f"an amount of {format_micros(micros)} {currency}: allowed is more than 0,"
            f" with at most {EXPONENTS[currency]} decimals"
        )
    return micros


def text(value: str, name: str) -> str:
    """Return a text if it can be one: printable, of at most 255 octets. Raises InvalidInput."""
    if value and (not value.isprintable() or len(value.encode(errors="replace")) > MAX_TEXT_OCTETS):
        raise InvalidInput(f"{name}: allowed are at most {MAX_TEXT_OCTETS} printable octets")
    return value
