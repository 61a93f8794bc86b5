"""A billing run that is killed again and again, with another scheduler at work and services ending.

    python -m bench.billing_kills [--accounts N] [--kills N]

The accounts are those of bench.billing_run, without review: each chunk is finalized as it is
billed. Schedulers, processes of their own, bill what is due, two at a time; each is killed
(SIGKILL) after a while by chance and replaced by another, until so many were killed; then two are
let to the end. Meanwhile every tenth service is cancelled for the day of the run, some before the
run comes to its account, some after.

At the end nothing was billed twice and no number was lost: one document of usage an account, each
day of each charge billed at most once and given back where its service had ended, numbers and
documents of each series equal, all usage on one line, the ledger sums to zero and holds what the
documents say, and a further run bills nothing. Prints one JSON object; exits with 1 if it is not
so.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.billing_run import FEE, TAX_PERCENT, USAGE, fill, round_half_up
from billing.cycles import run
from billing.database import Connection, Pool, connect
from billing.invoices import numbers
from billing.services.register import cancel
from migrations import runner
from ratewire.embedded.servers import EmbeddedServers
from ratewire.wiring import now

SCHEDULERS = 2


async def schedule(url: str, due: datetime) -> None:
    """Be a scheduler: bill what is due."""
    async with await connect(url, size=3) as pool:
        await run.run(pool, at=due, actor="scheduler", now=due)


async def scheduler(url: str, due: datetime, lives: float | None) -> bool:
    """Start a scheduler, and kill it after so many seconds; return whether it was killed."""
    program = [sys.executable, "-m", "bench.billing_kills", "--schedule", url, due.isoformat()]
    process = await asyncio.create_subprocess_exec(*program)
    try:
        async with asyncio.timeout(lives):
            status = await process.wait()
    except TimeoutError:
        process.send_signal(signal.SIGKILL)
        await process.wait()
        return True
    if status:
        sys.exit(f"a scheduler ended with status {status}")
    return False


async def killed(url: str, due: datetime, kills: int, chance: random.Random) -> int:
    """Bill until all is billed, killing so many schedulers; return how many were."""
    done = 0

    async def lane() -> None:
        nonlocal done
        while True:
            lives = chance.uniform(0.8, 2.5) if done < kills else None
            if not await scheduler(url, due, lives):
                return
            done += 1

    await asyncio.gather(*(lane() for _ in range(SCHEDULERS)))
    return done


async def cancel_some(pool: Pool, due: datetime, chance: random.Random) -> int:
    """Cancel every tenth service for the day of the run; return how many that were."""
    async with pool.acquire() as conn:
        services = [row[0] for row in await conn.fetch("SELECT service_id FROM services")]
        chosen = chance.sample(services, len(services) // 10)
        for service in chosen:
            await cancel(conn, service, reason="moved", actor="bench", now=due)
        return len(chosen)


async def faults(conn: Connection, accounts: int, ended: int, again: run.RunView) -> list[str]:
    """Return what is not as it must be."""
    going = (accounts - ended) * round_half_up((FEE + USAGE) * (100 + TAX_PERCENT), 100)
    gone = ended * round_half_up(USAGE * (100 + TAX_PERCENT), 100)
    row = await conn.fetchrow(
        "SELECT"
        " (SELECT count(*) FROM invoices WHERE status = 'draft') AS drafts,"
        " (SELECT count(*) FROM billing_cycles) AS cycles,"
        " (SELECT count(*) FROM charge_shares WHERE invoice_id IS NOT NULL) AS shares,"
        " (SELECT count(*) FROM billed_days) AS days,"
        " (SELECT sum(total_micros - credited_micros) FROM invoices) AS asked,"
        " (SELECT sum(amount_micros) FROM ledger_postings) AS ledger,"
        " (SELECT sum(amount_micros) FROM ledger_postings WHERE ledger = 21) AS receivable,"
        " (SELECT sum(total_micros - paid_micros - offset_micros) FROM invoices) AS left_micros,"
        " (SELECT count(*) FROM account_parkings) AS parked"
    )
    assert row is not None
    must = {
        "drafts": 0,
        "cycles": accounts,
        "shares": accounts,
        "days": accounts - ended,
        "asked": going + gone,
        "ledger": 0,
        "receivable": row["left_micros"],
        "parked": 0,
    }
    found = [f"{what}: {row[what]}, not {much}" for what, much in must.items() if row[what] != much]
    found += [f"{each}: numbers lost" for each in await numbers.list_(conn) if each.missing]
    if again.bills:
        found.append(f"a further run made {again.bills} bills")
    return found


async def measure(url: str, options: argparse.Namespace) -> dict[str, Any]:
    """Fill, bill under fire, compare."""
    chance = random.Random(options.seed)
    async with await connect(url, size=3) as pool:
        async with pool.acquire() as conn:
            await conn.execute("SET statement_timeout = '600s'")
            due = await fill(conn, options.accounts, now())
            await conn.execute("UPDATE billing_schedules SET needs_approval = false")
        began = time.perf_counter()
        kills, ended = await asyncio.gather(
            killed(url, due, options.kills, chance), cancel_some(pool, due, chance)
        )
        seconds = time.perf_counter() - began
        # Whoever was billed before its service ended is billed once more, for the difference.
        await run.run(pool, at=due, actor="bench", now=due)
        again = await run.run(pool, at=due, actor="bench", now=due)
        async with pool.acquire() as conn:
            found = await faults(conn, options.accounts, ended, again)
            runs = await conn.fetchval("SELECT count(*) FROM billing_runs")
    return {
        "accounts": options.accounts,
        "services_ended_meanwhile": ended,
        "schedulers_killed": kills,
        "runs": runs,
        "seconds": round(seconds, 1),
        "load_average": os.getloadavg()[0],
        "faults": found,
    }


async def main(options: argparse.Namespace) -> None:
    """Start Postgres, measure, print."""
    if options.schedule:
        url, due = options.schedule
        await schedule(url, datetime.fromisoformat(due).astimezone(UTC))
        return
    with tempfile.TemporaryDirectory(prefix="ratewire-bench-", dir="/tmp") as directory:
        place = Path(directory)
        place.chmod(0o711)
        async with EmbeddedServers.use(place / "data", want_store=False) as servers:
            await runner.migrate(servers.database_url)
            figures = await measure(servers.database_url, options)
    json.dump(figures, sys.stdout, indent=2)
    print()
    if figures["faults"]:
        sys.exit("the books are not as they must be")


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--accounts", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--schedule", nargs=2, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(main(arguments()))
