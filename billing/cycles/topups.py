"""Tax documents of top-ups, for entities whose prepaid accounts get them when money comes in.

A top-up is noted in the transaction that books it, and its document made by the next billing job,
once: the note and the document refer to each other.
"""

from collections import Counter, defaultdict
from datetime import datetime
from typing import Final

import asyncpg
import structlog

from billing.database import Connection
from billing.delivery import outbox
from billing.entities import register as entities
from billing.entities.entity import MAIN, Entity
from billing.errors import BillingError
from billing.invoices import drafts
from billing.invoices.composing import local_day
from billing.invoices.drafts import Wanted
from billing.invoices.finalizing import finalize_many
from billing.invoices.invoice import Kind, NewInvoice
from billing.invoices.line import ItemKind, NewLine
from billing.statements import load

SQL = load(__package__, "queries.sql")

_log = structlog.get_logger(__name__)

#: Documents that are made in one transaction.
_PAGE: Final = 200

#: What a line says, by language.
TOPUP: Final = {"en": "Top-up", "de": "Aufladung", "fr": "Recharge", "ar": "شحن الرصيد"}


async def document_topups(conn: Connection, now: datetime, *, actor: str) -> int:
    """Make, finalize and mail the documents of top-ups that have none; return how many.

    One that cannot be made is told, keeps its reason, and is tried again the next time.
    """
    done = last = 0
    while True:
        async with conn.transaction():
            rows = await conn.fetch(SQL["topups"], last, _PAGE)
            if not rows:
                return done
            last = rows[-1]["transaction_id"]
            # Those of one account come one after the other.
            turns: defaultdict[int, list[asyncpg.Record]] = defaultdict(list)
            before: Counter[str] = Counter()
            for row in rows:
                turns[before[row["account_id"]]].append(row)
                before[row["account_id"]] += 1
            for each in turns.values():
                done += await _document(conn, each, now, actor)


async def _document(
    conn: Connection, topups: list[asyncpg.Record], now: datetime, actor: str
) -> int:
    seller = await entities.get(conn, MAIN)
    wanted = [Wanted(_asked(row, seller)) for row in topups]
    fine: dict[int, int] = {}
    for row, made in zip(topups, await drafts.create_many(conn, wanted, now=now), strict=True):
        if isinstance(made, BillingError):
            _log.warning(
                "a top-up cannot be documented", account=row["account_id"], reason=str(made)
            )
            await conn.execute(SQL["refuse_topup"], row["transaction_id"], str(made))
        elif made is not None:
            fine[row["transaction_id"]] = made
    outcome = await finalize_many(conn, list(fine.values()), actor=actor, now=now)
    assert not outcome.refused, outcome.refused  # they could be made a moment ago
    await conn.execute(SQL["keep_topups"], list(fine), list(fine.values()))
    await outbox.send_invoices(conn, fine.values(), now=now)
    return len(fine)


def _asked(row: asyncpg.Record, seller: Entity) -> NewInvoice:
    language = row["language"] if row["language"] in TOPUP else seller.language
    received = local_day(seller, row["received_at"])
    line = NewLine(
        kind=ItemKind.TOPUP,
        description=f"{TOPUP[language]}, {received.isoformat()}",
        unit_price_micros=row["amount_micros"],
        charged=True,
    )
    return NewInvoice(account=row["account_id"], kind=Kind.TOPUP, lines=(line,))
