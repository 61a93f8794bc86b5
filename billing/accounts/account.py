"""What a billing account is, and which values it may have. Pure."""

import enum
import re
import zoneinfo
from datetime import datetime
from typing import Final

import msgspec

from billing.errors import InvalidInput
from billing.identifiers import identifier
from rating.money import EXPONENTS, MAX_MICROS, format_micros


class PaymentMode(enum.StrEnum):
    """Whether an account pays before it uses or after."""

    PREPAID = "prepaid"
    POSTPAID = "postpaid"


class AccountStatus(enum.StrEnum):
    """Whether an account's sessions may run. A closed account stays closed."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    CLOSED = "closed"


class BillingAccount(msgspec.Struct, frozen=True):
    """An account at one moment. Amounts are micros of its currency.

    `credit_limit_micros` is None for unlimited credit. `balance_micros` is the ledger's: what was
    put in less what was settled. What was used a moment ago is in the store's balance first.
    `payer` is the account that is billed for it, None for itself; `time_zone` an IANA name,
    `language` that of its documents (BCP 47), `payment_days` its terms.
    """

    account: str
    currency: str
    payment_mode: PaymentMode
    status: AccountStatus
    credit_limit_micros: int | None
    minimum_balance_micros: int
    balance_micros: int
    created_at: datetime
    customer: str | None = None
    payer: str | None = None
    time_zone: str = "UTC"
    language: str = "en"
    payment_days: int = 14
    auto_pay: bool = False
    dunning_excluded: bool = False
    revision: int = 1


class Particulars(msgspec.Struct, frozen=True, kw_only=True):
    """What an account says about how it is billed; it moves no money. See BillingAccount."""

    customer: str | None = None
    payer: str | None = None
    time_zone: str = "UTC"
    language: str = "en"
    payment_days: int = 14
    auto_pay: bool = False
    dunning_excluded: bool = False

    def __post_init__(self) -> None:
        time_zone(self.time_zone)
        if not _LANGUAGE.fullmatch(self.language):
            raise InvalidInput(f"language {self.language!r}: allowed is a code such as en or pt-BR")
        if not 0 <= self.payment_days <= MAX_PAYMENT_DAYS:
            raise InvalidInput(
                f"payment_days {self.payment_days}: allowed is 0 to {MAX_PAYMENT_DAYS}"
            )


_LANGUAGE: Final = re.compile(r"[a-z]{2,3}(-[A-Z]{2})?")
MAX_PAYMENT_DAYS: Final = 365

#: So that every sum of a balance and its limits stays exact in the store (below 2^53).
MAX_LIMIT_MICROS: Final = 10**15
MAX_BALANCE_MICROS: Final = MAX_MICROS - 2 * MAX_LIMIT_MICROS

MAX_KEY_OCTETS: Final = 255


def account_id(text: str) -> str:
    """Return an account id if it can be one. Raises InvalidInput."""
    return identifier(text, "account")


def currency_code(text: str) -> str:
    """Return a currency if it is one. Raises InvalidInput."""
    if text not in EXPONENTS:
        raise InvalidInput(f"currency {text!r}: allowed is an ISO 4217 code such as EUR")
    return text


def time_zone(name: str) -> str:
    """Return an IANA time zone if it is one that is known here. Raises InvalidInput."""
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidInput(
            f"time zone {name!r}: allowed is an IANA name such as Europe/Berlin"
        ) from error
    return name


def credit_limit(micros: int | None) -> int | None:
    """Return a credit limit if it can be one; None is unlimited credit. Raises InvalidInput."""
    if micros is not None and not 0 <= micros <= MAX_LIMIT_MICROS:
        raise InvalidInput(
            f"credit limit {format_micros(micros)}: allowed is 0 to"
            f" {format_micros(MAX_LIMIT_MICROS)}, or none for unlimited credit"
        )
    return micros


def minimum_balance(micros: int) -> int:
    """Return a minimum balance if it can be one. Raises InvalidInput."""
    if not 0 <= micros <= MAX_LIMIT_MICROS:
        raise InvalidInput(
            f"minimum balance {format_micros(micros)}: allowed is 0 to"
            f" {format_micros(MAX_LIMIT_MICROS)}"
        )
    return micros


def idempotency_key(text: str | None) -> str | None:
    """Return an idempotency key if it can be one; None is none. Raises InvalidInput."""
    if text is not None and not (
        text.isprintable() and 1 <= len(text.encode(errors="replace")) <= MAX_KEY_OCTETS
    ):
        raise InvalidInput(
            f"idempotency key {text!r}: allowed are 1 to {MAX_KEY_OCTETS} printable octets"
        )
    return text


def amount_within(balance_micros: int, micros: int, account: str) -> int:
    """Return an amount if it can be added to a balance. Raises InvalidInput."""
    if abs(micros) > MAX_BALANCE_MICROS or abs(balance_micros + micros) > MAX_BALANCE_MICROS:
        raise InvalidInput(
            f"account {account}: {format_micros(micros)} would take the balance beyond"
            f" {format_micros(MAX_BALANCE_MICROS)}"
        )
    return micros
