"""topup, balance, ledger, reconcile, rebuild-balances: the money."""

from typing import Annotated

import msgspec
import typer

from billing.accounts import register as accounts
from billing.accounts.account import BillingAccount
from billing.ledger.statement import StatementRow, statement
from billing.payments import register as payments
from billing.payments.payment import Method
from billing.payments.register import NewPayment, Received
from billing.rebuild.run import Rebuilt, rebuild
from billing.reconcile.run import Reconciliation, reconcile
from ratewire.cli.running import (
    ConfigOption,
    JsonOption,
    Refused,
    actor,
    bring,
    moment,
    print_json,
    print_table,
    run,
    warn,
)
from ratewire.wiring import PARTITION, System, now
from rating.money import format_micros, parse_amount


class ToppedUp(msgspec.Struct, frozen=True):
    """What a top-up did, and the account's money after it, in micros.

    `repeated`: the key had been used, so nothing was done now. The balance, what is reserved and
    what is available are the store's; None where it does not have the top-up yet (and where what is
    available has no bound).
    """

    account: str
    currency: str
    amount_micros: int
    payment_id: int
    repeated: bool
    balance_micros: int | None
    reserved_micros: int | None
    available_micros: int | None


class BalanceView(msgspec.Struct, frozen=True):
    """An account's money, live from the store, in micros. None: unlimited.

    `available_micros` is balance - reserved + credit limit - minimum balance.
    """

    account: str
    currency: str
    status: str
    payment_mode: str
    balance_micros: int
    reserved_micros: int
    available_micros: int | None
    credit_limit_micros: int | None
    minimum_balance_micros: int
    open_sessions: int


def register(app: typer.Typer) -> None:
    """Add the commands."""
    # So that a negative amount is told as one, and not as an option that does not exist.
    app.command(context_settings={"ignore_unknown_options": True})(topup)
    app.command()(balance)
    app.command()(ledger)
    app.command("reconcile")(reconcile_books)
    app.command("rebuild-balances")(rebuild_balances)


def topup(
    account: str,
    amount: Annotated[str, typer.Argument(help="In currency units, for example 10.00.")],
    key: Annotated[
        str | None, typer.Option(help="Idempotency key: the same key tops up once.")
    ] = None,
    method: Annotated[Method, typer.Option(help="How the money came.")] = Method.CASH,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Top an account up: a payment of money that came. Its sessions go on at once."""
    micros = parse_amount(amount)
    new = NewPayment(account, micros, method, description="Top-up", key=key)

    async def work(system: System) -> ToppedUp:
        async with (await system.pool()).acquire() as conn:
            received = await payments.receive(conn, new, actor=actor(), now=now())
        return await _topped_up(system, received)

    done = run(config, work)
    if as_json:
        print_json(done)
        return
    amount_text = f"{format_micros(micros, done.currency)} {done.currency}"
    balance_text = (
        "the store does not have it yet"
        if done.balance_micros is None
        else f"balance {format_micros(done.balance_micros, done.currency)} {done.currency}"
    )
    if done.repeated:
        print(f"{account} was topped up with {amount_text} under this key before; {balance_text}")
    else:
        print(f"{account} is topped up with {amount_text}; {balance_text}")


async def _topped_up(system: System, received: Received) -> ToppedUp:
    """Bring a top-up to the store, and tell what came of it."""
    payment, live = received.payment, None
    if await bring(system, payment.account):
        [audit] = await system.stream.inspect([payment.account])
        live = None if audit is None else audit.account
    return ToppedUp(
        account=payment.account,
        currency=payment.currency,
        amount_micros=payment.amount_micros,
        payment_id=payment.payment_id,
        repeated=received.repeated,
        balance_micros=None if live is None else live.balance,
        reserved_micros=None if live is None else live.reserved,
        available_micros=None if live is None else live.available,
    )


def balance(account: str, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show an account's money, live from the store."""

    async def work(system: System) -> BalanceView:
        return await balance_view(system, account)

    view = run(config, work)
    if as_json:
        print_json(view)
        return
    for name, micros in (
        ("balance", view.balance_micros),
        ("reserved", view.reserved_micros),
        ("available", view.available_micros),
        ("credit limit", view.credit_limit_micros),
        ("minimum", view.minimum_balance_micros),
    ):
        amount = "unlimited" if micros is None else format_micros(micros, view.currency)
        print(f"{name:13} {amount:>20} {view.currency}")
    print(f"{view.payment_mode}, {view.status}, {view.open_sessions} open sessions")


async def balance_view(system: System, account: str) -> BalanceView:
    """Return an account's money. Raises NotFound, or Refused if the store does not have it yet."""
    async with (await system.pool()).acquire() as conn:
        known: BillingAccount = await accounts.get(conn, account)
    [audit] = await system.stream.inspect([account])
    if audit is None:
        await system.stream.books()  # raises StoreEmpty where they are lost
        raise Refused(f"account {account} is on its way to the store; see `reconcile`")
    live = audit.account
    return BalanceView(
        account=account,
        currency=live.currency,
        status=known.status,
        payment_mode=known.payment_mode,
        balance_micros=live.balance,
        reserved_micros=live.reserved,
        available_micros=live.available,
        credit_limit_micros=live.credit_limit,
        minimum_balance_micros=live.minimum,
        open_sessions=audit.sessions,
    )


def ledger(
    account: str,
    limit: Annotated[int, typer.Option(min=1, help="Most transactions, the last ones.")] = 100,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List an account's postings with its balance."""

    async def work(system: System) -> list[StatementRow]:
        async with (await system.pool()).acquire() as conn:
            await accounts.get(conn, account)
            return await statement(conn, account, limit=limit)

    rows = run(config, work, store=False)
    if as_json:
        print_json(rows)
        return
    print_table(
        f"Ledger of {account}",
        ("transaction", "posted (UTC)", "kind", "amount", "balance", "by", "description"),
        [
            (
                row.transaction_id,
                moment(row.posted_at),
                row.kind.value,
                format_micros(row.amount_micros, row.currency),
                format_micros(row.balance_micros, row.currency),
                row.actor,
                row.description,
            )
            for row in rows
        ],
    )


def reconcile_books(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Compare store and ledger to the micro.

    Under traffic, too. Repairs nothing; exit status 1 if they do not agree.
    """

    async def work(system: System) -> Reconciliation:
        return await reconcile(
            await system.pool(), system.stream, system.stream, partition=PARTITION
        )

    found = run(config, work)
    if as_json:
        print_json({**msgspec.structs.asdict(found), "exact": found.exact})
    else:
        print_reconciliation(found)
    if not found.exact:
        raise typer.Exit(1)


def print_reconciliation(found: Reconciliation) -> None:
    """Print a reconciliation for people."""
    verdict = "agree to the micro" if found.exact else "DO NOT AGREE"
    print(
        f"store and ledger {verdict}: {found.accounts} accounts, drift {found.drift_micros} micros"
    )
    print(
        f"at {found.position.generation}-{found.position.sequence}:"
        f" {found.unsettled_entries} entries unsettled ({found.unsettled_micros} micros),"
        f" {found.unapplied_movements} movements unapplied, {found.parked_entries} entries parked"
    )
    for account in found.drifting:
        print(
            f"  {account.account}: drift {account.drift_micros} ({', '.join(account.faults)});"
            f" store {account.store_balance_micros}, ledger {account.ledger_balance_micros},"
            f" reserved {account.reserved_micros}, held {account.held_micros}"
        )
    if found.unknown_accounts:
        print(
            f"  the store holds {found.unknown_accounts} accounts that the database does not know"
        )
    for currency, micros in found.ledger_remainders_micros.items():
        print(f"  the ledger does not sum to zero: {micros} micros of {currency} remain")
    if found.totals_drift_micros:
        print(f"  the store's totals are {found.totals_drift_micros} micros from their accounts")
    if found.unreadable_entries:
        print(f"  {found.unreadable_entries} entries of the stream cannot be read: to be parked")


def rebuild_balances(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Write the store's books anew from Postgres.

    Behind a fence, after what the stream still holds is settled. NASes may go on reporting.
    """

    async def work(system: System) -> Rebuilt:
        return await rebuild(
            await system.pool(),
            system.stream,
            system.stream,
            system.restoration,
            partition=PARTITION,
            interval_seconds=system.terms.interim,
            quiet_seconds=system.terms.interim * system.terms.stale_factor,
        )

    rebuilt = run(config, work)
    if as_json:
        print_json(rebuilt)
        return
    print(
        f"generation {rebuilt.generation}: {rebuilt.accounts} accounts,"
        f" {rebuilt.subscribers} subscribers, {rebuilt.sessions} open sessions;"
        f" {rebuilt.settled_entries} entries settled before, {rebuilt.parked_items} parked"
    )
    if rebuilt.lost:
        warn(rebuilt.lost)
