"""A transaction with the movement that brings it to the store, and the limits of debits."""

from datetime import datetime

from balances.messages import Post
from billing.accounts.account import PaymentMode, amount_within
from billing.accounts.register import LockedAccount
from billing.database import Connection
from billing.errors import Conflict
from billing.ledger import journal
from billing.ledger.statement import balance
from billing.ledger.transaction import Kind, Transaction
from billing.outbox.post import UNNUMBERED, post
from billing.statements import load
from rating.money import format_micros

SQL = load(__package__, "queries.sql")


async def move(
    conn: Connection, held: LockedAccount, made: Transaction, micros: int, now: datetime
) -> int:
    """Write a transaction that changes the balance of an account by `micros`; return its id.

    Must be called while the account's row is held. Raises InvalidInput when the balance would not
    be exact any more.
    """
    assert conn.is_in_transaction()
    amount_within(await balance(conn, held.account), micros, held.account)
    transaction_id = await journal.write(conn, made, now)
    await post(conn, [Post(held.account, UNNUMBERED, micros)], now)
    if held.payment_mode is PaymentMode.PREPAID and made.kind in (Kind.TOPUP, Kind.PAYMENT):
        await conn.execute(SQL["note_topup"], transaction_id, held.account, micros, now)
    return transaction_id


async def require_available(conn: Connection, held: LockedAccount, micros: int) -> None:
    """Raise Conflict if an account does not have `micros` to be taken by hand.

    What it has is the ledger's balance + credit limit - minimum balance; the row is held, so two
    debits never see the same money. What sessions use up to that moment is settled within seconds,
    and booked whatever there is.
    """
    if held.credit_limit_micros is None:
        return
    has = await balance(conn, held.account)
    available = has + held.credit_limit_micros - held.minimum_balance_micros
    if micros > available:
        raise Conflict(
            f"account {held.account}: {format_micros(micros, held.currency)} is more than the"
            f" {format_micros(max(available, 0), held.currency)} {held.currency} available"
        )
