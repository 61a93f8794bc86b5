"""What a monthly billing run costs, end to end, and what dunning does.

    python -m bench.billing_run [--accounts N]

Each postpaid account has a service with a recurring fee, and a session whose usage was settled. The
run bills them all: what is due is proposed, compared with what was billed, and put on a draft with
the usage and tax; the drafts are then approved: finalized under gapless numbers, and booked in the
ledger. (Without review a run finalizes each chunk itself; here the two are told apart.) Then all
invoices are overdue, and every account is looked at by dunning: once when its process begins, and
once when nothing is to be done. The pure decision is timed by itself.

At the end the books are compared: one invoice an account, numbers without a gap, the ledger sums to
zero, and what is invoiced is the fees and the usage with their tax, to the micro; and a second run
bills nothing. Prints one JSON object. Postgres is an embedded one, durable as it is shipped.
"""

import argparse
import asyncio
import json
import os
import resource
import sys
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from bench.machine import machine
from billing.cycles import run
from billing.cycles.drafting import approve
from billing.database import Connection, connect
from billing.dunning import campaigns, processes
from billing.dunning.campaign import Action, Campaign, Step
from billing.dunning.decision import Debt, Process, decide
from billing.entities import register as entities
from billing.entities.entity import Address, Entity
from billing.offers import register as offers
from billing.offers.offer import Offer, RecurringCharge
from billing.partitions.ensure import ensure
from billing.taxes import rates
from billing.taxes.rate import TaxRate
from migrations import runner
from ratewire.embedded.servers import EmbeddedServers
from ratewire.wiring import now

FEE, USAGE = 29_900_000, 1_230_000
TAX_PERCENT = 19
CAMPAIGN = Campaign(
    name="bench",
    steps=(
        Step(3, Action.REMIND),
        Step(14, Action.REMIND),
        Step(60, Action.SUSPEND),
        Step(90, Action.TERMINATE),
    ),
)

# Accounts with a service that was billed up to this month, and a settled session.
_FILL = """
WITH made AS (
    INSERT INTO customer_billing_accounts
        (account_id, currency, payment_mode, credit_limit_micros, created_at)
    SELECT 'acc-' || lpad(n::text, 7, '0'), 'EUR', 'postpaid', NULL, $2
    FROM generate_series(1, $1::integer) AS n RETURNING account_id
), served AS (
    INSERT INTO services (account_id, description, ordered_offer, ordered_quantity,
        activates_by_use, created_at)
    SELECT account_id, 'Internet', 'home', 1, false, $2 FROM made
    RETURNING service_id, account_id
), termed AS (
    INSERT INTO service_terms (service_id, starts_on, offer, offer_version, quantity)
    SELECT service_id, $6::date, 'home', 1, 1 FROM served
), scheduled AS (
    INSERT INTO billing_schedules
        (account_id, calendar, alignment, billed_until, next_bill_on, next_bill_at, needs_approval)
    SELECT account_id, $4::jsonb, 'calendar', $3::date, $6::date, $6::date, true FROM made
), opened AS (
    INSERT INTO accounting_sessions (session_uid, session_key, nas, acct_session_id, epoch,
        username, account_id, plan, plan_version, currency, started_at, opened_at, base_seconds,
        base_octets_in, base_octets_out, identity)
    SELECT gen_random_uuid(), 'n|' || account_id, 'n', account_id, 0, account_id, account_id,
        'metered', 1, 'EUR', $2, $2, 0, 0, 0, '' FROM made
    RETURNING session_uid, account_id
), used AS (
    INSERT INTO usage_records (settled_at, session_uid, account_id, charge_sequence, event_at, kind,
        plan_version, seconds, octets_in, octets_out, used_seconds, used_octets_in,
        used_octets_out, charged_micros, total_micros)
    SELECT $2, session_uid, account_id, 1, $2, 3, 1, 3600, 1000000, 9000000, 3600, 1000000,
        9000000, $5, $5 FROM opened
), entry AS (
    INSERT INTO billing_transactions (posted_at, kind, description, actor)
    VALUES ($2, 'usage', 'usage', 'bench') RETURNING transaction_id
)
INSERT INTO ledger_postings (transaction_id, posted_at, ledger, account_id, currency, amount_micros)
SELECT transaction_id, $2, 22, account_id, 'EUR', $5 FROM entry, made
UNION ALL
SELECT transaction_id, $2, 30, NULL, 'EUR', -$5 * $1 FROM entry
"""


class Moment(NamedTuple):
    """When something began, and the processor time that this process had used."""

    wall: float
    processor: float

    @classmethod
    def now(cls) -> "Moment":
        """Return this moment."""
        return cls(time.perf_counter(), time.process_time())

    def since(self, number: int) -> dict[str, float]:
        """Return what so many took since."""
        wall, processor = time.perf_counter() - self.wall, time.process_time() - self.processor
        return {
            "seconds": round(wall, 1),
            "per_second": round(number / wall),
            "python_us_each": round(1e6 * processor / number),
        }


async def fill(conn: Connection, accounts: int, begun: datetime) -> datetime:
    """Make the accounts; return when their bills are due."""
    await ensure(conn, begun, 6)
    await entities.put(
        conn,
        Entity(
            name="Bench Internet",
            address=Address("Hafenstr. 12", "Hamburg", "20457", "DE"),
            jurisdiction="DE",
            tax_id="DE123456788",
        ),
        begun,
    )
    await rates.put(
        conn,
        [
            TaxRate("DE", "standard", "USt", date(2021, 1, 1), TAX_PERCENT * 10_000),
            TaxRate("DE", "reduced", "USt", date(2021, 1, 1), 70_000),
        ],
        begun,
    )
    fee = RecurringCharge(code="access", description="Internet access", amount_micros=FEE)
    await offers.load_offers(
        conn, [Offer(name="home", version=1, currency="EUR", recurring=(fee,))], begun
    )
    first = begun.date().replace(day=1)
    due = (first + timedelta(days=32)).replace(day=1)
    calendar = {
        "changes": [{"since": str(first), "cycle": {"unit": "month", "day": 1, "month": 1}}]
    }
    await conn.execute(_FILL, accounts, begun, first, json.dumps(calendar), USAGE, due, timeout=600)
    await conn.execute("ANALYZE")
    return datetime(due.year, due.month, due.day, tzinfo=UTC)


async def measure(url: str, options: argparse.Namespace) -> dict[str, Any]:
    """Bill, dun, and compare."""
    async with await connect(url, size=4) as pool:
        async with pool.acquire() as conn:
            await conn.execute("SET statement_timeout = '600s'")
            due = await fill(conn, options.accounts, now())
        before = _peak_mib()
        began = Moment.now()
        done = await run.run(pool, at=due, actor="bench", now=due)
        drafted = began.since(done.bills)
        began = Moment.now()
        async with pool.acquire() as conn:
            final = await approve(conn, done.run, actor="bench", now=due)
        finalized = began.since(final.finalized)
        peak = _peak_mib()
        again = await run.run(pool, at=due, actor="bench", now=due)
        async with pool.acquire() as conn:
            exact = await compare(conn, options.accounts, done, again)
            await campaigns.put(conn, CAMPAIGN, default=True, now=due)
        late = due + timedelta(days=40)
        looks: list[float] = []
        for _ in range(2):
            began = time.perf_counter()
            await processes.look_at_all(pool, late)
            looks.append(time.perf_counter() - began)
        return {
            "machine": machine(),
            "accounts": options.accounts,
            "bills": done.bills,
            "load_average": os.getloadavg()[0],
            "drafting": drafted,
            "finalizing": finalized,
            "peak_memory_mib": peak,
            "memory_before_the_run_mib": before,
            "dunning": {
                "begun_per_second": round(options.accounts / looks[0]),
                "looked_at_per_second": round(options.accounts / looks[1]),
                "pure_decisions_per_second": decisions_per_second(late),
            },
            "exact": exact,
        }


async def compare(conn: Connection, accounts: int, done: run.RunView, again: run.RunView) -> bool:
    """Whether the books are as they must be, to the micro."""
    row = await conn.fetchrow(
        "SELECT count(*) AS invoices, count(DISTINCT account_id) AS accounts,"
        " max(series_number) - min(series_number) + 1 AS numbers, sum(net_micros) AS net,"
        " sum(tax_micros) AS tax FROM invoices WHERE status = 'open'"
    )
    assert row is not None
    net = FEE + USAGE
    tax = round_half_up(net * TAX_PERCENT, 100)
    ledger = await conn.fetchval("SELECT sum(amount_micros) FROM ledger_postings")
    return (
        row["invoices"] == row["accounts"] == row["numbers"] == done.accounts_due == accounts
        and row["net"] == accounts * net
        and row["tax"] == accounts * tax
        and ledger == 0
        and again.bills == 0
        and done.parked == 0
    )


def round_half_up(numerator: int, denominator: int) -> int:
    """Return a positive amount in whole cents, in micros."""
    cents = (2 * numerator + denominator * 10_000) // (2 * denominator * 10_000)
    return cents * 10_000


def decisions_per_second(late: datetime) -> int:
    """How many decisions a second the pure function makes."""
    debt = Debt("EUR", 30_000_000, late.date() - timedelta(days=26))
    process = Process(debt.oldest_due)
    local = late.replace(tzinfo=None)
    began = time.perf_counter()
    number = 20_000
    for _ in range(number):
        decide(CAMPAIGN, process, debt, local)
    return round(number / (time.perf_counter() - began))


def _peak_mib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


async def main(options: argparse.Namespace) -> None:
    """Start Postgres, measure, print."""
    with tempfile.TemporaryDirectory(prefix="ratewire-bench-", dir="/tmp") as directory:
        place = Path(directory)
        place.chmod(0o711)
        async with EmbeddedServers.use(place / "data", want_store=False) as servers:
            await runner.migrate(servers.database_url)
            figures = await measure(servers.database_url, options)
    json.dump(figures, sys.stdout, indent=2)
    print()
    if not figures["exact"]:
        sys.exit("the books are not as they must be")


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--accounts", type=int, default=100_000)
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(main(arguments()))
