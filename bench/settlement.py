"""What settlement costs: records through a real stream into a real Postgres.

    python -m bench.settlement [--records N] [--accounts N] [--sessions-per-commit N] [--batch N]

The stream is filled first, as commits fill it (one entry a commit, a charge sequence an item), with
the usage of sessions that report in turn; one record in fifty opens or closes a session. Then the
settler empties it, and only that is measured: the processor time of this process (reading the
stream, decoding, packing, sending), that of the Postgres backend it talks to, and that of all
Postgres processes together. At the end the books are compared: what was fed, what the usage records
say, and what was posted must be equal to the micro.

Prints one JSON object. The servers are embedded ones in a directory of their own, and durable as
they are shipped.
"""

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from balances import entries
from balances.connection import Connection
from balances.entries import Closed, Opened, Used
from balances.housekeeping import StreamAndBooks
from billing.database import Pool, connect
from billing.settlement.consumer import Settler
from migrations import runner
from ratewire.embedded.servers import EmbeddedServers
from rating.quantity import NOTHING, Counters

_EVENT = 1_790_000_000
_IDENTITY = msgspec.Raw(msgspec.msgpack.encode(("pop1", "pop1/10.0.0.1", "10.0.0.1")))
_STEP = Counters(300, 10_000_000, 90_000_000)
_CHARGE = 200_000


class Fed(msgspec.Struct):
    """What was put into the stream."""

    records: int = 0
    items: int = 0
    commits: int = 0
    charged_micros: int = 0


class _Session(msgspec.Struct):
    number: int
    uid: bytes
    account: str
    reports: int = 0


class _Fleet:
    """Sessions that report in turn; one report in a hundred is the last, and the next begins."""

    def __init__(self, accounts: int) -> None:
        self._accounts = accounts
        self._chance = random.Random(1)
        self._sequences = [0] * accounts
        self._sessions = [self._begin(n) for n in range(accounts)]
        self._next = 0
        self._numbers = accounts

    def _begin(self, number: int) -> _Session:
        account = f"acc-{number % self._accounts:07d}"
        return _Session(number, self._chance.randbytes(16), account)

    def _item(self, session: _Session, entry: entries.Entry) -> tuple[bytes, bytes]:
        at = session.number % self._accounts
        self._sequences[at] += 1
        return str(self._sequences[at]).encode(), entries.encode(entry)

    def commit(self, sessions: int, fed: Fed) -> list[tuple[bytes, bytes]]:
        """Return the items of one commit of so many sessions."""
        items: list[tuple[bytes, bytes]] = []
        for _ in range(sessions):
            self._next = (self._next + 1) % len(self._sessions)
            session = self._sessions[self._next]
            items += self._report(session)
            fed.records += 1
            fed.charged_micros += _CHARGE
        fed.items += len(items)
        fed.commits += 1
        return items

    def _report(self, session: _Session) -> Iterator[tuple[bytes, bytes]]:
        now_ms = _EVENT * 1000
        if not session.reports:
            yield self._item(session, self._opened(session, now_ms))
        session.reports += 1
        used = Counters(*(each * session.reports for each in msgspec.structs.astuple(_STEP)))
        total = _CHARGE * session.reports
        event = _EVENT + 300 * session.reports
        yield self._item(
            session,
            Used(
                session.uid, session.account, now_ms, 3, event, _STEP, used, _CHARGE, total,
                "metered", 1, "EUR",
            ),
        )  # fmt: skip
        if self._chance.random() < 0.01:
            yield self._item(
                session,
                Closed(session.uid, session.account, now_ms, "stop", 1, event, used, total),
            )
            self._numbers += 1
            self._sessions[self._next] = self._begin(session.number)

    def _opened(self, session: _Session, now_ms: int) -> Opened:
        return Opened(
            session.uid, session.account, now_ms, f"pop1/10.0.0.1|{session.number:08x}",
            "pop1/10.0.0.1", f"{session.number:08x}", 0, session.account, "metered", 1, "EUR",
            _EVENT, NOTHING, _IDENTITY,
        )  # fmt: skip


async def feed(connection: Connection, fleet: _Fleet, records: int, per_commit: int) -> Fed:
    """Fill the stream with so many records, as commits do; return what was fed."""
    fed = Fed()
    first = int(await connection.command("HGET", f"{connection.prefix}:meta", "sequence"))
    while fed.records < records:
        flat = [part for item in fleet.commit(per_commit, fed) for part in item]
        sequence = first + fed.commits
        await connection.command("XADD", f"{connection.prefix}:settle", f"1-{sequence}", *flat)
        await connection.command("HSET", f"{connection.prefix}:meta", "sequence", sequence)
    return fed


def _processor_s(pid: int) -> float:
    """The processor time of a process so far, in seconds; 0 if it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _siblings(pid: int) -> list[int]:
    """The processes of the Postgres server that the backend `pid` belongs to."""
    parents: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        parents[int(path.parent.name)] = int(fields[1])
    return [each for each, parent in parents.items() if parent == parents[pid]]


async def measure(
    pool: Pool, connection: Connection, options: argparse.Namespace
) -> dict[str, object]:
    """Feed, settle, and return the figures. Raises AssertionError if the books do not agree."""
    stream = StreamAndBooks(connection)
    settler = Settler(pool, stream, stream)
    assert await settler.settle_once(1) == 0
    async with pool.acquire() as conn:
        await conn.execute(
            "INSERT INTO customer_billing_accounts (account_id, currency, payment_mode, created_at)"
            " SELECT 'acc-' || lpad(n::text, 7, '0'), 'EUR', 'prepaid', $2"
            " FROM generate_series(0, $1::integer - 1) AS n",
            options.accounts,
            datetime.fromtimestamp(_EVENT, UTC),
        )
        await conn.execute("ANALYZE")
        backend = await conn.fetchval("SELECT pg_backend_pid()")
    fleet = _Fleet(options.accounts)
    await feed(connection, fleet, options.accounts, options.sessions_per_commit)  # all are open
    entries_a_batch = max(1, options.batch // options.sessions_per_commit)
    while await settler.settle_once(entries_a_batch):
        pass
    before = await _settled(pool)
    fed = await feed(connection, fleet, options.records, options.sessions_per_commit)

    pids = _siblings(backend)
    ours, theirs, all_theirs = (
        time.process_time(),
        _processor_s(backend),
        sum(map(_processor_s, pids)),
    )
    batches = settler.counts.batches
    began = time.perf_counter()
    while await settler.settle_once(entries_a_batch):
        pass
    elapsed = time.perf_counter() - began
    ours = time.process_time() - ours
    theirs = _processor_s(backend) - theirs
    all_theirs = sum(map(_processor_s, pids)) - all_theirs

    after = await _settled(pool)
    charged = tuple(now - then for now, then in zip(after, before, strict=True))
    expected = (fed.charged_micros,) * 3
    assert charged == expected, f"fed {expected}, settled {charged}"
    assert settler.counts.parked == 0
    micros = 1e6 / fed.records
    return {
        "records": fed.records,
        "items": fed.items,
        "accounts": options.accounts,
        "records_per_batch": round(fed.records / (settler.counts.batches - batches)),
        "python_us_per_record": round(ours * micros, 2),
        "postgres_us_per_record": round(theirs * micros, 2),
        "postgres_all_us_per_record": round(all_theirs * micros, 2),
        "wall_us_per_record": round(elapsed * micros, 2),
        "records_per_s": round(fed.records / elapsed),
        "charged_micros": fed.charged_micros,
        "conserved": True,
    }


async def _settled(pool: Pool) -> tuple[int, int, int]:
    """Charges so far by the usage records, by the customers' postings, and by the revenue."""
    async with pool.acquire() as conn:
        recorded = await conn.fetchval(
            "SELECT coalesce(sum(charged_micros), 0)::bigint FROM usage_records"
        )
        customers = await conn.fetchval(
            "SELECT coalesce(sum(amount_micros), 0)::bigint FROM ledger_postings WHERE ledger = 20"
        )
        revenue = await conn.fetchval(
            "SELECT coalesce(-sum(amount_micros), 0)::bigint FROM ledger_postings WHERE ledger = 30"
        )
    return recorded, customers, revenue


async def main(options: argparse.Namespace) -> None:
    """Start the servers, measure, print."""
    with tempfile.TemporaryDirectory(prefix="ratewire-bench-", dir="/tmp") as directory:
        place = Path(directory)
        place.chmod(0o711)
        async with EmbeddedServers.use(place / "data") as servers:
            await runner.migrate(servers.database_url)
            connection = Connection(servers.store_url, timeout_ms=20_000)
            async with await connect(servers.database_url, size=1) as pool:
                figures = await measure(pool, connection, options)
            await connection.close()
    json.dump(figures, sys.stdout, indent=2)
    print()


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--accounts", type=int, default=20_000)
    parser.add_argument("--sessions-per-commit", type=int, default=200)
    parser.add_argument("--batch", type=int, default=4_000, help="records of a transaction")
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(main(arguments()))
