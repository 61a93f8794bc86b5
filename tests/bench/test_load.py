"""The load generator: it counts nothing that was not answered, and waits for whoever is away."""

import socket
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress

import pytest

from bench import load
from bench.load import Load, parser
from radius.packet import accounting_response
from tests.support.ports import free_port

SECRET = b"of-the-load"
SESSIONS = 6


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> int:
    """Where nobody listens. Requests are sent again soon."""
    monkeypatch.setattr(load, "RETRANSMIT_S", 0.05)
    return free_port(socket.SOCK_DGRAM)


@contextmanager
def opening(port: int) -> Generator[Load]:
    """A load that opens its sessions, and has ended when this does."""
    words = ("--port", str(port), "--secret", SECRET.decode(), "--sessions", str(SESSIONS))
    driven = Load(parser().parse_args([*words, "--sockets", "1", "--window", "2"]))
    thread = threading.Thread(target=driven.open_all, daemon=True)
    thread.start()
    try:
        yield driven
        thread.join(5)
        assert not thread.is_alive()
    finally:
        driven.close()


@contextmanager
def listening(port: int) -> Generator[socket.socket]:
    """The server's socket."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.settimeout(0.2)
        server.bind(("127.0.0.1", port))
        yield server


def answer(server: socket.socket, *, secret: bytes = SECRET, times: int = 1) -> None:
    """Answer the next request, if there is one, now and again a moment later."""
    with suppress(TimeoutError):
        request, peer = server.recvfrom(4096)
        for _ in range(times):
            server.sendto(accounting_response(request[1], request[4:20], (), secret), peer)
            time.sleep(0.005)


def test_it_sends_again_until_somebody_listens_and_answers(port: int) -> None:
    """The host says that nobody listens; then somebody does, and is silent; then he answers."""
    with opening(port) as driven:
        time.sleep(0.2)
        with listening(port) as silent:
            silent.recvfrom(4096)
        with listening(port) as server:
            assert driven.acknowledged == 0
            while driven.acknowledged < SESSIONS:
                answer(server)
    assert driven.acknowledged == SESSIONS
    assert driven.retransmitted > 0


def test_only_an_answer_to_the_request_counts(port: int) -> None:
    """Not one with another secret; nor a second one, when the identifier is in use again."""
    with listening(port) as server, opening(port) as driven:
        for _ in range(4):
            answer(server, secret=b"of-somebody-else")
        assert driven.acknowledged == 0
        for answered in range(1, SESSIONS):
            answer(server, times=3)
            assert driven.acknowledged <= answered
        while driven.acknowledged < SESSIONS:
            answer(server)


def drive(port: int, seconds: float, *words: str) -> tuple[Load, list[tuple[int, bytes, int]]]:
    """A load that reports for a while to somebody who answers; and what he was sent."""
    driven = Load(
        parser().parse_args(
            [
                *("--port", str(port), "--secret", SECRET.decode(), "--sessions", "3"),
                *("--sockets", "1", "--window", "2", *words),
            ]
        )
    )
    sent: list[tuple[int, bytes, int]] = []
    over = threading.Event()

    def serve(server: socket.socket) -> None:
        while not over.is_set():
            with suppress(TimeoutError):
                request, peer = server.recvfrom(4096)
                found = load.Template.offsets(request)
                status, octets = (
                    int.from_bytes(request[found[kind] : found[kind] + 4]) for kind in (40, 42)
                )
                session = request[found[44] : found[44] + 16]
                sent.append((status, session, octets // load.OCTETS_IN))
                server.sendto(accounting_response(request[1], request[4:20], (), SECRET), peer)

    with listening(port) as server:
        thread = threading.Thread(target=serve, args=(server,), daemon=True)
        thread.start()
        try:
            if "--started" not in words:
                driven.open_all()
            driven.run(seconds, 300)
        finally:
            over.set()
            thread.join(5)
            driven.close()
    return driven, sent


def test_a_session_ends_after_its_reports_and_its_user_begins_another(port: int) -> None:
    driven, sent = drive(port, 0.3, "--reports", "2")
    first = [(status, reports) for status, session, reports in sent if session == b"%016x" % 1]
    assert first == [(1, 0), (3, 1), (2, 2)]
    second = [status for status, session, _ in sent if session == b"%08x%08x" % (1, 1)]
    assert second[:3] == [1, 3, 2]
    last = {session: reports for _, session, reports in sent}
    assert driven.result()["octets_in"] == sum(last.values()) * load.OCTETS_IN


def test_another_process_goes_on_where_one_has_ended(port: int) -> None:
    """Nothing is opened again, counters go on, and the sums have what was reported before."""
    driven, sent = drive(port, 0.1, "--started", "1700000000", "--turns", "7")
    assert sent[:3] == [(3, b"%016x" % 1, 3), (3, b"%016x" % 2, 3), (3, b"%016x" % 0, 4)]
    assert driven.result()["reported"] == 7 + len(sent)
    assert driven.result()["octets_in"] == (7 + len(sent)) * load.OCTETS_IN


def test_a_session_reports_from_one_port_and_all_ports_in_turn(port: int) -> None:
    """As a NAS does; also at a rate that one socket alone could keep up with."""
    words = ("--port", str(port), "--secret", SECRET.decode(), "--sessions", "7")
    driven = Load(
        parser().parse_args([*words, "--sockets", "3", "--started", "1", "--window", "9"])
    )
    ports: dict[bytes, set[int]] = {}
    over = threading.Event()

    def serve(server: socket.socket) -> None:
        while not over.is_set():
            with suppress(TimeoutError):
                request, peer = server.recvfrom(4096)
                found = load.Template.offsets(request)
                session = request[found[44] : found[44] + 16]
                ports.setdefault(session, set()).add(peer[1])
                server.sendto(accounting_response(request[1], request[4:20], (), SECRET), peer)

    with listening(port) as server:
        thread = threading.Thread(target=serve, args=(server,), daemon=True)
        thread.start()
        driven.run(0.3, 200)
        over.set()
        thread.join(5)
        driven.close()
    assert len(ports) == 7
    assert all(len(each) == 1 for each in ports.values())
    assert len(set[int]().union(*ports.values())) == 3
