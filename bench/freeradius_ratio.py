"""Ratewire beside FreeRADIUS + rlm_sql + PostgreSQL: durable accounting under the same generator.

    python -m bench.freeradius_ratio [--sessions N] [--seconds N]

Debian's FreeRADIUS with its own schema and queries (bench/freeradius/radiusd.conf: 8 threads, 8
connections, nothing but accounting) writes to the very Postgres that Ratewire embeds, with the same
settings (fsync, synchronous_commit). bench.load drives it at several numbers of outstanding
requests, and then Ratewire; each is given its best. Both end with what was acknowledged being in
the database to the octet. FreeRADIUS stores the counters; Ratewire rates, reserves, charges and
settles them as well.
"""

import argparse
import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg

from bench.machine import machine
from bench.main_job import SECRET, free_port
from ratewire.embedded.servers import EmbeddedServers

RADDB = Path("/etc/freeradius/3.0")
CONFIG = Path(__file__).parent / "freeradius"
#: Sockets and window: 32 requests outstanding is FreeRADIUS's best, 512 is Ratewire's.
OUTSTANDING = ((4, 8), (8, 16), (8, 64))


def missing() -> str | None:
    """Return why FreeRADIUS cannot be measured here; None if it can."""
    if shutil.which("freeradius") is None:
        return "freeradius is not installed (Debian: freeradius, freeradius-postgresql)"
    if not (RADDB / "mods-config/sql/main/postgresql/queries.conf").is_file():
        return "freeradius's PostgreSQL queries are not installed (freeradius-postgresql)"
    return None


def environment(directory: Path, database_url: str, port: int) -> dict[str, str]:
    """Return what radiusd.conf takes from its environment."""
    parts = urlsplit(database_url)
    query = parse_qs(parts.query)
    user, database = parts.username or "", parts.path.removeprefix("/")
    words = [f"host={query['host'][0]}", f"port={query['port'][0]}", f"user={user}"]
    return {
        **os.environ,
        "BENCH_DIR": str(directory),
        "BENCH_LIBDIR": "/usr/lib/freeradius",
        "BENCH_SECRET": SECRET,
        "BENCH_PORT": str(port),
        "BENCH_DATABASE": " ".join([*words, f"dbname={database}"]),
        "BENCH_QUERIES": str(RADDB / "mods-config/sql/main/postgresql/queries.conf"),
        "BENCH_POLICY": str(RADDB / "policy.d/accounting"),
    }


def load(port: int, options: argparse.Namespace, sockets: int, window: int) -> dict[str, Any]:
    """Drive the accounting server at a port."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "bench.load", "--secret", SECRET, "--port", str(port)),
            *("--sessions", str(options.sessions), "--seconds", str(options.seconds)),
            *("--sockets", str(sockets), "--window", str(window)),
        ],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return json.loads(done.stdout)


def wait_listening(process: subprocess.Popen[bytes], port: int) -> None:
    """Return once the server has bound its port."""
    wanted = f":{port:04X}"
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"freeradius ended with {process.returncode}")
        if any(wanted in line for line in Path("/proc/net/udp").read_text().splitlines()):
            return
        time.sleep(0.1)
    raise TimeoutError("freeradius does not listen")


async def freeradius(options: argparse.Namespace, sockets: int, window: int) -> dict[str, Any]:
    """Measure FreeRADIUS at a number of outstanding requests, on a database of its own."""
    with tempfile.TemporaryDirectory(prefix="ratewire-bench-", dir="/tmp") as name:
        directory = Path(name)
        directory.chmod(0o755)
        async with EmbeddedServers.use(directory, want_store=False) as servers:
            connection = await asyncpg.connect(servers.database_url)
            schema = RADDB / "mods-config/sql/main/postgresql/schema.sql"
            await connection.execute(schema.read_text(encoding="utf-8"))
            port = free_port(socket.SOCK_DGRAM)
            shutil.copy(CONFIG / "radiusd.conf", directory / "radiusd.conf")
            process = subprocess.Popen(
                ["freeradius", "-f", "-d", str(directory), "-D", "/usr/share/freeradius"],
                env=environment(directory, servers.database_url, port),
                stdout=subprocess.DEVNULL,
            )
            try:
                wait_listening(process, port)
                sent = await asyncio.to_thread(load, port, options, sockets, window)
            finally:
                process.terminate()
                process.wait(20)
            stored = await connection.fetchrow(
                "SELECT sum(acctinputoctets)::bigint, sum(acctoutputoctets)::bigint FROM radacct"
            )
            await connection.close()
    assert stored is not None
    found, expected = tuple(stored), (sent["octets_in"], sent["octets_out"])
    assert found == expected, f"acknowledged {expected}, in radacct {found}"
    return {"outstanding": sockets * window, **sent["full"], "half": sent["half"]}


def ratewire(options: argparse.Namespace, sockets: int, window: int) -> dict[str, Any]:
    """Measure Ratewire's main job at a number of outstanding requests."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "bench.main_job", "--workers", str(options.workers)),
            *("--sessions", str(options.sessions), "--seconds", str(options.seconds)),
            *("--sockets", str(sockets), "--window", str(window)),
        ],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    result = json.loads(done.stdout)
    return {"outstanding": sockets * window, **result["full"], "half": result["half"]}


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Measure both at every number of outstanding requests, one after the other."""
    theirs: list[dict[str, Any]] = []
    ours: list[dict[str, Any]] = []
    for sockets, window in OUTSTANDING:
        print(f"{sockets * window} outstanding", file=sys.stderr, flush=True)
        theirs.append(await freeradius(options, sockets, window))
        ours.append(await asyncio.to_thread(ratewire, options, sockets, window))
    best = [max(each["records_per_second"] for each in side) for side in (ours, theirs)]
    return {
        "machine": machine(),
        "freeradius": theirs,
        "ratewire": ours,
        "best_records_per_second": {"ratewire": best[0], "freeradius": best[1]},
        "ratio": round(best[0] / best[1], 2),
    }


def main() -> None:
    """Run from the command line; print the result as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    why = missing()
    if why is not None:
        print(f"skipped: {why}", file=sys.stderr)
        return
    print(json.dumps(asyncio.run(measure(options)), indent=2))


if __name__ == "__main__":
    main()
