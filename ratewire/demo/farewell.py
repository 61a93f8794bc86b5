"""What the demo prints in the end: a subscriber's statement with its charges, and the books."""

from collections.abc import Sequence
from datetime import datetime

from rich.console import Console
from rich.table import Table
from rich.text import Text

from billing.ledger.statement import StatementRow, statement
from billing.sessions.explain import ExplainedCharge, ExplainedSession, explain
from billing.sessions.statement import StatedSession, sessions
from ratewire.demo.stock import Customer
from ratewire.views.lines import told
from ratewire.wiring import System
from rating.money import format_micros

_SESSIONS_SHOWN = 3
_CHARGES_SHOWN = 6
_LEDGER_ROWS = 12


async def show_statement(
    console: Console, system: System, everybody: Sequence[Customer], since: datetime
) -> None:
    """Print the statement of the customer that was charged most since then."""
    async with (await system.pool()).acquire() as conn:
        best: tuple[int, Customer, list[StatedSession]] | None = None
        for customer in everybody:
            found = await sessions(conn, account=customer.account, limit=20)
            mine = [each for each in found if each.opened_at >= since]
            charged = sum(each.charged_micros for each in mine)
            if mine and (best is None or charged > best[0]):
                best = (charged, customer, mine)
        if best is None:
            console.print("nobody used anything yet: there is no statement to show")
            return
        _, customer, mine = best
        console.print()
        console.print(Text(f"Statement of account {customer.account}", style="bold"))
        console.print(_ledger(await statement(conn, customer.account, limit=_LEDGER_ROWS)))
        for stated in mine[-_SESSIONS_SHOWN:]:
            _show_session(console, stated, await explain(conn, stated.session_uid))


def _ledger(rows: Sequence[StatementRow]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("posted", "kind", "description"):
        table.add_column(name)
    for name in ("amount", "balance"):
        table.add_column(name, justify="right")
    for row in rows:
        cells = (
            f"{row.posted_at:%Y-%m-%d %H:%M:%S}",
            row.kind.value,
            row.description,
            format_micros(row.amount_micros, row.currency),
            format_micros(row.balance_micros, row.currency),
        )
        table.add_row(*map(Text, cells))
    return table


def _show_session(console: Console, stated: StatedSession, explained: ExplainedSession) -> None:
    whose = f"Session {stated.acct_session_id} of {stated.username}"
    plan = f"plan {stated.plan} version {stated.plan_version}"
    ended = f"closed by {stated.close_reason}" if stated.closed_at else "open"
    octets = f"{stated.octets_in:,} octets in, {stated.octets_out:,} out"
    charged = f"{format_micros(stated.charged_micros, stated.currency)} {stated.currency}"
    charges = explained.charges
    said = [
        "",
        f"{whose}, {plan}, from {stated.opened_at:%H:%M:%S}, {ended}:",
        f"{stated.seconds} s, {octets}, charged {charged}",
        *(f"  {told(each, stated.currency)}" for each in explained.lines),
        f"  in {len(charges)} charges, of which the last:",
        *(f"    {_charge(each, stated.currency)}" for each in charges[-_CHARGES_SHOWN:]),
    ]
    # What a NAS named is text, whatever it looks like.
    console.print(Text("\n".join(said)))


def _charge(charge: ExplainedCharge, currency: str) -> str:
    why = "; ".join(told(each, currency) for each in charge.lines)
    return (
        f"{charge.event_at:%H:%M:%S} {format_micros(charge.charged_micros, currency)}"
        f" (total {format_micros(charge.total_micros, currency)}): {why}"
    )
