"""How a simulated NAS takes Disconnect- and CoA-Requests: strictly by RFC 5176. Pure.

A request must name a session by attributes that all fit (section 3), a Disconnect-Request may carry
nothing else (section 3.6, table), and one attribute that is not supported refuses it whole (section
2.3). A CoA-Request can change Session-Timeout, in seconds from now as accel-ppp takes it, and
Filter-Id, a speed as accel-ppp writes it: "DOWN/UP" or one for both, in kbit/s.
"""

import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from radius.dynauth import ErrorCause
from radius.packet import Code
from radius.requests import DynamicRequest, dynamic_reply, read_dynamic_request
from ratewire.fleet.subscriber import LiveSession

#: RFC 5176, section 6.3: how far Event-Timestamp may be off, and how long duplicates are known.
WINDOW_S = 300
_REMEMBERED = 1024

_OF_NAS: Final = ("NAS-Identifier", "NAS-IP-Address")
_OF_SESSION: Final = ("User-Name", "Acct-Session-Id", "Framed-IP-Address", "Calling-Station-Id")
_ANYWHERE: Final = (
    *("Event-Timestamp", "Message-Authenticator", "Proxy-State", "Class", "Reply-Message"),
    "Acct-Terminate-Cause",
)
_CHANGES: Final = ("Session-Timeout", "Filter-Id")

_SPEED = re.compile(r"(\d{1,7})(?:/(\d{1,7}))?")


class Change(msgspec.Struct, frozen=True):
    """What a CoA-Request changes; None stays as it is. Speeds are in octets/s."""

    timeout_s: int | None = None
    down: int | None = None
    up: int | None = None


class Obeyed(msgspec.Struct, frozen=True):
    """A request that is carried out: the session ends if `change` is None, else it changes."""

    session: LiveSession
    change: Change | None


class Told(msgspec.Struct, frozen=True):
    """What comes of a datagram on the CoA port.

    `reply` is None if it is dropped. `repeated` tells that it came before: the same reply goes out
    again and nothing is done. `refused` is the Error-Cause of a NAK.
    """

    reply: bytes | None
    obeyed: Obeyed | None = None
    refused: ErrorCause | None = None
    repeated: bool = False


class Obedience:
    """The CoA port of one NAS."""

    def __init__(self, identifier: str, address: str, secret: bytes) -> None:
        """`address` is its NAS-IP-Address."""
        self._names = {"NAS-Identifier": identifier, "NAS-IP-Address": address}
        self._secret = secret
        self._replies: OrderedDict[tuple[object, bytes], bytes] = OrderedDict()

    def take(
        self,
        datagram: bytes,
        source: object,
        sessions: Mapping[str, LiveSession],
        now: float,
    ) -> Told:
        """Judge a datagram. `sessions` are those that are up, by Acct-Session-Id."""
        key = (source, datagram[:20])
        known = self._replies.get(key)
        if known is not None:
            return Told(known, repeated=True)
        request = read_dynamic_request(datagram, secret=self._secret)
        if request is None or not _is_fresh(request, now):
            return Told(None)
        verdict = self._judge(request, sessions)
        refused = verdict if isinstance(verdict, ErrorCause) else None
        reply = dynamic_reply(
            datagram, secret=self._secret, ack=refused is None, error_cause=refused
        )
        self._replies[key] = reply
        if len(self._replies) > _REMEMBERED:
            self._replies.popitem(last=False)
        return Told(reply, verdict if isinstance(verdict, Obeyed) else None, refused)

    def _judge(
        self, request: DynamicRequest, sessions: Mapping[str, LiveSession]
    ) -> Obeyed | ErrorCause:
        given = request.attributes
        changes = _CHANGES if request.code == Code.COA_REQUEST else ()
        if not set(given) <= {*_OF_NAS, *_OF_SESSION, *_ANYWHERE, *changes}:
            return ErrorCause.UNSUPPORTED_ATTRIBUTE
        for name in _OF_NAS:
            if name in given and given[name] != [self._names[name]]:
                return ErrorCause.NAS_IDENTIFICATION_MISMATCH
        if not any(name in given for name in _OF_SESSION):
            return ErrorCause.MISSING_ATTRIBUTE
        found = _matching(given, sessions)
        if not found:
            return ErrorCause.SESSION_CONTEXT_NOT_FOUND
        if len(found) > 1:
            return ErrorCause.MULTIPLE_SESSION_SELECTION_UNSUPPORTED
        if request.code == Code.DISCONNECT_REQUEST:
            return Obeyed(found[0], None)
        change = _change(given)
        return change if isinstance(change, ErrorCause) else Obeyed(found[0], change)


def _is_fresh(request: DynamicRequest, now: float) -> bool:
    """Whether a request is of now, as far as it says; an old one may be replayed by anybody."""
    times = request.attributes.get("Event-Timestamp", ())
    return all(abs(time - now) <= WINDOW_S for time in times)


def _matching(
    given: Mapping[str, list[Any]], sessions: Mapping[str, LiveSession]
) -> list[LiveSession]:
    """The sessions that fit everything a request says."""
    named = given.get("Acct-Session-Id")
    candidates: Sequence[LiveSession]
    if named is None:
        candidates = list(sessions.values())
    else:
        candidates = [sessions[each] for each in named if each in sessions]
    return [
        session
        for session in candidates
        if all(
            given.get(name, [value]) == [value]
            for name, value in (
                ("Acct-Session-Id", session.session_id),
                ("User-Name", session.subscriber.name),
                ("Framed-IP-Address", session.subscriber.framed_address),
                ("Calling-Station-Id", session.subscriber.calling_station),
            )
        )
    ]


def _change(given: Mapping[str, list[Any]]) -> Change | ErrorCause:
    timeouts, filters = given.get("Session-Timeout", []), given.get("Filter-Id", [])
    if not timeouts and not filters:
        return ErrorCause.MISSING_ATTRIBUTE
    if len(timeouts) > 1 or len(filters) > 1:
        return ErrorCause.INVALID_REQUEST
    change = Change(timeouts[0] if timeouts else None)
    if filters:
        speed = _SPEED.fullmatch(filters[0])
        if speed is None:
            return ErrorCause.INVALID_ATTRIBUTE_VALUE
        down, up = int(speed[1]), int(speed[2] or speed[1])
        change = msgspec.structs.replace(change, down=down * 125, up=up * 125)
    return change
