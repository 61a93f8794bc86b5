"""The settled charges behind usage lines: each on exactly one line.

An account's charges are cut into ranges by time of settlement, one after the other without a gap
(table charge_ranges), and those of a range are summed by plan (charge_shares). A share stands on
one line, or waits for one: a draft takes all that wait, and gives them back when it is deleted or
the invoice is voided. Each range is compared with the ledger's own postings before it is kept.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
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


class Waiting(msgspec.Struct, frozen=True):
    """The charges of an account that are on no line: those of ranges, and those not cut into one
    yet, settled from `since` on, before `until`.
    """

    account: str
    since: datetime
    until: datetime
    kept: tuple[Share, ...]
    uncut: tuple[Share, ...]

    @property
    def shares(self) -> list[Share]:
        """All of them, one for each plan, in the order of the plans' names."""
        return by_plan((*self.kept, *self.uncut))


class Taken(msgspec.Struct, frozen=True):
    """Charges that go onto an invoice: those of each plan on one of its lines."""

    waiting: Waiting
    invoice: int
    lines: Mapping[str, int]


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


async def waiting(conn: Connection, until: Mapping[str, datetime]) -> dict[str, Waiting | Conflict]:
    """Return what of the charges of accounts is on no line, settled before the moment of each.

    Nothing is written. In the place of what is not what the ledger says stands a Conflict.
    """
    accounts = list(until)
    kept: defaultdict[str, list[Share]] = defaultdict(list)
    for row in await conn.fetch(SQL["waiting_shares"], accounts):
        kept[row["account_id"]].append(_share(dict(row)))
    ends = {row[0]: row[1] for row in await conn.fetch(SQL["range_ends"], accounts)}
    spans = {
        account: (since, until[account])
        for account in accounts
        if (since := ends.get(account, ORIGIN)) < until[account]
    }
    uncut, posted = await _uncut(conn, spans)
    found: dict[str, Waiting | Conflict] = {}
    for account in accounts:
        since, shares = ends.get(account, ORIGIN), uncut[account]
        charged = sum(share.charged_micros for share in shares)
        if charged != posted.get(account, 0):
            found[account] = Conflict(
                f"account {account}: sessions were charged {format_micros(charged)} from {since}"
                f" on, and the ledger has {format_micros(posted.get(account, 0))}; look at the"
                " parked entries first ('ratewire reconcile')"
            )
        else:
            found[account] = Waiting(
                account, since, until[account], tuple(kept[account]), tuple(shares)
            )
    return found


async def take(conn: Connection, taken: Sequence[Taken]) -> None:
    """Put all that waits, as `waiting` told it in this transaction, on the lines of invoices.

    The rows of the accounts are held, so that nobody else cuts. The invoices' lines may follow
    within the transaction.
    """
    cut = [each for each in taken if each.waiting.uncut]
    if cut:
        await conn.execute(
            SQL["add_ranges"],
            [each.waiting.account for each in cut],
            [each.waiting.since for each in cut],
            [each.waiting.until for each in cut],
            [sum(share.charged_micros for share in each.waiting.uncut) for each in cut],
        )
        await conn.copy_records_to_table(
            "charge_shares",
            columns=["account_id", *Share.__struct_fields__, "invoice_id", "line"],
            records=[
                (
                    each.waiting.account,
                    *msgspec.structs.astuple(share),
                    each.invoice,
                    each.lines[share.plan],
                )
                for each in cut
                for share in each.waiting.uncut
            ],
        )
    lines = [
        (each.waiting.account, each.invoice, plan, line)
        for each in taken
        if each.waiting.kept
        for plan, line in each.lines.items()
    ]
    if lines:
        await conn.execute(SQL["take_shares"], *map(list, zip(*lines, strict=True)))


async def cut_until(conn: Connection, account: str) -> datetime | None:
    """Return up to when the charges of an account are cut into ranges; None if none are."""
    row = await conn.fetchrow(SQL["range_ends"], [account])
    return None if row is None else row[1]


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


async def _uncut(
    conn: Connection, spans: Mapping[str, tuple[datetime, datetime]]
) -> tuple[defaultdict[str, list[Share]], dict[str, int]]:
    """What accounts were charged in times that are in no range, by plan, and as it was posted."""
    shares: defaultdict[str, list[Share]] = defaultdict(list)
    posted: dict[str, int] = {}
    if spans:
        names, since, until = (
            list(spans), [span[0] for span in spans.values()], [span[1] for span in spans.values()]
        )  # fmt: skip
        for row in await conn.fetch(SQL["settled_by_plan"], names, since, until):
            account = row["account_id"]
            shares[account].append(_share({**row, "until": spans[account][1]}))
        rows = await conn.fetch(SQL["posted_usage"], names, since, until)
        posted = {row[0]: row[1] for row in rows}
    return shares, posted


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
