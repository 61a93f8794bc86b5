"""A load of accounting over loopback: many sessions, a window of requests outstanding, counted.

Datagrams are made from one template (encoded by pyrad), patched and signed for each record, so that
the generator costs a few microseconds a record. A request without an answer is retransmitted as it
is, as a NAS does, however long that takes; an answer is one only to that very request. First as
fast as it is answered, then at half that rate, for the latency. What was acknowledged is summed,
for the conservation check.

    python -m bench.load --port 1813 --secret s --sessions 1000 --seconds 10
"""

import argparse
import hashlib
import json
import math
import selectors
import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from radius.packet import Code, verify_response
from radius.requests import accounting_request

USER = "u{:07d}"
ACCOUNT = "a{:07d}"
INTERVAL_S = 60
OCTETS_IN, OCTETS_OUT = 120_000, 880_000
RETRANSMIT_S = 2.0
_START, _STOP, _INTERIM = 1, 2, 3


class Template:
    """One Accounting-Request whose variable parts are overwritten in place."""

    def __init__(self, secret: bytes, nas: str) -> None:
        self._secret = secret
        sample = accounting_request(
            {
                "Acct-Status-Type": _INTERIM,
                "User-Name": USER.format(0),
                "Acct-Session-Id": f"{0:016x}",
                "NAS-Identifier": nas,
                "NAS-IP-Address": "127.0.0.1",
                "NAS-Port": 15728640,
                "NAS-Port-Type": 15,
                "NAS-Port-Id": "ether2-pppoe-clients",
                "Service-Type": 2,
                "Framed-Protocol": 1,
                "Framed-IP-Address": "10.0.0.1",
                "Calling-Station-Id": "00:11:22:33:44:55",
                "Called-Station-Id": "service-internet",
                "Acct-Authentic": 1,
                "Acct-Delay-Time": 0,
                "Acct-Session-Time": 0,
                "Acct-Input-Octets": 0,
                "Acct-Output-Octets": 0,
                "Acct-Input-Gigawords": 0,
                "Acct-Output-Gigawords": 0,
                "Acct-Input-Packets": 1000,
                "Acct-Output-Packets": 2000,
                "Event-Timestamp": int(time.time()),
                "Class": b"ratewire-load-generator-class-value",
            },
            secret=secret,
            identifier=0,
        )
        self._octets = bytearray(sample)
        at = self.offsets(sample)
        self._user, self._session = at[1], at[44]
        self._status, self._time = at[40], at[46]
        self._in, self._out, self._giga_in, self._giga_out = at[42], at[43], at[52], at[53]
        self._event = at[55]

    @staticmethod
    def offsets(octets: bytes) -> dict[int, int]:
        """Return where the value of each attribute begins."""
        at, offsets = 20, dict[int, int]()
        while at < len(octets):
            offsets[octets[at]] = at + 2
            at += octets[at + 1]
        return offsets

    def __len__(self) -> int:
        return len(self._octets)

    def request(
        self, identifier: int, status: int, number: int, started: int, reports: int, life: int = 0
    ) -> bytes:
        """Return the request that reports the so-manieth interval of a user's session.

        `life` counts the sessions that the user had before.
        """
        octets = self._octets
        seconds = reports * INTERVAL_S
        giga_in, low_in = divmod(reports * OCTETS_IN, 2**32)
        giga_out, low_out = divmod(reports * OCTETS_OUT, 2**32)
        octets[1] = identifier
        octets[self._user : self._user + 8] = b"u%07d" % number
        octets[self._session : self._session + 16] = b"%08x%08x" % (life, number)
        put = struct.pack_into
        put(">I", octets, self._status, status)
        put(">I", octets, self._time, seconds)
        put(">I", octets, self._in, low_in)
        put(">I", octets, self._out, low_out)
        put(">I", octets, self._giga_in, giga_in)
        put(">I", octets, self._giga_out, giga_out)
        put(">I", octets, self._event, started + seconds)
        octets[4:20] = bytes(16)
        octets[4:20] = hashlib.md5(octets + self._secret, usedforsecurity=False).digest()
        return bytes(octets)


#: First and last transmission, the octets, the session (number and life), reports.
Waiting = tuple[float, float, bytes, tuple[int, int], int]


@dataclass
class Lane:
    """One socket and the sessions that report over it, in turn: a NAS sends all that it says of a
    session from one port. Its free identifiers, and the requests that wait for an answer.
    """

    socket: socket.socket
    sessions: range
    turns: int
    free: deque[int]
    waiting: dict[int, Waiting] = field(default_factory=dict[int, Waiting])

    @property
    def unopened(self) -> bool:
        """Whether some session has not had its first turn."""
        return self.turns < len(self.sessions)


@dataclass
class Tally:
    """What was sent and what was acknowledged."""

    acknowledged: int = 0
    retransmitted: int = 0
    latencies: list[float] = field(default_factory=list[float])
    acked_reports: dict[tuple[int, int], int] = field(default_factory=dict[tuple[int, int], int])


class Load:
    """Drives sessions `first` to `first + sessions - 1`, dealt to the sockets, round and round.

    With `reports` a session ends after so many, and at its next turn the same user begins another.
    With `started` the sessions were opened by another process with as many sockets, which told so
    (Unix seconds, by the sessions' clock), and each socket's have made so many reports: `turns`.
    """

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._secret = arguments.secret.encode()
        self._template = Template(self._secret, arguments.nas)
        self._first, self._sessions = arguments.first, arguments.sessions
        self._started = arguments.started or int(time.time()) - 5 * 86_400
        self._reports = [0] * self._sessions
        self._lives = [0] * self._sessions
        self._ended: set[int] = set()
        self._most_reports: int = arguments.reports
        self._tally = Tally()
        self._rate = 0.0
        self._lanes: list[Lane] = []
        self._selector = selectors.DefaultSelector()
        for number, turns in enumerate(_turns(arguments)):
            lane_socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            lane_socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            lane_socket.connect((arguments.host, arguments.port))
            lane_socket.setblocking(False)
            sessions = range(number, self._sessions, arguments.sockets)
            for nth, index in enumerate(sessions):
                rounds, more = divmod(turns, len(sessions))
                self._reports[index] = rounds + (nth < more)
            lane = Lane(lane_socket, sessions, turns, deque(range(arguments.window)))
            self._lanes.append(lane)
            self._selector.register(lane_socket, selectors.EVENT_READ, lane)
        self._order = deque(self._lanes)
        self._tally.acked_reports = {
            (number, 0): reports for number, reports in enumerate(self._reports, self._first)
        }

    def close(self) -> None:
        """Close the sockets."""
        self._selector.close()
        for lane in self._lanes:
            lane.socket.close()

    @property
    def acknowledged(self) -> int:
        """Records that were answered so far; may be asked while another thread runs it."""
        return self._tally.acknowledged

    @property
    def retransmitted(self) -> int:
        """Requests that were sent again so far."""
        return self._tally.retransmitted

    def open_all(self) -> float:
        """Send a Start for every session; return the seconds it took until all were answered."""
        began = time.perf_counter()
        self._run(lambda: any(lane.unopened for lane in self._lanes), status=_START)
        for lane in self._lanes:
            lane.turns = 0
        return time.perf_counter() - began

    def run(self, seconds: float, rate: float) -> dict[str, object]:
        """Report usage for so long, at a rate (0: as fast as answered); return what was seen."""
        at, began = time.time(), time.perf_counter()
        end = began + seconds
        tally = self._tally
        before, resent = tally.acknowledged, tally.retransmitted
        tally.latencies = []
        self.report_while(lambda: time.perf_counter() < end, rate)
        running = time.perf_counter() - began
        ordered = sorted(tally.latencies) or [0.0]
        acknowledged = tally.acknowledged - before
        return {
            "at": at,
            "seconds": round(running, 2),
            "acknowledged": acknowledged,
            "records_per_second": round(acknowledged / running),
            "retransmitted": tally.retransmitted - resent,
            "p50_ms": round(ordered[len(ordered) // 2] * 1000, 2),
            "p99_ms": round(ordered[int(len(ordered) * 0.99)] * 1000, 2),
        }

    def report_while(self, more: Callable[[], bool], rate: float) -> None:
        """Report usage at a rate (0: as fast as answered) as long as `more`; return once all of it
        is answered. What was due while nobody answered is made up for.
        """
        self._rate = rate
        self._run(more, status=_INTERIM)

    def _run(self, more: Callable[[], bool], status: int) -> None:
        began, sent = time.perf_counter(), 0
        while True:
            going = more()
            if going:
                elapsed = time.perf_counter() - began
                due = elapsed * self._rate - sent if self._rate else math.inf
                sent += self._send_due(due, status)
            waiting = any(lane.waiting for lane in self._lanes)
            if not going and not waiting:
                return
            pause = 0.0005 if self._rate else 0.05
            for key, _ in self._selector.select(pause if going or waiting else 0):
                self._receive(key.data)
            self._retransmit()

    def _send_due(self, due: float, status: int) -> int:
        """Send what is due, a request a socket in turn, as far as they can; return how many."""
        sent = unable = 0
        while sent < due and unable < len(self._order):
            lane = self._order[0]
            self._order.rotate(-1)
            if lane.free and (lane.unopened if status == _START else lane.sessions):
                self._send(lane, status)
                sent += 1
                unable = 0
            else:
                unable += 1
        return sent

    def _send(self, lane: Lane, status: int) -> None:
        index = lane.sessions[lane.turns % len(lane.sessions)]
        lane.turns += 1
        if status == _INTERIM:
            status = self._turn(index)
        identifier = lane.free.popleft()
        number, life = self._first + index, self._lives[index]
        reports = self._reports[index]
        started = self._started + life * self._most_reports * INTERVAL_S
        octets = self._template.request(identifier, status, number, started, reports, life)
        now = time.perf_counter()
        lane.waiting[identifier] = (now, now, octets, (number, life), reports)
        _transmit(lane, octets)

    def _turn(self, index: int) -> int:
        """Return what a user reports next: usage, the end of a session, or the start of another."""
        if index in self._ended:
            self._ended.remove(index)
            self._lives[index] += 1
            self._reports[index] = 0
            return _START
        self._reports[index] += 1
        if not self._most_reports or self._reports[index] < self._most_reports:
            return _INTERIM
        self._ended.add(index)
        return _STOP

    def _receive(self, lane: Lane) -> None:
        now = time.perf_counter()
        tally = self._tally
        while True:
            try:
                reply = lane.socket.recv(4096)
            except BlockingIOError:
                return
            except ConnectionRefusedError:
                continue
            waiting = lane.waiting.get(reply[1])
            if waiting is None or not self._answers(reply, waiting[2]):
                continue
            del lane.waiting[reply[1]]
            lane.free.append(reply[1])
            tally.acknowledged += 1
            tally.latencies.append(now - waiting[0])
            session, reports = waiting[3], waiting[4]
            if reports > tally.acked_reports.get(session, 0):
                tally.acked_reports[session] = reports

    def _answers(self, reply: bytes, request: bytes) -> bool:
        """Whether it is not a second answer to an earlier request with that identifier."""
        return reply[0] == Code.ACCOUNTING_RESPONSE and verify_response(
            reply, request[4:20], self._secret
        )

    def _retransmit(self) -> None:
        now = time.perf_counter()
        for lane in self._lanes:
            for identifier, waiting in list(lane.waiting.items()):
                first, last, octets, session, reports = waiting
                if now - last > RETRANSMIT_S:
                    self._tally.retransmitted += 1
                    lane.waiting[identifier] = (first, now, octets, session, reports)
                    _transmit(lane, octets)

    def result(self) -> dict[str, object]:
        """Return the sums that the books must show."""
        reports = sum(self._tally.acked_reports.values())
        return {
            "sessions": self._sessions,
            "started": self._started,
            "turns": ",".join(str(lane.turns) for lane in self._lanes),
            "reported": sum(lane.turns for lane in self._lanes),
            "datagram_octets": len(self._template),
            "acknowledged": self._tally.acknowledged,
            "octets_in": reports * OCTETS_IN,
            "octets_out": reports * OCTETS_OUT,
            "seconds": reports * INTERVAL_S,
        }


def _turns(arguments: argparse.Namespace) -> list[int]:
    """Return how many reports were made by the sessions of each socket, before."""
    if not arguments.turns:
        return [0] * arguments.sockets
    turns = [int(each) for each in arguments.turns.split(",")]
    assert len(turns) == arguments.sockets, "as many sockets as before"
    return turns


def _transmit(lane: Lane, octets: bytes) -> None:
    # Where nobody listens, ICMP says so of the datagram before. Like one that is lost on the way,
    # this one is sent again later.
    with suppress(ConnectionRefusedError, BlockingIOError):
        lane.socket.send(octets)


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("--host", default="127.0.0.1")
    made.add_argument("--port", type=int, required=True)
    made.add_argument("--secret", required=True)
    made.add_argument("--nas", default="load")
    made.add_argument("--sessions", type=int, default=1000)
    made.add_argument("--first", type=int, default=0)
    made.add_argument("--seconds", type=float, default=10)
    made.add_argument("--sockets", type=int, default=4)
    made.add_argument("--window", type=int, default=64, help="outstanding requests a socket")
    made.add_argument("--rate", type=float, help="records a second (0: as fast as answered)")
    made.add_argument("--times", type=int, default=1, help="how often at that rate")
    made.add_argument("--reports", type=int, default=0, help="of a session until it ends (0: none)")
    made.add_argument("--turns", default="", help="what that process printed")
    made.add_argument("--started", type=int, default=0, help="what that process printed")
    return made


def main() -> None:
    """Run from the command line; print JSON, the last line for all of it."""
    arguments = parser().parse_args()
    load = Load(arguments)
    phases: dict[str, object] = {}
    if not arguments.started:
        phases["opened_per_second"] = round(arguments.sessions / load.open_all())
    if arguments.rate is None:
        phases["full"] = full = load.run(arguments.seconds, 0)
        half = float(str(full["records_per_second"])) / 2
        phases["half"] = load.run(arguments.seconds / 2, half)
    else:
        for _ in range(arguments.times):
            print(json.dumps(load.run(arguments.seconds, arguments.rate)), flush=True)
    print(json.dumps(load.result() | phases))


if __name__ == "__main__":
    main()
