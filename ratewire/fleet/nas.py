"""One simulated NAS: its sessions, its accounting queue, and how it obeys. Pure.

It does what the field's NASes do: reports in intervals with jitter, retransmits the same octets
until it is answered (RFC 5080, section 2.2.1), ends sessions when it is told to (RFC 5176) and then
sends their Stop.
"""

import heapq
from collections.abc import Sequence
from random import Random

import msgspec

from radius.packet import Code
from radius.requests import (
    Value,
    accounting_request,
    dynamic_reply,
    read_dynamic_request,
    verify_response,
)
from ratewire.fleet.subscriber import Habit, LiveSession

START, STOP, INTERIM, ON = 1, 2, 3, 7

#: RFC 5080, section 2.2.1: IRT 2 s, MRT 16 s; accounting is retried for ever.
FIRST_RETRY_S, LONGEST_RETRY_S = 2.0, 16.0

SESSION_CONTEXT_NOT_FOUND = 503
USER_REQUEST, ADMIN_RESET = 1, 6


class Conduct(msgspec.Struct, frozen=True):
    """How a NAS behaves: seconds between reports, and the part of them that is jitter."""

    interim: float
    jitter: float = 0.1


class Waiting(msgspec.Struct):
    """An accounting request that was not answered yet."""

    octets: bytes
    retry_at: float
    interval: float
    status: int
    session_id: str
    octets_in: int
    octets_out: int
    seconds: int


class Sent(msgspec.Struct):
    """What a NAS sent, and what was acknowledged."""

    starts: int = 0
    interims: int = 0
    stops: int = 0
    retransmissions: int = 0
    acknowledged: int = 0
    bad_replies: int = 0
    disconnects: int = 0
    disconnects_obeyed: int = 0
    disconnects_refused: int = 0
    acked: dict[str, tuple[int, int, int]] = {}

    def totals(self) -> tuple[int, int, int]:
        """Return the sums of what was acknowledged: octets in, octets out, seconds."""
        figures = list(self.acked.values())
        return (
            sum(each[0] for each in figures),
            sum(each[1] for each in figures),
            sum(each[2] for each in figures),
        )


class Nas:
    """Sessions of some users. Every verb returns the datagrams that have to go out now."""

    def __init__(
        self,
        name: str,
        secret: bytes,
        users: Sequence[tuple[str, Habit]],
        conduct: Conduct,
        random: Random,
        *,
        boot: int,
    ) -> None:
        """`boot` makes the session ids of this run differ from those of runs before."""
        self.name = name
        self.sent = Sent()
        self.sessions: dict[str, LiveSession] = {}
        self._secret = secret
        self._conduct = conduct
        self._random = random
        self._boot = boot
        self._habits = dict(users)
        self._waiting: dict[int, Waiting] = {}
        self._queue: list[tuple[int, str, dict[str, Value]]] = []
        self._identifier = random.randrange(256)
        self._started = 0
        self._due: list[tuple[float, int, str]] = []
        self._order = 0

    @property
    def unanswered(self) -> int:
        """How many requests wait for an answer, or to be sent at all."""
        return len(self._waiting) + len(self._queue)

    def begin(self, now: float, spread: float) -> list[bytes]:
        """Switch on: Accounting-On, and the users come in over `spread` seconds."""
        for user in self._habits:
            self._plan(now + self._random.uniform(0, spread), user)
        return self._request(ON, "", {}, now)

    def due(self, now: float) -> list[bytes]:
        """Do what is due: logins, reports, logouts, retransmissions."""
        out: list[bytes] = []
        while self._due and self._due[0][0] <= now:
            _, _, user = heapq.heappop(self._due)
            session = self.sessions.get(user)
            if session is None:
                out += self._login(user, now)
            elif now >= session.ends:
                out += self._logout(session, now, USER_REQUEST)
            else:
                out += self._report(session, INTERIM, now, {})
                self._plan_next(session, now)
        return out + self._retransmissions(now)

    def next_due(self) -> float | None:
        """Return when to call `due` again."""
        times = [waiting.retry_at for waiting in self._waiting.values()]
        if self._due:
            times.append(self._due[0][0])
        return min(times, default=None)

    def end(self, now: float) -> list[bytes]:
        """Switch off: every session stops, nobody comes in again."""
        self._due.clear()
        out: list[bytes] = []
        for session in list(self.sessions.values()):
            out += self._logout(session, now, USER_REQUEST, again=False)
        return out

    def answered(self, reply: bytes, now: float) -> list[bytes]:
        """Take a reply from the accounting server."""
        waiting = self._waiting.get(reply[1]) if len(reply) >= 20 else None
        if waiting is None:
            return []
        if reply[0] != Code.ACCOUNTING_RESPONSE or not verify_response(
            waiting.octets, reply, secret=self._secret
        ):
            self.sent.bad_replies += 1
            return []
        del self._waiting[reply[1]]
        self.sent.acknowledged += 1
        if waiting.session_id:
            figures = (waiting.octets_in, waiting.octets_out, waiting.seconds)
            before = self.sent.acked.get(waiting.session_id, (0, 0, 0))
            self.sent.acked[waiting.session_id] = max(before, figures)
        return self._from_queue(now)

    def told(self, request: bytes, now: float) -> tuple[bytes | None, list[bytes]]:
        """Take a Disconnect- or CoA-Request; return the reply to it, and what else has to go out.

        None for a request that does not verify: a NAS stays silent.
        """
        read = read_dynamic_request(request, secret=self._secret)
        if read is None:
            return None, []
        self.sent.disconnects += 1
        wanted = read.attributes.get("Acct-Session-Id", [""])[0]
        for session in self.sessions.values():
            if session.session_id == wanted and read.code == Code.DISCONNECT_REQUEST:
                self.sent.disconnects_obeyed += 1
                out = self._logout(session, now, ADMIN_RESET)
                return dynamic_reply(request, secret=self._secret, ack=True), out
        self.sent.disconnects_refused += 1
        reply = dynamic_reply(
            request, secret=self._secret, ack=False, error_cause=SESSION_CONTEXT_NOT_FOUND
        )
        return reply, []

    def _login(self, user: str, now: float) -> list[bytes]:
        self._started += 1
        habit = self._habits[user]
        session = LiveSession(
            user=user,
            session_id=f"{self._boot:08x}{self._started:08x}",
            address=f"100.64.{self._started // 254 % 256}.{self._started % 254 + 1}",
            began=now,
            habit=habit,
            ends=now + habit.online,
            next_report=0.0,
            counted=now,
        )
        self.sessions[user] = session
        self._plan_next(session, now)
        return self._report(session, START, now, {})

    def _logout(
        self, session: LiveSession, now: float, cause: int, *, again: bool = True
    ) -> list[bytes]:
        del self.sessions[session.user]
        if again:
            self._plan(now + session.habit.offline, session.user)
        return self._report(session, STOP, now, {"Acct-Terminate-Cause": cause})

    def _plan(self, at: float, user: str) -> None:
        self._order += 1
        heapq.heappush(self._due, (at, self._order, user))

    def _plan_next(self, session: LiveSession, now: float) -> None:
        jitter = self._random.uniform(-self._conduct.jitter, self._conduct.jitter)
        self._plan(min(session.ends, now + self._conduct.interim * (1 + jitter)), session.user)

    def _report(
        self, session: LiveSession, status: int, now: float, more: dict[str, Value]
    ) -> list[bytes]:
        session.count(now, self._random)
        attributes: dict[str, Value] = {
            "User-Name": session.user,
            "Framed-IP-Address": session.address,
            "Calling-Station-Id": f"02:00:{self._boot & 0xFF:02x}:00:{len(session.user):02x}:01",
            "NAS-Port-Type": 15,
            "Event-Timestamp": int(now),
            **more,
        }
        if status != START:
            giga_in, octets_in = divmod(session.octets_in, 2**32)
            giga_out, octets_out = divmod(session.octets_out, 2**32)
            attributes |= {
                "Acct-Session-Time": int(now - session.began),
                "Acct-Input-Octets": octets_in,
                "Acct-Output-Octets": octets_out,
                "Acct-Input-Gigawords": giga_in,
                "Acct-Output-Gigawords": giga_out,
            }
        return self._request(status, session.session_id, attributes, now)

    def _request(
        self, status: int, session_id: str, attributes: dict[str, Value], now: float
    ) -> list[bytes]:
        match status:
            case 1:
                self.sent.starts += 1
            case 2:
                self.sent.stops += 1
            case 3:
                self.sent.interims += 1
            case _:
                pass
        whole: dict[str, Value] = {
            "Acct-Status-Type": status,
            "NAS-Identifier": self.name,
            **attributes,
        }
        if session_id:
            whole["Acct-Session-Id"] = session_id
        self._queue.append((status, session_id, whole))
        return self._from_queue(now)

    def _from_queue(self, now: float) -> list[bytes]:
        """Send what has a free identifier; one socket has 256 (RFC 2865, section 3)."""
        out: list[bytes] = []
        while self._queue and len(self._waiting) < 256:
            status, session_id, attributes = self._queue.pop(0)
            while self._identifier in self._waiting:
                self._identifier = (self._identifier + 1) % 256
            octets = accounting_request(
                attributes, secret=self._secret, identifier=self._identifier
            )
            self._waiting[self._identifier] = Waiting(
                octets=octets,
                retry_at=now + FIRST_RETRY_S * self._random.uniform(0.9, 1.1),
                interval=FIRST_RETRY_S,
                status=status,
                session_id=session_id,
                octets_in=_whole(attributes, "Input"),
                octets_out=_whole(attributes, "Output"),
                seconds=_integer(attributes, "Acct-Session-Time"),
            )
            self._identifier = (self._identifier + 1) % 256
            out.append(octets)
        return out

    def _retransmissions(self, now: float) -> list[bytes]:
        out: list[bytes] = []
        for waiting in self._waiting.values():
            if waiting.retry_at <= now:
                waiting.interval = min(waiting.interval * 2, LONGEST_RETRY_S)
                waiting.retry_at = now + waiting.interval * self._random.uniform(0.9, 1.1)
                self.sent.retransmissions += 1
                out.append(waiting.octets)
        return out


def _integer(attributes: dict[str, Value], name: str) -> int:
    value = attributes.get(name, 0)
    assert isinstance(value, int)
    return value


def _whole(attributes: dict[str, Value], direction: str) -> int:
    low = _integer(attributes, f"Acct-{direction}-Octets")
    return (_integer(attributes, f"Acct-{direction}-Gigawords") << 32) + low
