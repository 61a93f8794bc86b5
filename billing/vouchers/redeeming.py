"""Redeeming a voucher: it becomes a payment of its amount, once, in one transaction."""

from datetime import datetime
from typing import Final

from billing.accounts.register import lock
from billing.database import Connection
from billing.errors import Conflict, NotFound
from billing.payments.payment import Method
from billing.payments.register import NewPayment, Received, get, receive
from billing.statements import load
from billing.vouchers import code

SQL = load(__package__, "queries.sql")

GATEWAY: Final = "voucher"


async def redeem(
    conn: Connection, account: str, text: str, *, actor: str, now: datetime
) -> Received:
    """Put a voucher's amount on an account; `text` is the code as somebody typed it.

    Redeemed again by the same account, nothing is done, and the first payment returned. Raises
    InvalidInput for what is no code; NotFound for the account, or a code that was never issued;
    Conflict when it was redeemed by another account, has expired, was withdrawn, or is in another
    currency, or when the account is closed.
    """
    hashed = code.digest(code.parse(text))
    async with conn.transaction():
        held = await lock(conn, account)
        voucher = await conn.fetchrow(SQL["lock"], hashed)
        if voucher is None:
            raise NotFound("no voucher has that code")
        if voucher["payment_id"] is not None:
            earlier = await get(conn, voucher["payment_id"])
            if earlier.account != account:
                raise Conflict("the voucher was redeemed before")
            return Received(earlier, repeated=True)
        if voucher["withdrawn_at"] is not None:
            raise Conflict("the voucher was withdrawn")
        if voucher["expires_at"] is not None and voucher["expires_at"] <= now:
            raise Conflict(f"the voucher expired at {voucher['expires_at'].isoformat()}")
        if voucher["currency"] != held.currency:
            raise Conflict(
                f"the voucher is in {voucher['currency']}, account {account} in {held.currency}"
            )
        received = await receive(
            conn,
            NewPayment(
                account,
                voucher["amount_micros"],
                Method.VOUCHER,
                gateway=GATEWAY,
                gateway_reference=f"{voucher['batch_id']}-{voucher['serial']}",
            ),
            actor=actor,
            now=now,
        )
        await conn.execute(SQL["redeem"], hashed, received.payment.payment_id, now)
    return received
