"""An account's money as it is this moment: the store's, where usage is reserved."""

import msgspec

from balances.port import BookKeeping
from billing.accounts.register import get
from billing.database import Connection


class AccountBalances(msgspec.Struct, frozen=True):
    """An account's money in micros of its currency.

    `current_micros` is posted money less what was used until now, `reserved_micros` what running
    sessions hold, `available_micros` = current - reserved + credit limit - minimum balance (None:
    unlimited). `ledger_micros` is what is settled in Postgres. `live` False: the store does not
    have the account yet, and all is as the ledger says.
    """

    account: str
    currency: str
    current_micros: int
    reserved_micros: int
    available_micros: int | None
    credit_limit_micros: int | None
    minimum_balance_micros: int
    ledger_micros: int
    open_sessions: int
    live: bool


async def balances(conn: Connection, books: BookKeeping, account: str) -> AccountBalances:
    """Return an account's money. Raises NotFound, and what the store raises."""
    known = await get(conn, account)
    ledger_micros = known.balance_micros
    [audit] = await books.inspect([account])
    if audit is None:
        limit = known.credit_limit_micros
        available = None if limit is None else ledger_micros + limit - known.minimum_balance_micros
        return AccountBalances(
            account,
            known.currency,
            ledger_micros,
            0,
            available,
            limit,
            known.minimum_balance_micros,
            ledger_micros,
            0,
            live=False,
        )
    there = audit.account
    return AccountBalances(
        account,
        there.currency,
        there.balance,
        there.reserved,
        there.available,
        there.credit_limit,
        there.minimum,
        ledger_micros,
        audit.sessions,
        live=True,
    )
