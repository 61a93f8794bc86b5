"""payment, voucher, statement: money that customers pay, and what they are told of it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated
from zoneinfo import ZoneInfo

import msgspec
import typer

from billing.accounts import register as accounts
from billing.database import Connection
from billing.invoices.reading import identify
from billing.ledger.period import PeriodStatement, period
from billing.payments import allocation
from billing.payments import register as payments
from billing.payments.documents import Allocation
from billing.payments.payment import Method, Payment, PaymentStatus
from billing.payments.refunds import Refunded
from billing.payments.register import NewPayment, Received
from billing.vouchers import batches
from billing.vouchers.batches import NewBatch
from billing.vouchers.redeeming import redeem
from ratewire.cli import gateways
from ratewire.cli.running import (
    ConfigOption,
    JsonOption,
    actor,
    bring,
    moment,
    print_json,
    print_table,
    run,
    secret_value,
)
from ratewire.documents import DOCUMENTS, INVOICE
from ratewire.refunding import refund_payment
from ratewire.wiring import System, now
from rating.money import format_micros, parse_amount

KeyOption = Annotated[
    str | None, typer.Option(help="Idempotency key: under the same key it is done once.")
]

#: A day, as an option.
DAY = ["%Y-%m-%d"]


class PaymentView(msgspec.Struct, frozen=True):
    """A payment that was received. `repeated`: it had been before, so nothing was done now."""

    payment_id: int
    account: str
    currency: str
    amount_micros: int
    method: Method
    status: PaymentStatus
    reference: str
    created_at: datetime
    allocated_micros: int
    refundable_micros: int
    repeated: bool


def register(app: typer.Typer) -> None:
    """Add the commands."""
    payment = typer.Typer(
        help="Payments: receive, list, allocate, release, refund.", no_args_is_help=True
    )
    payment.command("receive")(payment_receive)
    payment.command("list")(payment_list)
    payment.command("allocate")(payment_allocate)
    payment.command("release")(payment_release)
    payment.command("refund")(payment_refund)
    voucher = typer.Typer(help="Vouchers: create, redeem.", no_args_is_help=True)
    voucher.command("create")(voucher_create)
    voucher.command("redeem")(voucher_redeem)
    payment.command("link")(gateways.payment_link)
    payment.command("methods")(gateways.payment_methods)
    app.add_typer(payment, name="payment")
    app.add_typer(voucher, name="voucher")
    app.command("statement")(statement)


@asynccontextmanager
async def _desk(system: System) -> AsyncGenerator[Connection]:
    """A connection in a transaction."""
    async with (await system.pool()).acquire() as conn, conn.transaction():
        yield conn


def payment_receive(
    account: str,
    amount: Annotated[str, typer.Argument(help="In currency units, for example 10.00.")],
    method: Annotated[Method, typer.Option(help="How it came.")] = Method.CASH,
    reference: Annotated[str, typer.Option(help="The payer's, as on the bank statement.")] = "",
    stay_credit: Annotated[
        bool, typer.Option("--stay-credit", help="Pay no invoice with it.")
    ] = False,
    key: KeyOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Receive money that came. It pays open invoices, soonest due first; the rest is credit."""
    new = NewPayment(
        account,
        parse_amount(amount),
        method,
        reference=reference,
        key=key,
        on_invoices=not stay_credit,
    )

    async def work(system: System) -> Received:
        async with _desk(system) as conn:
            received = await payments.receive(conn, new, actor=actor(), now=now())
        await bring(system, account)
        return received

    _show(run(config, work), as_json)


def payment_list(
    account: Annotated[str | None, typer.Option(help="Of this account only.")] = None,
    status: Annotated[PaymentStatus | None, typer.Option(help="With this status only.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Most payments, the last ones.")] = 100,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List payments, newest first."""

    async def work(system: System) -> list[Payment]:
        async with (await system.pool()).acquire() as conn:
            return await payments.list_(conn, account=account, status=status, limit=limit)

    found = run(config, work, store=False)
    if as_json:
        print_json([_view(each, repeated=False) for each in found])
        return
    print_table(
        "Payments",
        ("payment", "received (UTC)", "account", "amount", "", "by", "status", "reference"),
        [
            (
                each.payment_id,
                moment(each.created_at),
                each.account,
                format_micros(each.amount_micros, each.currency),
                each.currency,
                each.method.value,
                each.status.value,
                each.reference,
            )
            for each in found
        ],
    )


def payment_allocate(
    payment: Annotated[int, typer.Argument(help="Its number; see `payment list`.")],
    invoice: Annotated[str, typer.Argument(help="An invoice, by id or number.")],
    amount: Annotated[str, typer.Argument(help="In currency units, for example 10.00.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put a part of a payment that is credit on an invoice."""
    micros = parse_amount(amount)

    async def work(system: System) -> Allocation:
        async with _desk(system) as conn:
            return await allocation.allocate(
                conn,
                payment,
                INVOICE,
                await identify(conn, invoice),
                micros,
                DOCUMENTS[INVOICE],
                actor=actor(),
                now=now(),
            )

    _show_allocation(run(config, work, store=False), as_json)


def payment_release(
    allocation_id: Annotated[
        int, typer.Argument(metavar="ALLOCATION", help="As `payment allocate` told it.")
    ],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a part of a payment off its invoice: it is credit again."""

    async def work(system: System) -> Allocation:
        async with _desk(system) as conn:
            return await allocation.release(
                conn, allocation_id, DOCUMENTS[INVOICE], actor=actor(), now=now()
            )

    _show_allocation(run(config, work, store=False), as_json)


def payment_refund(
    payment: Annotated[int, typer.Argument(help="Its number; see `payment list`.")],
    reason: Annotated[str, typer.Option(help="Why; it is kept.")],
    amount: Annotated[str | None, typer.Option(help="Default: all that can be.")] = None,
    key: KeyOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give money of a payment back, by its gateway if it has one. It comes off the credit."""
    micros = None if amount is None else parse_amount(amount)

    async def work(system: System) -> tuple[Refunded, Payment]:
        async with _desk(system) as conn:
            done = await refund_payment(
                system,
                conn,
                payment,
                micros,
                reason=reason,
                key=key,
                actor=actor(),
                now=now(),
            )
            refunded = await payments.get(conn, payment)
        await bring(system, refunded.account)
        return done, refunded

    done, refunded = run(config, work)
    if as_json:
        print_json({**msgspec.structs.asdict(done.refund), "repeated": done.repeated})
        return
    told = f"{format_micros(done.refund.amount_micros, refunded.currency)} {refunded.currency}"
    before = " before, under this key" if done.repeated else ""
    print(f"{told} of payment {payment} went back to {refunded.account}{before}")


def voucher_create(
    amount: Annotated[str, typer.Argument(help="Of each, in currency units.")],
    number: Annotated[int, typer.Argument(help="How many.")],
    currency: Annotated[str, typer.Option(help="ISO 4217, for example EUR.")],
    expires: Annotated[
        datetime | None, typer.Option(formats=DAY, help="The first day (UTC) they are void.")
    ] = None,
    description: Annotated[str, typer.Option(help="What they are for.")] = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a batch of vouchers, and print them as CSV. Their codes are shown only now."""

    async def work(system: System) -> NewBatch:
        async with _desk(system) as conn:
            return await batches.create(
                conn,
                currency=currency,
                amount_micros=parse_amount(amount),
                vouchers=number,
                description=description,
                expires_at=None if expires is None else expires.replace(tzinfo=UTC),
                actor=actor(),
                now=now(),
            )

    made = run(config, work, store=False)
    if as_json:
        print_json({"batch_id": made.batch.batch_id, "codes": made.codes})
        return
    value = format_micros(made.batch.amount_micros, currency)
    until = "" if expires is None else expires.date().isoformat()
    print("batch,serial,code,amount,currency,expires")
    for serial, code in enumerate(made.codes, start=1):
        print(f"{made.batch.batch_id},{serial},{code},{value},{currency},{until}")


def voucher_redeem(
    account: str,
    code: Annotated[str, typer.Argument(help="@FILE, - (standard input), or the code.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put a voucher's amount on an account, once."""
    text = secret_value(code, "CODE").decode(errors="replace")

    async def work(system: System) -> Received:
        async with _desk(system) as conn:
            received = await redeem(conn, account, text, actor=actor(), now=now())
        await bring(system, account)
        return received

    _show(run(config, work), as_json)


def statement(
    account: str,
    first: Annotated[datetime, typer.Option("--from", formats=DAY, help="The first day.")],
    until: Annotated[datetime, typer.Option(formats=DAY, help="The day after the last one.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what changed an account's balance in a period, in days of its time zone."""

    async def work(system: System) -> tuple[PeriodStatement, str]:
        async with (await system.pool()).acquire() as conn:
            known = await accounts.get(conn, account)
            zone = ZoneInfo(known.time_zone)
            return (
                await period(conn, account, first.date(), until.date(), zone),
                known.currency,
            )

    made, currency = run(config, work, store=False)
    if as_json:
        print_json(made)
        return
    rows = [
        (
            moment(line.at),
            line.kind.value,
            format_micros(line.amount_micros, currency),
            format_micros(line.balance_micros, currency),
            line.description,
        )
        for line in made.lines
    ]
    print_table(
        f"Statement of {account} from {made.first} until {made.until} ({made.time_zone}):"
        f" opening balance {format_micros(made.opening_micros, currency)} {currency}",
        ("at (UTC)", "kind", "amount", "balance", "description"),
        rows,
    )
    print(f"closing balance {format_micros(made.closing_micros, currency)} {currency}")


def _show_allocation(of: Allocation, as_json: bool) -> None:
    if as_json:
        print_json(of)
        return
    print(
        f"allocation {of.allocation_id}: {format_micros(of.held_micros)} of payment"
        f" {of.payment_id} on {of.document_kind} {of.document_id}"
    )


def _show(received: Received, as_json: bool) -> None:
    view = _view(received.payment, received.repeated)
    if as_json:
        print_json(view)
        return
    told = f"{format_micros(view.amount_micros, view.currency)} {view.currency}"
    before = ", before" if view.repeated else ""
    print(f"payment {view.payment_id}: {told} by {view.method} for {view.account}{before}")


def _view(payment: Payment, repeated: bool) -> PaymentView:
    return PaymentView(
        payment_id=payment.payment_id,
        account=payment.account,
        currency=payment.currency,
        amount_micros=payment.amount_micros,
        method=payment.method,
        status=payment.status,
        reference=payment.reference,
        created_at=payment.created_at,
        allocated_micros=payment.allocated_micros,
        refundable_micros=payment.refundable_micros,
        repeated=repeated,
    )
