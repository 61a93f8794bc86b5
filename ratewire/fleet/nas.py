"""One simulated NAS: its sessions, what it reports of them, and how it obeys. Pure.

It does what the field's NASes do: reports in intervals with jitter, until each report is answered
(`accounting`), ends or changes sessions as it is told (`obedience`), and then sends their Stop.
"""

import heapq
from collections.abc import Sequence
from random import Random

import msgspec

from radius.records import AcctStatus
from radius.requests import Attributes, Value
from ratewire.fleet.accounting import Accounting, Acknowledged, Report, Tally
from ratewire.fleet.obedience import Change, Obedience, Told
from ratewire.fleet.subscriber import LiveSession, Subscriber

#: Acct-Terminate-Cause (RFC 2866, section 5.10).
USER_REQUEST, SESSION_TIMEOUT, ADMIN_RESET, NAS_REQUEST = 1, 5, 6, 10

_NAS_PORT_TYPE_ETHERNET = 15


class Conduct(msgspec.Struct, frozen=True):
    """How a NAS behaves: seconds between reports, and the part of them that is jitter.

    With `delay_time` it retransmits with Acct-Delay-Time, so under new identifiers.
    """

    interim: float
    jitter: float = 0.1
    delay_time: bool = False


class Obedient(msgspec.Struct):
    """What NASes were told on their CoA ports, and did. One for a whole fleet.

    `disconnects` counts Disconnect- and CoA-Requests that are genuine and new; `changes` the
    CoA-Requests among those that were obeyed.
    """

    disconnects: int = 0
    disconnects_obeyed: int = 0
    disconnects_refused: int = 0
    disconnects_repeated: int = 0
    changes: int = 0


class Site(msgspec.Struct, frozen=True):
    """Which NAS of a fleet it is. `address` is its NAS-IP-Address.

    `boot` makes the session ids of this run differ from those of runs before.
    """

    number: int
    name: str
    address: str
    secret: bytes
    boot: int


class _Up(msgspec.Struct):
    """A session with what all its reports have in common, and what was acknowledged of it.

    `reports_at` is when the next interim report is due.
    """

    session: LiveSession
    attributes: dict[str, Value | Sequence[Value]]
    acknowledged: Acknowledged
    reports_at: float = 0.0


class Nas:
    """Sessions of some subscribers. Verbs return the datagrams for the accounting server."""

    def __init__(
        self,
        site: Site,
        subscribers: Sequence[Subscriber],
        conduct: Conduct,
        random: Random,
        tally: Tally,
        obedient: Obedient,
    ) -> None:
        self.site = site
        self._conduct = conduct
        self._random = random
        self._obedient = obedient
        self._subscribers = subscribers
        self._accounting = Accounting(site.secret, random, tally, delay_time=conduct.delay_time)
        self._obedience = Obedience(site.name, site.address, site.secret)
        self._up: dict[str, _Up] = {}
        self._sessions: dict[str, LiveSession] = {}
        self._begun = 0
        # What comes next for a subscriber is its newest entry; older ones are void.
        self._agenda: list[tuple[float, int, Subscriber]] = []
        self._newest: dict[str, int] = {}
        self._order = 0

    @property
    def unanswered(self) -> int:
        """How many reports wait for an answer, or to be sent at all."""
        return self._accounting.unanswered

    @property
    def sessions(self) -> dict[str, LiveSession]:
        """The sessions that are up, by Acct-Session-Id. Not to be changed."""
        return self._sessions

    def switch_on(self, now: float, spread: float) -> list[bytes]:
        """Begin with Accounting-On; the subscribers come in over `spread` seconds."""
        for subscriber in self._subscribers:
            self._plan(now + subscriber.random.uniform(0, spread), subscriber)
        return self._tell_of_itself(AcctStatus.ACCOUNTING_ON, now)

    def end_sessions(self, now: float) -> list[bytes]:
        """Stop every session; nobody comes in again."""
        self._agenda.clear()
        self._newest.clear()
        out: list[bytes] = []
        for up in list(self._up.values()):
            out += self._stop(up, now, NAS_REQUEST)
        return out

    def switch_off(self, now: float) -> list[bytes]:
        """End with Accounting-Off, which comes after the Stops."""
        return self._tell_of_itself(AcctStatus.ACCOUNTING_OFF, now)

    def due(self, now: float) -> list[bytes]:
        """Do what is due: logins, reports, logouts, retransmissions."""
        out: list[bytes] = []
        while self._agenda and self._agenda[0][0] <= now:
            _, order, subscriber = heapq.heappop(self._agenda)
            if self._newest.get(subscriber.name) == order:
                out += self._do_next(subscriber, now)
        return out + self._accounting.due(now)

    def next_due(self) -> float | None:
        """Return when to call `due`, unless something else happens before."""
        retry = self._accounting.next_due()
        planned = self._agenda[0][0] if self._agenda else None
        if retry is None or planned is None:
            return planned if retry is None else retry
        return min(retry, planned)

    def answered(self, datagram: bytes, now: float) -> list[bytes]:
        """Take a datagram from the accounting server."""
        return self._accounting.answered(datagram, now)[1]

    def told(self, datagram: bytes, source: object, now: float) -> tuple[Told, list[bytes]]:
        """Take a datagram on the CoA port; return what comes of it, and what to report."""
        told = self._obedience.take(datagram, source, self._sessions, now)
        if told.reply is None:
            return told, []
        if told.repeated:
            self._obedient.disconnects_repeated += 1
            return told, []
        self._obedient.disconnects += 1
        if told.obeyed is None:
            self._obedient.disconnects_refused += 1
            return told, []
        self._obedient.disconnects_obeyed += 1
        up = self._up[told.obeyed.session.subscriber.name]
        if told.obeyed.classes:
            up.attributes["Class"] = list(told.obeyed.classes)
        if told.obeyed.change is not None:
            self._obedient.changes += 1
            self._change(up, told.obeyed.change, now)
            return told, []
        up.session.cut = True
        return told, self._log_out(up, now, ADMIN_RESET)

    def _do_next(self, subscriber: Subscriber, now: float) -> list[bytes]:
        up = self._up.get(subscriber.name)
        if up is None:
            return self._log_in(subscriber, now)
        if now >= up.session.ends:
            cause = SESSION_TIMEOUT if up.session.cut else USER_REQUEST
            return self._log_out(up, now, cause)
        self._plan_report(up, now)
        return self._report(up, AcctStatus.INTERIM, now)

    def _log_in(self, subscriber: Subscriber, now: float) -> list[bytes]:
        self._begun += 1
        habit = subscriber.habit
        session = LiveSession(
            subscriber=subscriber,
            session_id=f"{self.site.boot:x}-{self.site.number:03x}-{self._begun:06x}",
            began=now,
            ends=now + habit.online,
            down=habit.down,
            up=habit.up,
            counted=now,
        )
        attributes: dict[str, Value | Sequence[Value]] = {
            "User-Name": subscriber.name,
            "NAS-Identifier": self.site.name,
            "NAS-IP-Address": self.site.address,
            "Acct-Session-Id": session.session_id,
            "Framed-IP-Address": subscriber.framed_address,
            "Calling-Station-Id": subscriber.calling_station,
            "NAS-Port": subscriber.number,
            "NAS-Port-Type": _NAS_PORT_TYPE_ETHERNET,
        }
        up = _Up(session, attributes, Acknowledged())
        self._up[subscriber.name] = up
        self._sessions[session.session_id] = session
        # The first report comes early, and for each at another moment of the interval.
        self._plan_report(up, now, part=subscriber.random.uniform(0.3, 1.0))
        return self._report(up, AcctStatus.START, now)

    def _log_out(self, up: _Up, now: float, cause: int) -> list[bytes]:
        session = up.session
        pause = session.subscriber.pause_after(now - session.began, cut=session.cut)
        self._plan(now + pause, session.subscriber)
        return self._stop(up, now, cause)

    def _stop(self, up: _Up, now: float, cause: int) -> list[bytes]:
        del self._up[up.session.subscriber.name]
        del self._sessions[up.session.session_id]
        up.attributes["Acct-Terminate-Cause"] = cause
        return self._report(up, AcctStatus.STOP, now)

    def _change(self, up: _Up, change: Change, now: float) -> None:
        session = up.session
        session.count(now)
        if change.down is not None and change.up is not None:
            session.down = min(session.subscriber.habit.down, change.down)
            session.up = min(session.subscriber.habit.up, change.up)
        if change.timeout_s is not None:
            session.cut = True
            session.ends = now + change.timeout_s
            self._plan(min(session.ends, up.reports_at), session.subscriber)

    def _plan(self, at: float, subscriber: Subscriber) -> None:
        self._order += 1
        self._newest[subscriber.name] = self._order
        heapq.heappush(self._agenda, (at, self._order, subscriber))

    def _plan_report(self, up: _Up, now: float, *, part: float = 1.0) -> None:
        subscriber, jitter = up.session.subscriber, self._conduct.jitter
        interval = self._conduct.interim * part * subscriber.random.uniform(1 - jitter, 1 + jitter)
        up.reports_at = now + interval
        self._plan(min(up.session.ends, up.reports_at), subscriber)

    def _report(self, up: _Up, status: AcctStatus, now: float) -> list[bytes]:
        session = up.session
        session.count(now)
        attributes: dict[str, Value | Sequence[Value]] = {
            "Acct-Status-Type": int(status),
            **up.attributes,
            "Event-Timestamp": int(now),
        }
        if status is AcctStatus.START:
            report = Report(status, session.session_id, attributes, now, session=up.acknowledged)
            return self._accounting.report(report, now)
        seconds = session.seconds(now)
        giga_in, low_in = divmod(session.octets_in, 2**32)
        giga_out, low_out = divmod(session.octets_out, 2**32)
        attributes["Acct-Session-Time"] = seconds
        attributes["Acct-Input-Octets"] = low_in
        attributes["Acct-Output-Octets"] = low_out
        attributes["Acct-Input-Gigawords"] = giga_in
        attributes["Acct-Output-Gigawords"] = giga_out
        report = Report(
            status=status,
            session_id=session.session_id,
            attributes=attributes,
            at=now,
            octets_in=session.octets_in,
            octets_out=session.octets_out,
            seconds=seconds,
            session=up.acknowledged,
        )
        return self._accounting.report(report, now)

    def _tell_of_itself(self, status: AcctStatus, now: float) -> list[bytes]:
        """Accounting-On or -Off, with its time: the On may arrive after the first Starts."""
        attributes: Attributes = {
            "Acct-Status-Type": int(status),
            "NAS-Identifier": self.site.name,
            "NAS-IP-Address": self.site.address,
            "Event-Timestamp": int(now),
        }
        return self._accounting.report(Report(status, "", attributes, now), now)
