"""Accounting records as a NAS makes them: attributes by name, for whatever client sends them."""

from collections.abc import Mapping, Sequence
from enum import IntEnum

import msgspec

Value = str | int | bytes
Attributes = Mapping[str, Value | Sequence[Value]]


class Status(IntEnum):
    """Acct-Status-Type (RFC 2866, section 5.1)."""

    START = 1
    STOP = 2
    INTERIM = 3
    ACCOUNTING_ON = 7


class Reply(msgspec.Struct, frozen=True):
    """A genuine answer, as the client that got it has verified it."""

    code: int
    proxy_states: tuple[bytes, ...] = ()


class Login(msgspec.Struct, frozen=True):
    """One session of a user on a NAS, which began at `began` (Unix seconds) by the NAS's clock.

    Each record says when it happened (Event-Timestamp); counters are 64-bit, and split as the RFCs
    want it. Further attributes are named with underscores for hyphens.
    """

    user: str
    session_id: str
    began: int

    def start(self, **more: Value) -> Attributes:
        """Its Start."""
        return self._record(Status.START, 0, {}, more)

    def interim(self, seconds: int, octets_in: int, octets_out: int, **more: Value) -> Attributes:
        """An Interim-Update after so many seconds."""
        return self._record(
            Status.INTERIM, seconds, _counters(seconds, octets_in, octets_out), more
        )

    def stop(self, seconds: int, octets_in: int, octets_out: int, **more: Value) -> Attributes:
        """Its Stop after so many seconds."""
        return self._record(Status.STOP, seconds, _counters(seconds, octets_in, octets_out), more)

    def bare_stop(self, seconds: int) -> Attributes:
        """A Stop that has no counters at all."""
        return self._record(Status.STOP, seconds, {}, {})

    def _record(
        self, status: Status, seconds: int, counters: dict[str, Value], more: dict[str, Value]
    ) -> Attributes:
        return {
            "Acct-Status-Type": int(status),
            "Acct-Session-Id": self.session_id,
            "User-Name": self.user,
            "Event-Timestamp": self.began + seconds,
            **counters,
            **{name.replace("_", "-"): value for name, value in more.items()},
        }


def accounting_on(at: int) -> Attributes:
    """The NAS has restarted."""
    return {"Acct-Status-Type": int(Status.ACCOUNTING_ON), "Event-Timestamp": at}


def without_timestamp(record: Attributes, delay: int) -> Attributes:
    """A record of a NAS without Event-Timestamp, which says for how long it has been trying."""
    kept = {name: value for name, value in record.items() if name != "Event-Timestamp"}
    return {**kept, "Acct-Delay-Time": delay}


def _counters(seconds: int, octets_in: int, octets_out: int) -> dict[str, Value]:
    counters: dict[str, Value] = {"Acct-Session-Time": seconds}
    for direction, octets in (("Input", octets_in), ("Output", octets_out)):
        gigawords, low = divmod(octets, 2**32)
        counters[f"Acct-{direction}-Octets"] = low
        if gigawords:
            counters[f"Acct-{direction}-Gigawords"] = gigawords
    return counters
