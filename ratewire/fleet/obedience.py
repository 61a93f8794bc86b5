"""How a simulated NAS takes Disconnect- and CoA-Requests: strictly by RFC 5176. Pure.

A request must name a session by attributes that all fit (section 3), a Disconnect-Request may carry
nothing else (section 3.6, table), and one attribute that is not supported refuses it whole (section
2.3). A CoA-Request can change Session-Timeout, in seconds from now as accel-ppp takes it, and
Filter-Id, a speed as accel-ppp writes it: "DOWN/UP" or one for both, in kbit/s; and Class, which
either request may set for the records that follow (section 3.6, notes 3 and 4).
"""

import re
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from radius.dynauth import ErrorCause
from radius.packet import Code
from radius.requests import DynamicRequest, dynamic_reply, read_dynamic_request
from ratewire.fleet.subscriber import LiveSession

#: RFC 5176, section 6.3: how far Event-Timestamp may be off.
WINDOW_S = 300

#: How long duplicates are known. One that is of the near future is fresh for two windows.
REMEMBERED_S = 2 * WINDOW_S

_OF_NAS: Final = ("NAS-Identifier", "NAS-IP-Address")
_OF_SESSION: Final = ("User-Name", "Acct-Session-Id", "Framed-IP-Address", "Calling-Station-Id")
_REPEATABLE: Final = ("Class", "Proxy-State", "Reply-Message")
_ANYWHERE: Final = ("Event-Timestamp", "Message-Authenticator", *_REPEATABLE)
_BY_CODE: Final = {
    Code.DISCONNECT_REQUEST: ("Acct-Terminate-Cause",),
    Code.COA_REQUEST: ("Session-Timeout", "Filter-Id"),
}

_SPEED = re.compile(r"([0-9]{1,7})(?:/([0-9]{1,7}))?")


class Change(msgspec.Struct, frozen=True):
    """What a CoA-Request changes; None stays as it is. Speeds are in octets/s."""

    timeout_s: int | None = None
    down: int | None = None
    up: int | None = None


class Obeyed(msgspec.Struct, frozen=True):
    """A request that is carried out: the session ends if `change` is None, else it changes.

    `classes` are the Class attributes of the session's records from now on; none: as before.
    """

    session: LiveSession
    change: Change | None
    classes: tuple[bytes, ...] = ()


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
        self._replies: dict[tuple[object, bytes], bytes] = {}
        self._remembered: deque[tuple[float, tuple[object, bytes]]] = deque()

    def take(
        self,
        datagram: bytes,
        source: object,
        sessions: Mapping[str, LiveSession],
        now: float,
    ) -> Told:
        """Judge a datagram. `sessions` are those that are up, by Acct-Session-Id."""
        self._forget(now)
        request = read_dynamic_request(datagram, secret=self._secret)
        if request is None or not _is_fresh(request, now):
            return Told(None)
        key = (source, datagram[:20])
        known = self._replies.get(key)
        if known is not None:
            return Told(known, repeated=True)
        verdict = self._judge(request, sessions)
        refused = verdict if isinstance(verdict, ErrorCause) else None
        reply = dynamic_reply(
            datagram, secret=self._secret, ack=refused is None, error_cause=refused
        )
        self._replies[key] = reply
        self._remembered.append((now, key))
        return Told(reply, verdict if isinstance(verdict, Obeyed) else None, refused)

    def _forget(self, now: float) -> None:
        while self._remembered and self._remembered[0][0] < now - REMEMBERED_S:
            del self._replies[self._remembered.popleft()[1]]

    def _judge(
        self, request: DynamicRequest, sessions: Mapping[str, LiveSession]
    ) -> Obeyed | ErrorCause:
        given = request.attributes
        if "Service-Type" in given:
            return ErrorCause.UNSUPPORTED_SERVICE  # Authorize Only (section 3.2)
        supported = {*_OF_NAS, *_OF_SESSION, *_ANYWHERE, *_BY_CODE[Code(request.code)]}
        if request.has_unknown or not set(given) <= supported:
            return ErrorCause.UNSUPPORTED_ATTRIBUTE
        if any(len(given[name]) > 1 for name in set(given).difference(_REPEATABLE)):
            return ErrorCause.INVALID_REQUEST
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
        classes = tuple(given.get("Class", ()))
        if request.code == Code.DISCONNECT_REQUEST:
            return Obeyed(found[0], None, classes)
        change = _change(given)
        return change if isinstance(change, ErrorCause) else Obeyed(found[0], change, classes)


def _is_fresh(request: DynamicRequest, now: float) -> bool:
    """Whether a request is of now, as far as it says; an old one may be replayed by anybody."""
    times = request.attributes.get("Event-Timestamp", ())
    return all(abs(time - now) <= WINDOW_S for time in times)


def _matching(
    given: Mapping[str, list[Any]], sessions: Mapping[str, LiveSession]
) -> list[LiveSession]:
    """The sessions that fit everything a request says."""
    candidates: Sequence[LiveSession]
    if "Acct-Session-Id" in given:
        [named] = given["Acct-Session-Id"]
        candidates = [sessions[named]] if named in sessions else []
    else:
        candidates = list(sessions.values())
    return [
        session
        for session in candidates
        if all(
            given.get(name, [value]) == [value]
            for name, value in (
                ("User-Name", session.subscriber.name),
                ("Framed-IP-Address", session.subscriber.framed_address),
                ("Calling-Station-Id", session.subscriber.calling_station),
            )
        )
    ]


def _change(given: Mapping[str, list[Any]]) -> Change | ErrorCause:
    if not any(name in given for name in ("Session-Timeout", "Filter-Id", "Class")):
        return ErrorCause.MISSING_ATTRIBUTE
    [timeout] = given.get("Session-Timeout", [None])
    [filter_id] = given.get("Filter-Id", [None])
    if filter_id is None:
        return Change(timeout)
    # What is not UTF-8 comes as bytes.
    speed = _SPEED.fullmatch(filter_id) if isinstance(filter_id, str) else None
    if speed is None:
        return ErrorCause.INVALID_ATTRIBUTE_VALUE
    down, up = int(speed[1]), int(speed[2] or speed[1])
    return Change(timeout, down=down * 125, up=up * 125)
