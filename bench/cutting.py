"""From the record that exhausts the credit to the Disconnect-Request on the wire.

    python -m bench.cutting [--sessions 10000] [--cuts 600] [--workers 2]

The main job as of bench.main_job runs at half of what it can. Beside it a NAS of this process, with
real sockets, opens sessions of accounts that hold little, and then reports of each, some a second,
more than there is. Timed is from sending that record until the Disconnect-Request arrives at the
NAS's CoA port, by the kernel's time stamps; once without the load and once with it. The NAS obeys,
its Stops prove it, and the conservation check covers all of it. See bench/README.md.
"""

import argparse
import asyncio
import json
import os
import selectors
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bench.load import ACCOUNT, OCTETS_IN, OCTETS_OUT, RETRANSMIT_S, USER, Template
from bench.machine import machine
from bench.main_job import (
    SECRET,
    Serving,
    conserve,
    drive,
    environment,
    free_port,
    load_command,
    set_up,
    shape,
    wait_settled,
)
from bench.scale import connected
from billing.nas import register as nas
from billing.subscribers.bulk_import import import_csv
from config.load import load
from radius.packet import Code
from radius.requests import dynamic_reply, read_dynamic_request
from ratewire import logs
from ratewire.wiring import System, now

#: The NAS that cuts, and the first number of its users (the load's are below).
HOST: Final = "127.0.0.2"
FIRST: Final = 9_000_000

#: What its accounts hold, and how many intervals' usage is reported of each at once: 30 MB at
#: EUR 2.00 a gigabyte is EUR 0.06.
CREDIT: Final = "0.05"
REPORTS: Final = 30

#: In the end, for the last Disconnect-Requests and answers.
PATIENCE_S: Final = 20.0

_START, _STOP, _INTERIM = 1, 2, 3
_SO_TIMESTAMPNS = 35  # asm-generic/socket.h; the socket module does not name it
_TIMESPEC = struct.Struct("@qq")


@dataclass
class Cut:
    """One session: when its exhausting record was sent, answered, and the request to cut came.

    Unix nanoseconds, by this machine's clock.
    """

    sent: int
    answered: int | None = None
    told: int | None = None
    stopped: bool = False


@dataclass
class Seen:
    """What came of a number of sessions."""

    cuts: dict[int, Cut] = field(default_factory=dict[int, Cut])
    repeated: int = 0
    retransmitted: int = 0


class EdgeNas:
    """A NAS on real sockets that reports, and cuts as it is told."""

    def __init__(self, server: tuple[str, int], coa_port: int) -> None:
        self._secret = SECRET.encode()
        self._template = Template(self._secret, "edge")
        self._started = int(time.time()) - 86_400
        self._selector = selectors.DefaultSelector()
        self._accounting = self._socket(0)
        self._accounting.connect(server)
        self._coa = self._socket(coa_port)
        #: identifier -> when to send again (monotonic), octets, session number, Acct-Status-Type
        self._waiting: dict[int, tuple[float, bytes, int, int]] = {}
        self._identifier = 0
        self.seen = Seen()

    def _socket(self, port: int) -> socket.socket:
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        made.bind((HOST, port))
        made.setblocking(False)
        self._selector.register(made, selectors.EVENT_READ)
        return made

    def close(self) -> None:
        """Close the sockets."""
        self._selector.close()
        self._accounting.close()
        self._coa.close()

    def open_sessions(self, numbers: Sequence[int]) -> None:
        """Send the Starts, and return once all are answered."""
        for number in numbers:
            self._report(number, _START, 0)
            self._work(0.005)
        self._finish(lambda: not self._waiting)

    def exhaust(self, numbers: Sequence[int], rate: float) -> Seen:
        """Use up the credit of sessions that are open, so many a second; return what was seen."""
        self.seen = seen = Seen()
        began = time.monotonic()
        for at, number in enumerate(numbers):
            while (pause := began + at / rate - time.monotonic()) > 0:
                self._work(pause)
            seen.cuts[number] = Cut(time.time_ns())
            self._report(number, _INTERIM, REPORTS)
        self._finish(lambda: all(cut.stopped for cut in seen.cuts.values()))
        return seen

    def _finish(self, done: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE_S
        while not done():
            assert time.monotonic() < end, f"{len(self._waiting)} requests are not answered"
            self._work(0.01)

    def _report(self, number: int, status: int, reports: int) -> None:
        while self._identifier in self._waiting:
            self._identifier = (self._identifier + 1) % 256
        identifier = self._identifier
        self._identifier = (identifier + 1) % 256
        octets = self._template.request(identifier, status, number, self._started, reports)
        self._send(identifier, octets, number, status)

    def _send(self, identifier: int, octets: bytes, number: int, status: int) -> None:
        again = time.monotonic() + RETRANSMIT_S
        self._waiting[identifier] = (again, octets, number, status)
        self._accounting.send(octets)

    def _work(self, seconds: float) -> None:
        """Take what comes within so many seconds, or until something has come."""
        for key, _ in self._selector.select(seconds):
            take = self._take_answer if key.fileobj is self._accounting else self._take_request
            with suppress(BlockingIOError):
                while True:
                    take(*_received(key.fileobj))  # pyright: ignore[reportArgumentType]
        for identifier, (again, octets, number, status) in list(self._waiting.items()):
            if time.monotonic() >= again:
                self.seen.retransmitted += 1
                self._send(identifier, octets, number, status)

    def _take_answer(self, octets: bytes, at: int, _peer: Any) -> None:
        waiting = self._waiting.pop(octets[1], None)
        if waiting is None or octets[0] != Code.ACCOUNTING_RESPONSE:
            return
        _, _, number, status = waiting
        cut = self.seen.cuts.get(number)
        if cut is not None and status == _INTERIM:
            cut.answered = at
        elif cut is not None and status == _STOP:
            cut.stopped = True

    def _take_request(self, octets: bytes, at: int, peer: Any) -> None:
        request = read_dynamic_request(octets, secret=self._secret)
        assert request is not None, "it is not genuine"
        [session] = request.attributes["Acct-Session-Id"]
        number = int(session, 16)
        cut = self.seen.cuts[number]
        self._coa.sendto(dynamic_reply(octets, secret=self._secret, ack=True), peer)
        if cut.told is not None:
            self.seen.repeated += 1
            return
        cut.told = at
        self._report(number, _STOP, REPORTS)


def _received(source: socket.socket) -> tuple[bytes, int, Any]:
    """Return a datagram, when the kernel had it (Unix ns), and who sent it."""
    octets, ancillary, _, peer = source.recvmsg(4096, 64)
    [stamp] = [data for level, _, data in ancillary if level == socket.SOL_SOCKET]
    seconds, nanoseconds = _TIMESPEC.unpack(stamp)
    return octets, seconds * 1_000_000_000 + nanoseconds, peer


def spread_ms(times_ns: Sequence[int]) -> dict[str, float]:
    """Return the median, the 99th percentile and the greatest of some times, in milliseconds."""
    ordered = sorted(times_ns)
    at = {"p50": len(ordered) // 2, "p99": int(len(ordered) * 0.99), "max": len(ordered) - 1}
    return {name: round(ordered[index] / 1e6, 2) for name, index in at.items()}


def summary(seen: Seen) -> dict[str, Any]:
    """Return how long it took from the record to its answer and to the Disconnect-Request."""
    cuts = list(seen.cuts.values())
    answers = [cut.answered - cut.sent for cut in cuts if cut.answered is not None]
    told = [cut.told - cut.sent for cut in cuts if cut.told is not None]
    return {
        "cuts": len(told),
        "record_to_answer_ms": spread_ms(answers),
        "record_to_disconnect_request_ms": spread_ms(told),
        "requests_repeated": seen.repeated,
        "records_retransmitted": seen.retransmitted,
    }


async def open_accounts(system: System, cuts: int, coa_port: int) -> None:
    """Register the NAS, and accounts that hold little."""
    async with (await system.pool()).acquire() as conn:
        await nas.add(
            conn, system.keyring, "edge", source=f"{HOST}/32", secret=SECRET.encode(),
            coa_port=coa_port, now=now(),
        )  # fmt: skip
        header = "username,account,plan,currency,topup"
        numbers = range(FIRST, FIRST + cuts)
        rows = (f"{USER.format(n)},{ACCOUNT.format(n)},metered,EUR,{CREDIT}" for n in numbers)
        await import_csv(conn, system.keyring, [header, *rows], actor="bench", now=now())
    relay = await system.relay()
    await relay.publish()
    await relay.drain()


async def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run it."""
    with tempfile.TemporaryDirectory(prefix="ratewire-cut-", dir=arguments.directory) as name:
        directory = Path(name)
        directory.chmod(0o755)
        env = environment(directory)
        async with connected(load(None, {**os.environ, **env})) as system:
            return await _measure(system, env, arguments)


async def _measure(
    system: System, env: dict[str, str], arguments: argparse.Namespace
) -> dict[str, Any]:
    coa_port = free_port(socket.SOCK_DGRAM)
    await set_up(system, arguments.sessions)
    await open_accounts(system, 2 * arguments.cuts, coa_port)
    serving = Serving(env, arguments.workers)
    edge = EdgeNas(("127.0.0.1", int(env["RATEWIRE_RADIUS__ACCT_PORT"])), coa_port)
    try:
        serving.wait_ready()
        alone = range(FIRST, FIRST + arguments.cuts)
        beside = range(alone.stop, alone.stop + arguments.cuts)
        options = shape(arguments) | {"sessions": arguments.sessions}
        full = await asyncio.to_thread(drive, env, **options, rate=0, times=1)
        await asyncio.to_thread(edge.open_sessions, [*alone, *beside])
        idle = await asyncio.to_thread(edge.exhaust, alone, arguments.rate)
        half = round(full["reported"] / arguments.seconds / 2)
        seconds = arguments.cuts / arguments.rate + 4
        more = {"seconds": seconds, "rate": half, "times": 1}
        more |= {"started": full["started"], "turns": full["turns"]}
        loading = subprocess.Popen(
            load_command(env, **options | more), stdout=subprocess.PIPE, text=True
        )
        await asyncio.sleep(2)
        busy = await asyncio.to_thread(edge.exhaust, beside, arguments.rate)
        told, _ = await asyncio.to_thread(loading.communicate)
        run, sums = map(json.loads, told.splitlines())
        await wait_settled(system)
        reports = REPORTS * 2 * arguments.cuts
        sent = {
            "octets_in": sums["octets_in"] + reports * OCTETS_IN,
            "octets_out": sums["octets_out"] + reports * OCTETS_OUT,
        }
        return {
            "workers": arguments.workers,
            "sessions": arguments.sessions,
            "cuts_per_second": arguments.rate,
            "without_load": summary(idle),
            "at_half_load": {"load": run} | summary(busy),
            "conservation": await conserve(system, sent),
        }
    finally:
        edge.close()
        serving.stop()


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("--workers", type=int, default=2)
    made.add_argument("--sessions", type=int, default=10_000)
    made.add_argument("--seconds", type=float, default=10, help="to find the full rate")
    made.add_argument("--cuts", type=int, default=600)
    made.add_argument("--rate", type=float, default=20, help="cuts a second")
    made.add_argument("--sockets", type=int, default=8)
    made.add_argument("--window", type=int, default=64)
    made.add_argument("--directory", default=None, help="where the data are (a real disk)")
    return made


def main() -> None:
    """Run from the command line; print the result as JSON."""
    arguments = parser().parse_args()
    logs.configure("warning", None, role="bench")  # standard output is for the result
    result = asyncio.run(measure(arguments))
    print(json.dumps({"machine": machine(), **result}, indent=2))


if __name__ == "__main__":
    main()
