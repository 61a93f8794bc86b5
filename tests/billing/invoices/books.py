"""What the ledger holds, and what must hold of all documents at any time."""

from billing.database import Connection
from billing.invoices import numbers
from billing.ledger.chart import Ledger


async def ledger(conn: Connection, account: str | None = None) -> dict[Ledger, int]:
    """What each ledger holds in micros, of an account or of all; those of nothing are missing."""
    rows = await conn.fetch(
        "SELECT ledger, sum(amount_micros)::bigint AS micros FROM ledger_postings"
        " WHERE $1::text IS NULL OR account_id = $1 GROUP BY ledger",
        account,
    )
    return {Ledger(row["ledger"]): row["micros"] for row in rows if row["micros"]}


async def prove(conn: Connection) -> None:
    """Prove what must hold whatever happened."""
    assert sum((await ledger(conn)).values()) == 0
    for series in await numbers.list_(conn):
        assert series.missing == 0, series
    assert await conn.fetchval(
        "SELECT bool_and(total_micros = net_micros + tax_micros AND net_micros ="
        " (SELECT coalesce(sum(amount_micros - discount_micros"
        "     - CASE WHEN inclusive THEN tax_micros ELSE 0 END), 0)"
        "  FROM invoice_items AS i WHERE i.invoice_id = invoices.invoice_id))"
        " IS NOT FALSE FROM invoices"
    )
    # Each settled charge that is cut into a range is in one share; a line is its shares' sum.
    assert not await conn.fetch(
        "SELECT account_id, until, r.charged_micros FROM charge_ranges AS r LEFT JOIN charge_shares"
        " AS s USING (account_id, until) GROUP BY account_id, until, r.charged_micros"
        " HAVING r.charged_micros <> coalesce(sum(s.charged_micros), 0)"
    )
    assert not await conn.fetch(
        "SELECT invoice_id, line FROM invoice_items AS i JOIN invoices USING (invoice_id)"
        " LEFT JOIN charge_shares AS s USING (invoice_id, line)"
        " WHERE i.kind = 'usage' AND status <> 'void' GROUP BY invoice_id, line, unit_price_micros"
        " HAVING unit_price_micros <> coalesce(sum(s.charged_micros), 0)"
    )
    documented = await conn.fetchval(
        "SELECT coalesce(sum(tax_micros), 0)::bigint FROM invoices"
        " WHERE status NOT IN ('draft', 'void') AND kind NOT IN ('proforma', 'statement')"
    ) - await conn.fetchval(
        "SELECT coalesce(sum(tax_micros), 0)::bigint FROM credit_notes"
        " WHERE credit_note_id NOT IN (SELECT credit_note_id FROM credit_note_voids)"
    )
    assert -(await ledger(conn)).get(Ledger.TAX, 0) == documented
