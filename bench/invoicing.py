"""What finalizing, printing and searching invoices costs.

    python -m bench.invoicing [--invoices N] [--lines N] [--accounts N] [--pdfs N] [--search N]

Drafts of so many lines with tax are made by statements of their own (not measured), then finalized
500 at a time on one connection; PDFs (Factur-X) are made by two threads; then further finalized
rows are put in, up to `--search`, and the last page of an account, a number and what is overdue are
searched for. At the end the numbers have no gap, and the ledger's tax is the invoices'.

Prints one JSON object. The servers are embedded ones in a directory of their own, and durable as
they are shipped.
"""

import argparse
import asyncio
import json
import resource
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path

from billing.database import Connection, connect
from billing.documents import content, einvoice, hybrid
from billing.entities import register as entities
from billing.entities.entity import Address, Entity
from billing.invoices import drafts, numbers, reading
from billing.invoices.finalizing import finalize_many
from billing.invoices.invoice import Invoice, NewInvoice
from billing.invoices.line import NewLine
from billing.invoices.reading import Search
from billing.taxes import rates
from billing.taxes.rate import TaxRate
from migrations import runner
from ratewire.embedded.servers import EmbeddedServers

NOW = datetime(2026, 3, 14, 12, tzinfo=UTC)
AT_ONCE = 500

#: A draft like another one, of an account by turns.
COPY_DRAFTS = """
INSERT INTO invoices (kind, entity, account_id, currency, language, payment_days, tax_rounding,
    discount_micros, net_micros, tax_micros, total_micros, created_at, changed_at, buyer)
SELECT kind, entity, 'a' || (n % $3), currency, language, payment_days, tax_rounding,
    discount_micros, net_micros, tax_micros, total_micros, created_at, changed_at, buyer
FROM invoices, generate_series(1, $2::integer) AS n WHERE invoice_id = $1
"""
COPY_LINES = """
INSERT INTO invoice_items
SELECT other.invoice_id, line, item.kind, description, service_from, service_until,
    quantity_micros, unit, unit_price_micros, amount_micros, item.discount_micros,
    discount_reason, inclusive, charged, plan, tax_category, usage, item.net_micros,
    item.tax_micros, taxes
FROM invoice_items AS item, invoices AS other
WHERE item.invoice_id = $1 AND other.status = 'draft' AND other.invoice_id > $1
"""
MORE_FINALIZED = """
INSERT INTO invoices (kind, status, entity, account_id, currency, language, payment_days,
    tax_rounding, tax_point, discount_micros, net_micros, tax_micros, total_micros, created_at,
    changed_at, finalized_at, seller, buyer, series, series_year, series_number, number, issued_on,
    due_on)
SELECT kind, 'open', entity, account_id, currency, language, payment_days, tax_rounding, tax_point,
    discount_micros, net_micros, tax_micros, total_micros, created_at, changed_at, finalized_at,
    seller, buyer, series, 2025, n, 'OLD-' || n, issued_on - 300, due_on - 300
FROM invoices, generate_series(1, $2::integer) AS n WHERE invoice_id = $1
"""


async def prepare(conn: Connection, options: argparse.Namespace) -> list[int]:
    """Make the seller, the accounts and the drafts; return the drafts' ids."""
    seller = Entity(
        name="Bench GmbH",
        address=Address("Weg 1", "Bonn", "53111", "DE"),
        jurisdiction="DE",
        tax_id="DE123456788",
        iban="DE89370400440532013000",
    )
    await entities.put(conn, seller, NOW)
    await rates.put(conn, [TaxRate("DE", "standard", "USt", date(2021, 1, 1), 190_000)], NOW)
    await conn.execute("SELECT ensure_partitions($1, 1)", NOW)
    await conn.execute(
        "INSERT INTO customer_billing_accounts (account_id, currency, payment_mode, created_at)"
        " SELECT 'a' || n, 'EUR', 'postpaid', $2 FROM generate_series(0, $1::integer - 1) AS n",
        options.accounts,
        NOW,
    )
    lines = tuple(
        NewLine(description=f"Service {n}", unit_price_micros=9_990_000 + n * 10_000)
        for n in range(options.lines)
    )
    first = await drafts.create(conn, NewInvoice(account="a0", lines=lines), now=NOW)
    await conn.execute(COPY_DRAFTS, first, options.invoices - 1, options.accounts)
    await conn.execute(COPY_LINES, first)
    await conn.execute("ANALYZE")
    return [row[0] for row in await conn.fetch("SELECT invoice_id FROM invoices ORDER BY 1")]


def printed(invoice: Invoice) -> int:
    """Make an invoice's Factur-X, and return its octets."""
    made = content.of_invoice(invoice)
    cii = einvoice.xml(einvoice.invoice_terms(invoice), "cii")
    return len(hybrid.pdf(made, cii, content.made_at(made)))


async def searches(conn: Connection) -> dict[str, float]:
    """Return the median time of each search, in milliseconds."""
    today = date(2026, 3, 20)
    found: dict[str, float] = {}
    for name, wanted in (
        ("account", Search(account="a7")),
        ("number", Search(number="OLD-4711")),
        ("overdue", Search(overdue=True)),
    ):
        times: list[float] = []
        for _ in range(11):
            began = time.perf_counter()
            await reading.search(conn, wanted, today=today)
            times.append((time.perf_counter() - began) * 1000)
        found[f"search_{name}_ms"] = round(statistics.median(times), 2)
    return found


async def measure(conn: Connection, options: argparse.Namespace) -> dict[str, object]:
    """Finalize, print, search; return the figures. AssertionError if the books do not agree."""
    ids = await prepare(conn, options)
    memory: list[int] = []
    began = time.perf_counter()
    for start in range(0, len(ids), AT_ONCE):
        chunk = ids[start : start + AT_ONCE]
        outcome = await finalize_many(conn, chunk, actor="bench", now=NOW)
        assert len(outcome.finalized) == len(chunk), outcome.refused
        memory.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    finalizing = time.perf_counter() - began
    assert all(series.missing == 0 for series in await numbers.list_(conn))
    documented, booked = await conn.fetchrow(
        "SELECT (SELECT sum(tax_micros) FROM invoices),"
        " (SELECT -sum(amount_micros) FROM ledger_postings WHERE ledger = 31)"
    ) or (None, 0)
    assert documented == booked, (documented, booked)
    some = list((await reading.get_many(conn, ids[: options.pdfs], NOW)).values())
    began = time.perf_counter()
    with ThreadPoolExecutor(2) as threads:
        octets = list(threads.map(printed, some))
    printing = time.perf_counter() - began
    more = max(0, options.search - len(ids))
    await conn.execute(MORE_FINALIZED, ids[0], more)
    await conn.execute("ANALYZE invoices")
    return {
        "invoices": len(ids),
        "lines": options.lines,
        "finalized_per_s": round(len(ids) / finalizing),
        "memory_first_kib": memory[0],
        "memory_last_kib": memory[-1],
        "pdfs": len(octets),
        "pdfs_per_s": round(len(octets) / printing, 1),
        "pdf_octets": round(statistics.mean(octets)),
        "searched": len(ids) + more,
        **await searches(conn),
        "no_gap": True,
    }


async def main(options: argparse.Namespace) -> None:
    """Start the servers, measure, print."""
    with tempfile.TemporaryDirectory(prefix="ratewire-bench-", dir="/tmp") as directory:
        place = Path(directory)
        place.chmod(0o711)
        async with EmbeddedServers.use(place / "data", want_store=False) as servers:
            await runner.migrate(servers.database_url)
            async with await connect(servers.database_url, size=1) as pool, pool.acquire() as conn:
                figures = await measure(conn, options)
    json.dump(figures, sys.stdout, indent=2)
    print()


def arguments() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description="What invoicing costs.")
    parser.add_argument("--invoices", type=int, default=100_000)
    parser.add_argument("--lines", type=int, default=5)
    parser.add_argument("--accounts", type=int, default=10_000)
    parser.add_argument("--pdfs", type=int, default=200)
    parser.add_argument("--search", type=int, default=1_000_000)
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(main(arguments()))
