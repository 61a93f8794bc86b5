"""What gateways tell: kept as it came, once, and acted on, once, in whatever order it comes.

An event is kept before it is acted on, so nothing that was acknowledged is lost. What cannot be
acted on yet (a refund of a payment that is not known to have come) is tried again, later each time,
and when anything else of that gateway was acted on.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

import msgspec
import structlog

from billing.database import Connection, Pool, unavailable
from billing.errors import BillingError, Conflict, NotFound
from billing.gateways.happening import Happening, Teller, Unreachable, What
from billing.payments import chargebacks, methods, refunds, register
from billing.payments.chargebacks import ChargebackStatus
from billing.payments.documents import DocumentKinds, take_off_what_goes
from billing.payments.gateway import key_of
from billing.payments.payment import Payment, PaymentStatus
from billing.sealing.keyring import Keyring
from billing.statements import load

_log = structlog.get_logger(__name__)
SQL = load(__package__, "queries.sql")

#: How long an event that cannot be acted on waits for its next try; the last one for all further.
BACK_OFF: Final = tuple(timedelta(seconds=s) for s in (1, 10, 60, 600, 3600, 21_600))


class GatewayEvent(msgspec.Struct, frozen=True):
    """An event that was kept. `outcome`: what was done, or why it could not be done yet."""

    gateway: str
    event_id: str
    received_at: datetime
    attempts: int
    processed_at: datetime | None
    outcome: str


class Desk(msgspec.Struct, frozen=True):
    """What events are acted on with: gateways by name, documents to pay, keys of what is sealed."""

    tellers: Mapping[str, Teller]
    documents: DocumentKinds
    keyring: Keyring


class NotYet(Exception):
    """An event cannot be acted on now; the message says what it waits for."""


async def keep(conn: Connection, gateway: str, event_id: str, body: bytes, now: datetime) -> bool:
    """Keep an event whose signature was checked. Returns False if it is kept already."""
    return await conn.fetchval(SQL["keep"], gateway, event_id, body, now) is not None


async def act(
    pool: Pool,
    desk: Desk,
    gateway: str,
    event_id: str,
    now: datetime,
) -> Payment | None:
    """Act on an event that is kept, unless that was done; return the payment that it was about.

    What cannot be done is noted with the event, and not raised.
    """
    attempts = 0
    async with pool.acquire() as conn:
        try:
            async with conn.transaction():
                row = await conn.fetchrow(SQL["lock_event"], gateway, event_id)
                if row is None or row["processed_at"] is not None:
                    return None
                attempts = int(row["attempts"])
                told = desk.tellers[gateway].happened(bytes(row["body"]))
                payment, outcome = await _book(conn, gateway, told, desk.documents, now)
                if told.keep_method:
                    # Asked for after this transaction: what was paid does not wait for it.
                    later = now + BACK_OFF[min(attempts, len(BACK_OFF) - 1)]
                    await conn.execute(SQL["put_off"], gateway, event_id, later, outcome)
                else:
                    await conn.execute(SQL["processed"], gateway, event_id, now, outcome)
                if payment is not None:
                    await conn.execute(SQL["waiting_soonest"], gateway, now, event_id)
            if told.keep_method and payment is not None:
                outcome += await _keep_method(conn, desk, gateway, told, payment, now)
                await conn.execute(SQL["processed"], gateway, event_id, now, outcome)
        except (NotYet, Unreachable, BillingError, KeyError, ValueError) as error:
            why, fault = str(error) or type(error).__name__, not isinstance(error, NotYet)
        else:
            return payment
        if fault:
            _log.warning("an event of a gateway waits", gateway=gateway, event_id=event_id, why=why)
        later = now + BACK_OFF[min(attempts, len(BACK_OFF) - 1)]
        await conn.execute(SQL["put_off"], gateway, event_id, later, why[:500])
        return None


async def act_on_waiting(pool: Pool, desk: Desk, now: datetime, limit: int = 100) -> list[Payment]:
    """Act on the events that are due; return the payments that they were about."""
    rows = await pool.fetch(SQL["waiting"], now, limit)
    done: list[Payment] = []
    for row in rows:
        if row["gateway"] not in desk.tellers:
            continue
        try:
            payment = await act(pool, desk, row["gateway"], row["event_id"], now)
        except Exception as error:
            # Another transaction was in the way: it stays due.
            if not unavailable(error):
                raise
            continue
        if payment is not None:
            done.append(payment)
    return done


async def replay(conn: Connection, gateway: str, event_id: str, now: datetime) -> None:
    """Have an event acted on once more, which changes nothing that it did. Raises NotFound."""
    if await conn.fetchval(SQL["replay"], gateway, event_id, now) is None:
        raise NotFound(f"event {event_id} of {gateway} does not exist")


async def list_(conn: Connection, *, waiting: bool = False, limit: int = 100) -> list[GatewayEvent]:
    """Return the last events, newest first; `waiting`: only those that could not be acted on."""
    rows = await conn.fetch(SQL["list"], waiting, limit)
    return [GatewayEvent(**dict(row)) for row in rows]


async def _book(
    conn: Connection, gateway: str, told: Happening, documents: DocumentKinds, now: datetime
) -> tuple[Payment | None, str]:
    """Do what a happening asks for; return the payment, and what was done. Raises NotYet."""
    if told.what is What.NOTHING:
        return None, "nothing to do"
    payment = await _payment(conn, gateway, told)
    if told.currency and told.currency != payment.currency:
        raise Conflict(f"{told.currency} for a payment in {payment.currency}")
    match told.what:
        case What.PAID | What.FAILED | What.CANCELLED:
            return await _conclude(conn, gateway, payment, told, now)
        case What.REFUNDED:
            return await _refunded(conn, gateway, payment, told, documents, now)
        case _:
            return await _disputed(conn, gateway, payment, told, documents, now)


async def _payment(conn: Connection, gateway: str, told: Happening) -> Payment:
    if told.key is not None:
        number = told.key.removeprefix(key_of(0)[:-1])
        if number.isascii() and number.isdecimal() and len(number) < 18:
            payment = await register.get(conn, int(number))
            if payment.gateway == gateway:
                return payment
        raise NotFound(f"no payment of {gateway} is called {told.key}")
    if told.reference is not None:
        payment = await register.under_gateway_reference(conn, gateway, told.reference)
        if payment is not None:
            return payment
    raise NotYet(f"payment {told.reference} is not known yet")


async def _conclude(
    conn: Connection, gateway: str, payment: Payment, told: Happening, now: datetime
) -> tuple[Payment, str]:
    if told.what is What.PAID and told.micros != payment.amount_micros:
        raise Conflict(f"{told.micros} micros for a payment of {payment.amount_micros}")
    status = {
        What.PAID: PaymentStatus.SUCCEEDED,
        What.FAILED: PaymentStatus.FAILED,
        What.CANCELLED: PaymentStatus.CANCELLED,
    }[told.what]
    try:
        done = await register.conclude(
            conn,
            payment.payment_id,
            status,
            failure=told.reason,
            gateway_reference=told.reference,
            actor=gateway,
            now=now,
        )
    except Conflict as late:
        return payment, f"too late: {late}"
    return done, f"payment {done.payment_id} is {done.status}"


async def _refunded(
    conn: Connection,
    gateway: str,
    payment: Payment,
    told: Happening,
    documents: DocumentKinds,
    now: datetime,
) -> tuple[Payment, str]:
    _came(payment)
    # Held first: a refund that we asked for is booked by then.
    held, payment = await register.hold(conn, payment.payment_id)
    if await refunds.known(conn, payment.payment_id, told.own_reference):
        return payment, f"refund {told.own_reference} is known"
    await take_off_what_goes(conn, held, payment, told.micros, documents, actor=gateway, now=now)
    done = await refunds.refund(
        conn,
        payment.payment_id,
        told.micros,
        reason=f"refunded at {gateway}",
        gateway_reference=told.own_reference,
        forced=True,
        actor=gateway,
        now=now,
    )
    return payment, f"refund {done.refund.refund_id} of payment {payment.payment_id}"


async def _disputed(
    conn: Connection,
    gateway: str,
    payment: Payment,
    told: Happening,
    documents: DocumentKinds,
    now: datetime,
) -> tuple[Payment, str]:
    _came(payment)
    opened = await chargebacks.open_(
        conn,
        payment.payment_id,
        told.micros,
        reference=told.own_reference,
        reason=told.reason,
        actor=gateway,
        now=now,
    )
    if told.what is not What.DISPUTED:
        won = told.what is What.DISPUTE_WON
        opened = await chargebacks.close(
            conn,
            opened.chargeback_id,
            ChargebackStatus.WON if won else ChargebackStatus.LOST,
            documents,
            actor=gateway,
            now=now,
        )
    return payment, f"chargeback {opened.chargeback_id} is {opened.status}"


def _came(payment: Payment) -> None:
    if payment.status is not PaymentStatus.SUCCEEDED:
        raise NotYet(f"payment {payment.payment_id} is {payment.status}")


async def _keep_method(
    conn: Connection, desk: Desk, gateway: str, told: Happening, payment: Payment, now: datetime
) -> str:
    """Note the method that the gateway keeps, unless it is; say what was done."""
    card = None if told.reference is None else await desk.tellers[gateway].kept(told.reference)
    if card is None:
        return ""
    for known in await methods.of_account(conn, payment.account):
        if await methods.token(conn, desk.keyring, known.method_id) == card.token:
            return f", payment method {known.method_id} is known"
    added = await methods.add(
        conn,
        desk.keyring,
        payment.account,
        payment.method,
        gateway=gateway,
        token=card.token,
        label=card.label,
        expires_on=card.expires_on,
        now=now,
    )
    return f", payment method {added.method_id} is kept"
