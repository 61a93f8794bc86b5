"""What a transaction is: postings that sum to zero in each currency. Pure; `journal` writes it."""

import enum
from collections import defaultdict
from collections.abc import Iterable

import msgspec

from billing.ledger.chart import Ledger


class Kind(enum.StrEnum):
    """What a transaction is about."""

    TOPUP = "topup"
    ADJUSTMENT = "adjustment"
    USAGE = "usage"
    PAYMENT = "payment"
    ALLOCATION = "allocation"
    REFUND = "refund"
    CHARGEBACK = "chargeback"
    INVOICE = "invoice"
    VOID = "void"
    WRITE_OFF = "write_off"
    CREDIT_NOTE = "credit_note"
    FEE = "fee"


class Posting(msgspec.Struct, frozen=True):
    """One line: micros of a currency on a ledger. A debit is positive, a credit negative.

    `account` is the billing account for a ledger of customers, and None for all others.
    """

    ledger: Ledger
    account: str | None
    currency: str
    amount_micros: int


class StreamRange(msgspec.Struct, frozen=True):
    """The entries of the settlement stream that a transaction books, first and last included."""

    partition: int
    generation: int
    first_sequence: int
    last_sequence: int


class Transaction(msgspec.Struct, frozen=True):
    """Postings that belong together. One that does not balance is a bug, and is not created.

    `account` is whom the transaction is about, None for usage (one transaction settles many).
    `idempotency_key` is unique among the transactions of the account.
    """

    kind: Kind
    account: str | None
    description: str
    actor: str
    postings: tuple[Posting, ...]
    idempotency_key: str | None = None
    stream: StreamRange | None = None

    def __post_init__(self) -> None:
        assert self.postings, "a transaction has postings"
        for posting in self.postings:
            assert posting.amount_micros, posting
            assert (posting.account is not None) == posting.ledger.of_customer, posting
        unbalanced = {c: amount for c, amount in remainders(self.postings).items() if amount}
        assert not unbalanced, unbalanced


def remainders(postings: Iterable[Posting]) -> dict[str, int]:
    """Return the sum of the postings by currency, in micros: zero where they balance."""
    sums: defaultdict[str, int] = defaultdict(int)
    for posting in postings:
        sums[posting.currency] += posting.amount_micros
    return dict(sums)


def topup(
    account: str,
    currency: str,
    micros: int,
    *,
    actor: str,
    description: str = "Top-up",
    idempotency_key: str | None = None,
) -> Transaction:
    """Return the transaction for money received (micros > 0): cash to the customer's credit."""
    assert micros > 0, micros
    return Transaction(
        Kind.TOPUP,
        account,
        description,
        actor,
        _pair(Ledger.CASH, account, currency, micros),
        idempotency_key,
    )


def adjustment(
    account: str,
    currency: str,
    micros: int,
    *,
    actor: str,
    description: str,
    idempotency_key: str | None = None,
) -> Transaction:
    """Return the transaction for credit given (micros > 0) or taken without money moving."""
    assert micros != 0, micros
    return Transaction(
        Kind.ADJUSTMENT,
        account,
        description,
        actor,
        _pair(Ledger.ADJUSTMENT, account, currency, micros),
        idempotency_key,
    )


def transfer(
    kind: Kind,
    account: str,
    currency: str,
    micros: int,
    *,
    debit: Ledger,
    credit: Ledger,
    actor: str,
    description: str,
) -> Transaction:
    """Return the transaction about an account that takes micros > 0 from one ledger to another.

    Of the two, those of customers are the account's.
    """
    assert micros > 0, micros
    postings = tuple(
        Posting(ledger, account if ledger.of_customer else None, currency, amount)
        for ledger, amount in ((debit, micros), (credit, -micros))
    )
    return Transaction(kind, account, description, actor, postings)


def _pair(source: Ledger, account: str, currency: str, micros: int) -> tuple[Posting, Posting]:
    return (
        Posting(source, None, currency, micros),
        Posting(Ledger.CUSTOMER_CREDIT, account, currency, -micros),
    )
