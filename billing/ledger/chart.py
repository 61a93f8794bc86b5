"""The chart of accounts. It mirrors the table `ledgers`."""

import enum


class Ledger(enum.IntEnum):
    """A ledger of the books. Those of customers are kept per billing account."""

    CASH = 10
    VOUCHER_CLEARING = 11
    DISPUTED = 12
    CUSTOMER_CREDIT = 20
    RECEIVABLE = 21
    UNBILLED_USAGE = 22
    REVENUE = 30
    TAX = 31
    PROMOTIONAL_CREDIT = 40
    BREAKAGE = 41
    BAD_DEBT = 50
    PAYMENT_FEES = 51
    ROUNDING = 60
    ADJUSTMENT = 61

    @property
    def of_customer(self) -> bool:
        """Whether its postings name a billing account, whose balance is minus their sum."""
        return self in _OF_CUSTOMER


_OF_CUSTOMER = frozenset({Ledger.CUSTOMER_CREDIT, Ledger.RECEIVABLE, Ledger.UNBILLED_USAGE})
