"""NASes under load: every session reports as fast as it is answered, and repeats what is not.

Records are encoded, and answers verified, by pyrad. What is not answered is sent again octet for
octet (RFC 5080, section 2.2.1, with shorter times), so a server may die at any moment.
"""

import random
import select
import socket
import time
from collections.abc import Callable, Sequence

from pyrad.packet import AcctPacket, PacketError

from radius.dictionary import load_dictionary
from tests.acceptance.books import Epoch
from tests.acceptance.installation import HOST
from tests.acceptance.records import Attributes, Login

RETRY_S = 0.25

#: The NAS's clock runs faster than ours: so that a silence of seconds is none in its sessions.
INTERIM_S = 60

#: Some datagrams come twice, as on a real network.
TWICE = 0.2


class _Outstanding:
    """A record that waits for its answer, as it was sent."""

    def __init__(self, request: AcctPacket, now: float) -> None:
        self.request = request
        self.octets = request.RequestPacket()
        self.retry_at = now + RETRY_S


class _Session:
    """A session with the counters of all its records; at most the last is not answered yet."""

    def __init__(self, login: Login, chance: random.Random) -> None:
        self.login = login
        self.told: list[tuple[int, int, int]] = []
        self.outstanding: _Outstanding | None = None
        self.stopped = False
        self._chance = chance

    def next_record(self, *, last: bool) -> Attributes:
        """The next record: a Start, Interims, and the Stop if it is to be the last."""
        if not self.told:
            self.told.append((0, 0, 0))
            return self.login.start()
        seconds, octets_in, octets_out = self.told[-1]
        counters = (
            seconds + INTERIM_S,
            octets_in + self._chance.randrange(1, 50_000),
            octets_out + self._chance.randrange(1, 500_000),
        )
        self.told.append(counters)
        self.stopped = last
        return self.login.stop(*counters) if last else self.login.interim(*counters)

    def epoch(self, records: int) -> Epoch:
        """What so many of its records come to: each is charged what it adds, once."""
        totals = [_price(octets_in + octets_out) for _, octets_in, octets_out in self.told]
        charges = tuple(totals[n] - totals[n - 1] for n in range(1, records))
        closed = "stop" if self.stopped and records == len(self.told) else None
        return Epoch(*self.told[records - 1], charges, closed)

    @property
    def possible(self) -> tuple[Epoch, Epoch]:
        """What may be booked: all that is acknowledged, or also the record that is on its way."""
        sent = len(self.told)
        acknowledged = sent if self.outstanding is None else sent - 1
        return self.epoch(acknowledged), self.epoch(sent)


class TrafficNas:
    """One NAS with its sessions, on an address of its own."""

    def __init__(
        self, address: str, port: int, secret: bytes, logins: Sequence[Login], seed: int
    ) -> None:
        chance = random.Random(seed)
        self.sessions = [_Session(login, chance) for login in logins]
        self.transmissions = 0
        self._secret = secret
        self._chance = chance
        self._identifier = chance.randrange(256)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((address, 0))
        self._socket.connect((HOST, port))
        self._socket.setblocking(False)

    def close(self) -> None:
        """Close its socket."""
        self._socket.close()

    def fileno(self) -> int:
        """For select."""
        return self._socket.fileno()

    def step(self, *, report: bool, last: bool) -> None:
        """Take what was answered; report anew if asked to; send again what is overdue."""
        self._take_answers()
        now = time.monotonic()
        for session in self.sessions:
            waiting = session.outstanding
            if waiting is None and report and not session.stopped:
                request = self._request(session.next_record(last=last))
                session.outstanding = _Outstanding(request, now)
                self._send(session.outstanding.octets)
                if self._chance.random() < TWICE:
                    self._send(session.outstanding.octets)
            elif waiting is not None and now >= waiting.retry_at:
                waiting.retry_at = now + RETRY_S
                self._send(waiting.octets)

    def _take_answers(self) -> None:
        while True:
            try:
                octets = self._socket.recv(4096)
            except (BlockingIOError, ConnectionRefusedError):  # nobody listens there, for now
                return
            for session in self.sessions:
                waiting = session.outstanding
                if waiting is not None and _answers(waiting.request, octets):
                    session.outstanding = None

    def _request(self, record: Attributes) -> AcctPacket:
        used = {each.outstanding.request.id for each in self.sessions if each.outstanding}
        self._identifier = (self._identifier + 1) % 256
        assert self._identifier not in used
        request = AcctPacket(id=self._identifier, secret=self._secret, dict=load_dictionary())
        for name, value in record.items():
            request.AddAttribute(name, value)
        return request

    def _send(self, octets: bytes) -> None:
        self.transmissions += 1
        try:
            self._socket.send(octets)
        except (BlockingIOError, ConnectionRefusedError):
            return  # lost, as on any network; it is sent again


class Traffic:
    """Some NASes at once."""

    def __init__(self, nases: Sequence[TrafficNas]) -> None:
        self._nases = nases

    @property
    def sessions(self) -> list[_Session]:
        """All sessions of all of them."""
        return [session for nas in self._nases for session in nas.sessions]

    @property
    def acknowledged(self) -> int:
        """How many records were answered so far."""
        return sum(
            len(session.told) - (session.outstanding is not None) for session in self.sessions
        )

    def run(self, seconds: float) -> None:
        """Report for so long."""
        until = time.monotonic() + seconds
        self._step_until(lambda: time.monotonic() >= until)

    def run_until(self, seen: Callable[[], bool], seconds: float = 60.0) -> None:
        """Report until something is to be seen; AssertionError after `seconds`."""
        until = time.monotonic() + seconds

        def is_seen() -> bool:
            assert time.monotonic() < until, seen.__qualname__
            return seen()

        self._step_until(is_seen)

    def quieten(self, *, stop: bool = False) -> None:
        """Repeat what is not answered until all is; with `stop` each session sends its Stop."""
        until = time.monotonic() + 60

        def is_quiet() -> bool:
            assert time.monotonic() < until, "some records are not answered"
            return all(
                each.outstanding is None and (each.stopped or not stop) for each in self.sessions
            )

        self._step_until(is_quiet, report=stop, last=stop)

    def _step_until(
        self, done: Callable[[], bool], *, report: bool = True, last: bool = False
    ) -> None:
        while not done():
            for nas in self._nases:
                nas.step(report=report, last=last)
            select.select(self._nases, (), (), 0.01)


def _answers(request: AcctPacket, octets: bytes) -> bool:
    try:
        return request.VerifyReply(request.CreateReply(packet=octets), octets)
    except PacketError:
        return False


def _price(octets: int) -> int:
    """EUR 2.00 for 10^9 octets in steps of 1,000: 2 micros for each step begun."""
    return -(-octets // 1_000) * 2
