"""The settled charges behind usage lines: each on exactly one line.

An account's charges are cut into ranges by time of settlement, one after the other without a gap
(table charge_ranges), and those of a range are summed by plan (charge_shares). A share stands on
one line, or waits for one: a draft takes all that wait, and gives them back when it is deleted or
the invoice is voided. Each range is compared with the ledger's own postings before it is kept.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from billing.database import Connection
from billing.errors import Conflict
from billing.statements import load
from rating.money import format_micros

SQL = load(__package__, "queries.sql")

#: Where an account's first range begins.
ORIGIN: Final = datetime.fromtimestamp(0, UTC)


class Share(msgspec.Struct, frozen=True):
    """The charges of one range under one plan; `until` is the end of the range."""

    until: datetime
    plan: str
    charged_micros: int
    sessions: int
    seconds: int
    octets_in: int
    octets_out: int
    first_on: datetime
    last_on: datetime


async def cut_off(conn: Connection, wanted: datetime) -> datetime:
    """Return a moment, `wanted` or now if that is earlier, before which no charge is settled any
    more.

    Settlement times never go back; where the last one is earlier, it is moved on. That holds the
    settler up until the transaction ends, so a run of many drafts does it once, by itself.
    """
    until = await conn.fetchval(SQL["cut_off"], wanted)
    if await conn.fetchval(SQL["settled_before"], until):
        await conn.execute(SQL["settle_past"], until)
    return until


async def waiting(conn: Connection, account: str, until: datetime) -> list[Share]:
    """Return the charges of an account that are on no line, settled before `until`.

    Those that are in no range yet, too; nothing is written. Raises Conflict if what is found is not
    what the ledger says.
    """
    kept = [_share(dict(row)) for row in await conn.fetch(SQL["waiting_shares"], account)]
    since = await conn.fetchval(SQL["range_end"], account) or ORIGIN
    return kept + await _uncut(conn, account, since, until)


async def take(
    conn: Connection, account: str, until: datetime, invoice_id: int, lines: dict[str, int]
) -> None:
    """Put all that waits, as `waiting` told it, on the lines of an invoice, by plan.

    The account's row is held, so that nobody else cuts. The invoice's lines may follow within the
    transaction.
    """
    since = await conn.fetchval(SQL["range_end"], account) or ORIGIN
    shares = await _uncut(conn, account, since, until)
    if shares:
        charged = sum(share.charged_micros for share in shares)
        await conn.execute(SQL["add_range"], account, since, until, charged)
        await conn.executemany(
            SQL["add_share"],
            [(account, *msgspec.structs.astuple(share)) for share in shares],
        )
    await conn.execute(SQL["take_shares"], account, invoice_id, list(lines), list(lines.values()))


async def move(conn: Connection, invoice_id: int, lines: dict[str, int]) -> None:
    """Put the charges of an invoice on its lines anew, by plan."""
    await conn.execute(SQL["move_shares"], invoice_id, list(lines), list(lines.values()))


async def release(conn: Connection, invoice_ids: Sequence[int]) -> None:
    """Let the charges of invoices wait again."""
    await conn.execute(SQL["release_shares"], list(invoice_ids))


def by_plan(shares: Sequence[Share]) -> list[Share]:
    """Return shares of several ranges as one for each plan, in the order of the plans' names."""
    merged: dict[str, Share] = {}
    for share in shares:
        known = merged.get(share.plan)
        merged[share.plan] = share if known is None else _sum(known, share)
    return [merged[plan] for plan in sorted(merged)]


async def _uncut(conn: Connection, account: str, since: datetime, until: datetime) -> list[Share]:
    if until <= since:
        return []
    rows = await conn.fetch(SQL["settled_by_plan"], account, since, until)
    shares = [_share({**row, "until": until}) for row in rows]
    posted: int = await conn.fetchval(SQL["posted_usage"], account, since, until)
    charged = sum(share.charged_micros for share in shares)
    if charged != posted:
        raise Conflict(
            f"account {account}: sessions were charged {format_micros(charged)} from {since} on,"
            f" and the ledger has {format_micros(posted)}; look at the parked entries first"
            " ('ratewire reconcile')"
        )
    return shares


def _share(row: dict[str, object]) -> Share:
    values: dict[str, Any] = {name: row[name] for name in Share.__struct_fields__}
    for octets in ("octets_in", "octets_out"):
        values[octets] = int(values[octets])
    return Share(**values)


def _sum(first: Share, second: Share) -> Share:
    return Share(
        max(first.until, second.until),
        first.plan,
        first.charged_micros + second.charged_micros,
        first.sessions + second.sessions,
        first.seconds + second.seconds,
        first.octets_in + second.octets_in,
        first.octets_out + second.octets_out,
        min(first.first_on, second.first_on),
        max(first.last_on, second.last_on),
    )
