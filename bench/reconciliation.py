"""What a bank file costs: reading it, matching its lines, making payments of them; and reports.

    python -m bench.reconciliation [--lines N] [--invoices N]

Each account has one open invoice, and each line of a CAMT.053 file pays one: nine in ten name its
number, one in twenty the account alone, and the rest nobody. Then the same file is imported again.
Then each report is made over all of it, and over `--invoices` more that are open.

At the end the books are compared: cash is the sum of the lines that are paired, a second run pairs
nothing, and what receivables the report tells are those of the ledger. Prints one JSON object.
Postgres is an embedded one, durable as it is shipped.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

from bench.invoicing import AT_ONCE, MORE_FINALIZED, NOW, prepare
from bench.machine import machine
from billing.database import Connection, connect
from billing.invoices.finalizing import finalize_many
from billing.invoices.settling import InvoiceDocuments
from billing.ledger.chart import Ledger
from billing.reconciliation import files, pairing
from billing.reports.making import Asked, Name, make
from migrations import runner
from ratewire.embedded.servers import EmbeddedServers

_ENTRY = (
    '<Ntry><Amt Ccy="EUR">{amount}</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts>'
    "<BookgDt><Dt>2026-03-02</Dt></BookgDt><NtryDtls><TxDtls><Refs><AcctSvcrRef>B{n}</AcctSvcrRef>"
    "</Refs><RltdPties><Dbtr><Pty><Nm>Payer {n}</Nm></Pty></Dbtr></RltdPties><RmtInf><Ustrd>"
    "{text}</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>"
)


async def written(conn: Connection) -> tuple[bytes, int]:
    """Return a file with a line for each open invoice, and how many of them are certain."""
    rows = await conn.fetch(
        "SELECT number, account_id, total_micros FROM invoices WHERE status = 'open' ORDER BY 1"
    )
    entries: list[str] = []
    sure = 0
    for n, row in enumerate(rows):
        by_number, by_account = n % 20 < 18, n % 20 == 18
        text = f"Rechnung {row['number']} danke" if by_number else "thank you"
        text = f"Kunde {row['account_id']}" if by_account else text
        sure += by_number or by_account
        amount = f"{row['total_micros'] // 1_000_000}.{row['total_micros'] // 10_000 % 100:02}"
        entries.append(_ENTRY.format(amount=amount, n=n, text=text))
    told = "".join(entries)
    return (
        "<Document><BkToCstmrStmt><Stmt><Acct><Id><IBAN>DE89370400440532013000</IBAN></Id></Acct>"
        f"{told}</Stmt></BkToCstmrStmt></Document>"
    ).encode(), sure


async def reconcile(conn: Connection) -> dict[str, object]:
    """Import, preview and process a file; return the figures."""
    content, sure = await written(conn)
    began = time.perf_counter()
    imported = await files.import_(conn, content, "bench.xml", actor="bench", now=NOW)
    importing = time.perf_counter() - began
    lines = sum(imported.file.lines.values())
    again = await files.import_(conn, content, "again.xml", actor="bench", now=NOW)
    assert again.repeated
    began, after, certain = time.perf_counter(), 0, 0
    while matched := await pairing.preview(conn, after=after):
        certain += sum(each.certain is not None for each in matched)
        after = matched[-1].line.line_id
    matching = time.perf_counter() - began
    assert certain == sure, (certain, sure)
    began, after, paired = time.perf_counter(), 0, 0
    while True:
        done = await pairing.process(conn, InvoiceDocuments(), after=after, actor="bench", now=NOW)
        if done.last is None:
            break
        paired, after = paired + len(done.paired), done.last
    processing = time.perf_counter() - began
    assert paired == sure
    repeated = await pairing.process(conn, InvoiceDocuments(), actor="bench", now=NOW)
    assert not repeated.paired
    cash = await conn.fetchval(
        "SELECT sum(amount_micros) FROM ledger_postings WHERE ledger = $1", Ledger.CASH
    )
    told = await conn.fetchval("SELECT sum(amount_micros) FROM bank_lines WHERE state = 'paired'")
    assert cash == told
    return {
        "lines": lines,
        "file_octets": len(content),
        "import_s": round(importing, 1),
        "match_s": round(matching, 1),
        "matched_lines_per_second": round(lines / matching),
        "paired": paired,
        "process_s": round(processing, 1),
        "payments_per_second": round(paired / processing),
        "books_agree": True,
    }


async def reports(conn: Connection, more: int) -> dict[str, object]:
    """Make each report over all there is; return how long each took (seconds)."""
    owed = await conn.fetchval(
        "SELECT sum(amount_micros) FROM ledger_postings WHERE ledger = $1", Ledger.RECEIVABLE
    )
    asked = Asked(date(2026, 1, 1), date(2026, 12, 31), ZoneInfo("UTC"), NOW)
    made = await make(conn, Name.RECEIVABLES, asked)
    assert sum(int(str(row[2])) for row in made.rows) == owed
    one = await conn.fetchval("SELECT min(invoice_id) FROM invoices WHERE status = 'open'")
    await conn.execute(MORE_FINALIZED, one, more)
    await conn.execute("ANALYZE")
    figures: dict[str, object] = {"invoices": await conn.fetchval("SELECT count(*) FROM invoices")}
    for name in Name:
        began = time.perf_counter()
        await make(conn, name, asked)
        figures[f"{name}_s"] = round(time.perf_counter() - began, 2)
    return figures


async def measure(conn: Connection, options: argparse.Namespace) -> dict[str, object]:
    """Make the invoices, then all that is measured."""
    count = options.lines
    ids = await prepare(conn, argparse.Namespace(accounts=count, invoices=count, lines=1))
    for start in range(0, len(ids), AT_ONCE):
        await finalize_many(conn, ids[start : start + AT_ONCE], actor="bench", now=NOW)
    return {
        "machine": machine(),
        **await reconcile(conn),
        "reports": await reports(conn, options.invoices),
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
    parser = argparse.ArgumentParser(description="What a bank file and reports cost.")
    parser.add_argument("--lines", type=int, default=50_000)
    parser.add_argument("--invoices", type=int, default=1_000_000)
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(main(arguments()))
