"""What really happened on the NASes: sessions as they were lived, and what is known to be kept.

This is the side of the truth. It knows nothing of epochs, only which sessions shared an
Acct-Session-Id, and whether a server could tell them apart (`Name.doubts`).
"""

import msgspec

from radius.records import AcctStatus

#: Counters as a NAS reports them: seconds, octets in, octets out.
Triple = tuple[int, int, int]
ZERO: Triple = (0, 0, 0)


def highest(one: Triple, other: Triple) -> Triple:
    """Return the higher of each counter."""
    return max(one[0], other[0]), max(one[1], other[1]), max(one[2], other[2])


def reaches(high: Triple, low: Triple) -> bool:
    """Whether no counter is below the other's."""
    return high[0] >= low[0] and high[1] >= low[1] and high[2] >= low[2]


class Life(msgspec.Struct, eq=False):
    """One session as its NAS lived it.

    `began` is Unix seconds by the clock of its NAS, `moves` how often that clock had been moved by
    then. `kept` are the highest counters that were acknowledged, `arrived` those that any server
    process can have read. `separated` tells by what it is known from the one before.
    """

    name: "Name"
    user: str
    began_ms: int
    began: int
    moves: int
    address: str
    octets_in: int = 0
    octets_out: int = 0
    last_event: int = 0
    kept: Triple = ZERO
    arrived: Triple = ZERO
    separated: str = "first"
    up: bool = True
    start_kept: bool = False
    stop_kept: bool = False
    later_arrived: bool = False

    def counters(self, now_ms: int) -> Triple:
        """Return what it counts now."""
        return (now_ms - self.began_ms) // 1000, self.octets_in, self.octets_out


class Name(msgspec.Struct, eq=False):
    """All lives under one Acct-Session-Id of one NAS, in order.

    `doubts` say why a server cannot tell them apart, by what NASes send; then what is charged for
    them together is not held against what they counted.
    """

    key: str
    session_id: str
    lives: list[Life] = []
    doubts: set[str] = set()

    def kept(self) -> Triple:
        """Return the sums of what was acknowledged."""
        return _sum([life.kept for life in self.lives])

    def arrived(self) -> Triple:
        """Return the sums of what has arrived."""
        return _sum([life.arrived for life in self.lives])


def _sum(triples: list[Triple]) -> Triple:
    seconds, octets_in, octets_out = 0, 0, 0
    for triple in triples:
        seconds += triple[0]
        octets_in += triple[1]
        octets_out += triple[2]
    return seconds, octets_in, octets_out


class Report(msgspec.Struct, frozen=True, eq=False):
    """One record as a NAS made it. `life` is None for Accounting-On."""

    status: AcctStatus
    life: Life | None
    made_ms: int
    event_time: int
    counters: Triple
    attributes: bytes
