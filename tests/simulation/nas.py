"""A NAS of the simulated world: sessions, clocks that move, restarts, session ids used again.

It retransmits until it is answered, and does as it is told on its CoA port, mostly.
"""

from collections import deque
from collections.abc import Callable
from hashlib import md5
from random import Random

import msgspec

from radius.packet import Code
from radius.records import AcctStatus
from radius.requests import dynamic_reply, read_dynamic_request
from ratewire.fleet.accounting import is_answer
from tests.simulation.clockwork import Clockwork
from tests.simulation.lives import ZERO, Life, Name, Report, highest

START, STOP, INTERIM, ON = (
    AcctStatus.START,
    AcctStatus.STOP,
    AcctStatus.INTERIM,
    AcctStatus.ACCOUNTING_ON,
)

#: A NAS drops an identifier's former requests after so many.
FORMER = 8

#: An Accounting-On this soon after another is taken for the same one (seconds).
BOOT_REPEAT_S = 30

#: Starts of two lives under one name this close cannot be told apart (seconds).
START_TOLERANCE_S = 12


class Traits(msgspec.Struct, frozen=True):
    """What kind of NAS it is.

    `stamps`: sends Event-Timestamp (one that does not sends Acct-Delay-Time). `announces`: sends
    Accounting-On when it restarts. `remembers`: what was unanswered before a restart is sent after.
    `reuses`: counts its session ids anew after a restart; `ids` is how many there are in all.
    """

    stamps: bool
    announces: bool
    remembers: bool
    reuses: bool
    ids: int
    interim_s: int


class _Request(msgspec.Struct, eq=False):
    report: Report
    octets: bytes
    interval_ms: int


class Nas:
    """One NAS with its subscribers. `send` takes a datagram for the accounting server."""

    def __init__(
        self,
        number: int,
        traits: Traits,
        users: list[str],
        secret: bytes,
        clockwork: Clockwork,
        random: Random,
        send: Callable[["Nas", bytes, Report], None],
        kept: Callable[[Report], None],
    ) -> None:
        self.name = f"nas{number}"
        self.host = f"10.0.0.{number}"
        self.key = f"{self.name}/{self.name}"
        self.secret = secret
        self.traits = traits
        self.users = users
        self.port = 1024
        self.offset_s = 0
        self.calm = False
        self.closed = False
        self.doubt: str | None = None
        self.up: dict[str, Life] = {}
        self.names: dict[str, Name] = {}
        self._clockwork = clockwork
        self._random = random
        self._send = send
        self._kept = kept
        self._moves = 0
        self._boots = 0
        self._begun = 0
        self._mark: int | None = None  # the newest Accounting-On that was acknowledged
        self._last_on = 0
        self._identifier = random.randrange(256)
        self.outstanding: dict[int, _Request] = {}
        self._former: dict[int, deque[tuple[bytes, Report]]] = {}
        self._replies: dict[bytes, bytes] = {}

    @property
    def now(self) -> int:
        """Its clock, Unix seconds."""
        return self._clockwork.now_ms // 1000 + self.offset_s

    def lives(self) -> list[Life]:
        """All that was ever lived here."""
        return [life for name in self.names.values() for life in name.lives]

    def doubt_all(self, why: str) -> None:
        """From now on a server cannot tell when anything began here."""
        self.doubt = why
        for name in self.names.values():
            name.doubts.add(why)

    # What happens to it

    def begin(self) -> None:
        """Switch it on: its subscribers come in."""
        for user in self.users:
            self._come_in_later(user, 30_000)

    def move_clock(self, by_s: int) -> None:
        """Move its clock; those who share a name cannot be told apart by time any more."""
        self.offset_s = max(-120, min(120, self.offset_s + by_s))
        self._moves += 1
        for life in self.lives():
            if life.stop_kept:
                continue
            if len(life.name.lives) > 1:
                life.name.doubts.add("clock moved under a name used again")
            began_now = life.began_ms // 1000 + self.offset_s
            if min(life.began, began_now) <= self._last_on <= max(life.began, began_now) + 1:
                life.name.doubts.add("clock moved across an Accounting-On")

    def restart(self, *, announced: bool) -> None:
        """All its sessions are gone, and nobody tells; then its subscribers come in again."""
        for life in self.lives():
            if not life.stop_kept and (life.moves != self._moves or not self.traits.stamps):
                life.name.doubts.add("restart of a NAS whose clock is no measure")
        for life in self.up.values():
            life.up = False
            self._come_in_later(life.user, 20_000)
        self.up.clear()
        if not self.traits.remembers:
            self.outstanding.clear()
            self._former.clear()
        self._boots += 1
        self.port = 1024 + self._random.randrange(4) + 10 * self._boots
        if self.traits.reuses:
            self._begun = 0
        if announced:
            self._report(ON, None)

    def report_all(self) -> None:
        """Report of every session, now."""
        for life in self.up.values():
            self._report(INTERIM, life)

    def go(self, user: str) -> None:
        """A subscriber's session ends."""
        life = self.up.pop(user, None)
        if life is not None:
            life.up = False
            self._report(STOP, life)
            self._come_in_later(user, self._random.choice((1_000, 5_000, 60_000)))

    def close_down(self) -> None:
        """Nobody comes in any more, and all sessions end."""
        self.closed = True
        for user in list(self.up):
            self.go(user)

    # Sessions

    def _come_in_later(self, user: str, within_ms: int) -> None:
        delay = self._random.randrange(within_ms)
        self._clockwork.after(delay, "login", lambda: self._come_in(user))

    def _come_in(self, user: str) -> None:
        if user in self.up or self.closed:
            return
        number = self._begun % self.traits.ids
        self._begun += 1
        session_id = f"{number:04x}" if self.traits.reuses else f"{self._boots:x}-{number:04x}"
        name = self.names.get(session_id)
        if name is None:
            name = Name(f"{self.key}|{session_id}", session_id)
            self.names[session_id] = name
            if self.doubt is not None:
                name.doubts.add(self.doubt)
        elif any(each.name is name for each in self.up.values()):
            self._come_in_later(user, 20_000)  # somebody is up under it
            return
        life = Life(name, user, self._clockwork.now_ms, self.now, self._moves, self.host)
        if name.lives:
            life.separated = self._separated(name.lives[-1])
            if life.separated == "nothing":
                name.doubts.add("name used again too soon")
        name.lives.append(life)
        self.up[user] = life
        self._report(START, life)
        self._plan_report(life)

    def _separated(self, before: Life) -> str:
        """By what a server can tell a life from the one before under its name."""
        if before.moves != self._moves or not self.traits.stamps:
            return "nothing"
        if any(request.report.life is before for request in self.outstanding.values()):
            return "nothing"
        if self.now - before.began < START_TOLERANCE_S:
            return "nothing"
        mark = self._mark
        if mark is not None and before.began < mark <= self.now:
            return "boot"
        if before.stop_kept and self.now > before.last_event:
            return "stop"
        return "nothing"

    def _plan_report(self, life: Life) -> None:
        interval_ms = self.traits.interim_s * self._random.randrange(800, 1200)

        def report() -> None:
            if not life.up:
                return
            if self._random.random() < 0.08:
                self.go(life.user)
                return
            self._report(INTERIM, life)
            self._plan_report(life)

        self._clockwork.after(interval_ms, "interim", report)

    # Accounting

    def _report(self, status: AcctStatus, life: Life | None) -> None:
        counters = ZERO
        attributes = _text(32, self.name) + _integer(40, status)
        if life is not None:
            if status is not START:
                life.octets_in += self._random.randrange(200_000)
                life.octets_out += self._random.choice((0, 5_000, 4_000_000, 90_000_000))
                counters = life.counters(self._clockwork.now_ms)
                attributes += _integer(46, counters[0])
                attributes += _integer(42, counters[1] & 0xFFFFFFFF)
                attributes += _integer(43, counters[2] & 0xFFFFFFFF)
                attributes += _integer(52, counters[1] >> 32) + _integer(53, counters[2] >> 32)
            life.last_event = max(life.last_event, self.now)
            attributes += _text(44, life.name.session_id) + _text(1, life.user)
            self._supersede(life, status)
            if status is not START and life.separated == "stop" and not life.start_kept:
                life.name.doubts.add("the Start of a name used again was not the first")
        elif self.now > self._last_on + BOOT_REPEAT_S:
            self._last_on = self.now
        if self.traits.stamps:
            attributes += _integer(55, self.now)
        self._transmit(
            Report(status, life, self._clockwork.now_ms, self.now, counters, attributes), 0
        )

    def _supersede(self, life: Life, status: AcctStatus) -> None:
        """A newer report takes the place of an interim one (RFC 2869, section 2.1)."""
        for identifier, request in list(self.outstanding.items()):
            if request.report.life is life and request.report.status is INTERIM:
                self._release(identifier)

    def _transmit(self, report: Report, interval_ms: int) -> None:
        while self._identifier in self.outstanding:
            self._identifier = (self._identifier + 1) % 256
        identifier = self._identifier
        self._identifier = (identifier + 1) % 256
        attributes = report.attributes
        if not self.traits.stamps:
            attributes += _integer(41, (self._clockwork.now_ms - report.made_ms) // 1000)
        header = bytes((Code.ACCOUNTING_REQUEST, identifier)) + (20 + len(attributes)).to_bytes(2)
        unsigned = header + bytes(16) + attributes + self.secret
        signature = md5(unsigned, usedforsecurity=False).digest()
        request = _Request(report, header + signature + attributes, interval_ms)
        self.outstanding[identifier] = request
        self._send_again(identifier, request)

    def _send_again(self, identifier: int, request: _Request) -> None:
        self._send(self, request.octets, request.report)
        grown = min(request.interval_ms * 2, 16_000) or 2_000
        request.interval_ms = int(grown * self._random.uniform(0.9, 1.1))

        def retry() -> None:
            if self.outstanding.get(identifier) is not request:
                return
            if self.traits.stamps:
                self._send_again(identifier, request)
            else:
                self._release(identifier)
                self._transmit(request.report, request.interval_ms)

        self._clockwork.after(request.interval_ms, "retransmission", retry)

    def _release(self, identifier: int) -> None:
        request = self.outstanding.pop(identifier)
        former = self._former.setdefault(identifier, deque(maxlen=FORMER))
        former.appendleft((request.octets[:20], request.report))

    def answered(self, datagram: bytes) -> None:
        """Take a datagram of the accounting server. Whoever waits for it: it says what is kept."""
        identifier = datagram[1]
        request = self.outstanding.get(identifier)
        if request is not None and is_answer(request.octets[:20], datagram, self.secret):
            self._release(identifier)
            self._note(request.report)
            return
        for header, report in self._former.get(identifier, ()):
            if is_answer(header, datagram, self.secret):
                self._note(report)
                return

    def _note(self, report: Report) -> None:
        life = report.life
        if life is None:
            if report.event_time == self._last_on:
                self._mark = report.event_time
        else:
            life.kept = highest(life.kept, report.counters)
            life.start_kept |= report.status is START
            life.stop_kept |= report.status is STOP
        self._kept(report)

    # CoA port

    def told(self, datagram: bytes) -> bytes | None:
        """Take a Disconnect-Request; return the reply, if there is one."""
        known = self._replies.get(datagram[:20])
        if known is not None:
            return known
        request = read_dynamic_request(datagram, secret=self.secret)
        assert request is not None, "what we send is genuine"
        given = request.attributes
        mood = 1.0 if self.calm else self._random.random()
        if mood < 0.05:
            return None
        found = [
            life
            for life in self.up.values()
            if given.get("Acct-Session-Id") == [life.name.session_id]
            and given.get("User-Name", [life.user]) == [life.user]
        ]
        cause = None if found else 503
        if mood < 0.08:
            cause = self._random.choice((501, 503, 506))
        reply = dynamic_reply(datagram, secret=self.secret, ack=cause is None, error_cause=cause)
        self._replies[datagram[:20]] = reply
        if found and cause is None and mood >= 0.12:  # some acknowledge, and do nothing
            self.go(found[0].user)
        return reply


def _integer(kind: int, value: int) -> bytes:
    return bytes((kind, 6)) + value.to_bytes(4)


def _text(kind: int, value: str) -> bytes:
    octets = value.encode()
    return bytes((kind, 2 + len(octets))) + octets
