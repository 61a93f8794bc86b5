"""The accounting client of one NAS: identifiers, retransmission, what was acknowledged. Pure.

One socket has 256 identifiers (RFC 2865, section 3), so that many requests can be outstanding; what
is more waits here. Requests are retransmitted as RFC 5080, section 2.2.1 says, for ever, as it asks
of accounting. At most one interim report of a session is kept (RFC 2869, section 2.1): a newer one,
or the Stop, takes its place.
"""

import enum
import hashlib
import heapq
from collections import OrderedDict, deque
from random import Random

import msgspec

from radius.packet import Code
from radius.records import AcctStatus
from radius.requests import Attributes, accounting_request

#: RFC 5080, section 2.2.1: IRT, MRT and the part of them that is random. The MRT of 0 that
#: it recommends for accounting lets intervals grow without end; a simulation wants to see its end.
FIRST_RETRY_S, LONGEST_RETRY_S, JITTER = 2.0, 16.0, 0.1

OUTSTANDING = 256

#: An identifier's late replies are known for so many of its former requests: at thousands of
#: requests a second an identifier is used again several times while a datagram takes a detour.
FORMER = 8

#: Of so many answers the times are kept until somebody asks for them.
_TIMES_KEPT = 20_000


class Acknowledged(msgspec.Struct):
    """What a session's records that were acknowledged say: its highest counters."""

    octets_in: int = 0
    octets_out: int = 0
    seconds: int = 0


class Report(msgspec.Struct, frozen=True):
    """One record as the NAS made it: at `at`, with the counters it tells.

    `session` is what was acknowledged of its session, None for Accounting-On and -Off.
    """

    status: AcctStatus
    session_id: str
    attributes: Attributes
    at: float
    octets_in: int = 0
    octets_out: int = 0
    seconds: int = 0
    session: Acknowledged | None = None


class Tally(msgspec.Struct):
    """What was sent, and what came back. One for a whole fleet.

    Counters are of what was acknowledged, summed over the sessions. `answer_times` are the last
    times from a record's first transmission to its answer, in seconds.
    """

    starts: int = 0
    interims: int = 0
    stops: int = 0
    others: int = 0
    superseded: int = 0
    transmissions: int = 0
    retransmissions: int = 0
    acknowledged: int = 0
    late_replies: int = 0
    bad_replies: int = 0
    octets_in: int = 0
    octets_out: int = 0
    seconds: int = 0
    answer_times: deque[float] = msgspec.field(default_factory=lambda: deque(maxlen=_TIMES_KEPT))


class Reply(enum.Enum):
    """What a datagram from the accounting server was."""

    ANSWER = "answer"
    """The first answer to a request that waited for it."""
    LATE = "late"
    """Genuine, but nobody waits: its request was answered, superseded or sent anew before."""
    BAD = "bad"
    """Not genuine: no code 5, or a Response Authenticator for no request of its identifier."""


class _Request(msgspec.Struct):
    """A report under an identifier, as it was last transmitted."""

    report: Report
    octets: bytes
    first_at: float
    interval: float
    serial: int


class Accounting:
    """What one NAS has to tell its accounting server. Verbs return the datagrams to send now."""

    def __init__(
        self, secret: bytes, random: Random, tally: Tally, *, delay_time: bool = False
    ) -> None:
        """With `delay_time` a retransmission carries Acct-Delay-Time.

        It is then another request, with another identifier and authenticator (RFC 2866, section
        5.2), as accel-ppp's option `acct-delay-time` does it; without, it is the same octets.
        """
        self._secret = secret
        self._random = random
        self._tally = tally
        self._delay_time = delay_time
        self._outstanding: dict[int, _Request] = {}
        self._former: dict[int, deque[tuple[bytes, Report]]] = {}
        self._interims: dict[str, int] = {}
        self._queue: OrderedDict[tuple[str, AcctStatus], Report] = OrderedDict()
        self._retries: list[tuple[float, int, int]] = []
        self._next_identifier = random.randrange(256)
        self._serial = 0

    @property
    def unanswered(self) -> int:
        """How many reports wait for an answer, or to be sent at all."""
        return len(self._outstanding) + len(self._queue)

    def report(self, report: Report, now: float) -> list[bytes]:
        """Take a report in; it waits if all identifiers are in use."""
        self._count(report.status)
        if report.status in (AcctStatus.INTERIM, AcctStatus.STOP):
            self._supersede_interim(report)
        # An interim report takes the place of the one before in the queue, too.
        self._queue[report.session_id, report.status] = report
        return self._send_queued(now)

    def answered(self, datagram: bytes, now: float) -> tuple[Reply, list[bytes]]:
        """Take a datagram from the server; say what it was, and what can be sent now."""
        identifier = datagram[1] if len(datagram) >= 20 else -1
        request = self._outstanding.get(identifier)
        if request is not None and is_answer(request.octets[:20], datagram, self._secret):
            self._release(identifier)
            self._tally.acknowledged += 1
            self._tally.answer_times.append(now - request.first_at)
            self._note(request.report)
            return Reply.ANSWER, self._send_queued(now)
        for header, report in self._former.get(identifier, ()):
            if is_answer(header, datagram, self._secret):
                # Whether anybody waits for it or not: it says that the record is kept.
                self._tally.late_replies += 1
                self._note(report)
                return Reply.LATE, []
        self._tally.bad_replies += 1
        return Reply.BAD, []

    def due(self, now: float) -> list[bytes]:
        """Retransmit what is due."""
        out: list[bytes] = []
        while self._retries and self._retries[0][0] <= now:
            _, serial, identifier = heapq.heappop(self._retries)
            request = self._outstanding.get(identifier)
            if request is not None and request.serial == serial:
                out.append(self._retransmit(identifier, request, now))
        return out

    def next_due(self) -> float | None:
        """Return when to call `due`, unless something else happens before."""
        while self._retries:
            at, serial, identifier = self._retries[0]
            request = self._outstanding.get(identifier)
            if request is not None and request.serial == serial:
                return at
            heapq.heappop(self._retries)
        return None

    def _count(self, status: AcctStatus) -> None:
        match status:
            case AcctStatus.START:
                self._tally.starts += 1
            case AcctStatus.INTERIM:
                self._tally.interims += 1
            case AcctStatus.STOP:
                self._tally.stops += 1
            case _:
                self._tally.others += 1

    def _supersede_interim(self, by: Report) -> None:
        identifier = self._interims.get(by.session_id)
        queued = (by.session_id, AcctStatus.INTERIM)
        if identifier is not None:
            self._release(identifier)
            self._tally.superseded += 1
        elif queued in self._queue:
            self._tally.superseded += 1
            if by.status is AcctStatus.STOP:
                del self._queue[queued]

    def _send_queued(self, now: float) -> list[bytes]:
        out: list[bytes] = []
        while self._queue and len(self._outstanding) < OUTSTANDING:
            _, report = self._queue.popitem(last=False)
            out.append(self._transmit(report, now, first_at=now, interval=0.0))
        return out

    def _transmit(self, report: Report, now: float, *, first_at: float, interval: float) -> bytes:
        """Put a report under a free identifier, and return its octets."""
        while self._next_identifier in self._outstanding:
            self._next_identifier = (self._next_identifier + 1) % OUTSTANDING
        identifier = self._next_identifier
        self._next_identifier = (identifier + 1) % OUTSTANDING
        attributes = report.attributes
        if self._delay_time:
            attributes = {**attributes, "Acct-Delay-Time": max(0, int(now - report.at))}
        octets = accounting_request(attributes, secret=self._secret, identifier=identifier)
        request = _Request(report, octets, first_at, interval, 0)
        self._outstanding[identifier] = request
        if report.status is AcctStatus.INTERIM:
            self._interims[report.session_id] = identifier
        self._schedule(identifier, request, now)
        self._tally.transmissions += 1
        return octets

    def _retransmit(self, identifier: int, request: _Request, now: float) -> bytes:
        self._tally.retransmissions += 1
        if self._delay_time:
            self._release(identifier)
            return self._transmit(
                request.report, now, first_at=request.first_at, interval=request.interval
            )
        self._schedule(identifier, request, now)
        self._tally.transmissions += 1
        return request.octets

    def _schedule(self, identifier: int, request: _Request, now: float) -> None:
        """RT = IRT + RAND * IRT, then 2 * RTprev + RAND * RTprev, at most MRT + RAND * MRT."""
        interval = request.interval * (2 + self._jitter())
        if not interval:
            interval = FIRST_RETRY_S * (1 + self._jitter())
        elif interval > LONGEST_RETRY_S:
            interval = LONGEST_RETRY_S * (1 + self._jitter())
        request.interval = interval
        self._serial += 1
        request.serial = self._serial
        heapq.heappush(self._retries, (now + interval, request.serial, identifier))

    def _jitter(self) -> float:
        return self._random.uniform(-JITTER, JITTER)

    def _release(self, identifier: int) -> None:
        """Free an identifier, and keep of its request what tells late replies to it."""
        request = self._outstanding.pop(identifier)
        kept = msgspec.structs.replace(request.report, attributes={})
        former = self._former.setdefault(identifier, deque(maxlen=FORMER))
        former.appendleft((request.octets[:20], kept))
        if self._interims.get(request.report.session_id) == identifier:
            del self._interims[request.report.session_id]

    def _note(self, report: Report) -> None:
        """Bring the sums up to what a report says that is now known to be kept."""
        known = report.session
        if known is None:
            return
        tally = self._tally
        tally.octets_in += max(0, report.octets_in - known.octets_in)
        tally.octets_out += max(0, report.octets_out - known.octets_out)
        tally.seconds += max(0, report.seconds - known.seconds)
        known.octets_in = max(known.octets_in, report.octets_in)
        known.octets_out = max(known.octets_out, report.octets_out)
        known.seconds = max(known.seconds, report.seconds)


def is_answer(header: bytes, reply: bytes, secret: bytes) -> bool:
    """Whether a datagram is a genuine Accounting-Response (RFC 2866, section 3).

    `header` is the request's: its first 20 octets. Written anew rather than taken from `radius`,
    which made the reply.
    """
    if len(reply) < 20 or reply[0] != Code.ACCOUNTING_RESPONSE or reply[1] != header[1]:
        return False
    length = int.from_bytes(reply[2:4])
    if not 20 <= length <= len(reply):
        return False
    signed = reply[:4] + header[4:] + reply[20:length] + secret
    return hashlib.md5(signed, usedforsecurity=False).digest() == reply[4:20]
