"""The times of `bench.cutting`, and its NAS on real sockets."""

import socket
import threading
import time
from collections.abc import Generator
from contextlib import closing

from bench.cutting import FIRST, HOST, REPORTS, Cut, EdgeNas, Seen, spread_ms, summary
from bench.load import OCTETS_OUT
from bench.main_job import SECRET
from radius.dynauth import disconnect_request
from radius.packet import Code, accounting_response
from radius.profiles import builtin_profiles
from tests.support.ports import free_port

MS = 1_000_000


def test_percentiles_are_of_the_ordered_times() -> None:
    times = [each * MS for each in range(200, 0, -1)]
    assert spread_ms(times) == {"p50": 101.0, "p99": 199.0, "max": 200.0}
    assert spread_ms([3 * MS]) == {"p50": 3.0, "p99": 3.0, "max": 3.0}


def test_both_times_begin_with_the_record() -> None:
    seen = Seen({1: Cut(10 * MS, 12 * MS, 15 * MS), 2: Cut(20 * MS, 23 * MS, 29 * MS)})
    told = summary(seen)
    assert told["cuts"] == 2
    assert told["record_to_answer_ms"]["max"] == 3.0
    assert told["record_to_disconnect_request_ms"]["max"] == 9.0


class Server:
    """An accounting server that answers, and has every session cut whose report comes, twice."""

    def __init__(self, coa_port: int) -> None:
        self._coa = (HOST, coa_port)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.address: tuple[str, int] = self._socket.getsockname()
        self.records: list[tuple[int, int]] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._socket.sendto(b"", self.address)
        self._thread.join(5)
        self._socket.close()

    def _serve(self) -> None:
        secret = SECRET.encode()
        while True:
            request, peer = self._socket.recvfrom(4096)
            if not request:
                return
            if request[0] != Code.ACCOUNTING_REQUEST:
                continue  # a reply to what was told
            attributes = dict(_attributes(request))
            status = int.from_bytes(attributes[40])
            self.records.append((status, int.from_bytes(attributes[43])))
            self._socket.sendto(accounting_response(request[1], request[4:20], (), secret), peer)
            if status == 3:
                session = ((44, attributes[44]),)
                cut = disconnect_request(
                    session, identifier=7, secret=secret, rules=_RULES, event_time=int(time.time())
                )
                self._socket.sendto(cut, self._coa)
                self._socket.sendto(cut, self._coa)


_RULES = builtin_profiles()["generic"].coa


def _attributes(packet: bytes) -> Generator[tuple[int, bytes]]:
    at = 20
    while at < len(packet):
        yield packet[at], packet[at + 2 : at + packet[at + 1]]
        at += packet[at + 1]


def test_its_nas_exhausts_and_is_told_and_stops() -> None:
    """Both times are seen, the second request is only repeated, and the Stop tells the same."""
    coa_port = free_port(socket.SOCK_DGRAM)
    numbers = range(FIRST, FIRST + 5)
    with closing(Server(coa_port)) as server, closing(EdgeNas(server.address, coa_port)) as edge:
        edge.open_sessions(numbers)
        seen = edge.exhaust(numbers, rate=200)
        told = summary(seen)
    assert told["cuts"] == 5
    assert told["requests_repeated"] == 5
    assert 0 < told["record_to_answer_ms"]["p50"] < 5_000
    assert told["record_to_answer_ms"]["p50"] <= told["record_to_disconnect_request_ms"]["p50"]
    used = REPORTS * OCTETS_OUT
    assert sorted(server.records) == [(1, 0)] * 5 + [(2, used)] * 5 + [(3, used)] * 5
