"""A subscriber's line on a simulated NAS: when it is used, and how much by when. Pure."""

from ipaddress import IPv4Address
from random import Random

import msgspec

#: RFC 6598: addresses that providers give to subscribers, 2^22 of them.
_FIRST_FRAMED_ADDRESS = int(IPv4Address("100.64.0.0"))
_FRAMED_ADDRESSES = 2**22

#: Who is cut tries again after about so long, doubling while it stays in vain.
FIRST_PATIENCE_S, LONGEST_PATIENCE_S = 8.0, 120.0

#: A session that lasted this long was not in vain.
WORTHWHILE_S = 60.0


class Habit(msgspec.Struct, frozen=True):
    """How a line is used: speeds in octets/s, lengths of sessions and of the pauses in seconds."""

    down: int
    up: int
    online: float
    offline: float


def habit(random: Random, megabits: float) -> Habit:
    """Return a habit around a mean speed in Mbit/s."""
    down = megabits * 1_000_000 / 8 * random.uniform(0.2, 1.8)
    return Habit(
        down=int(down),
        up=int(down * random.uniform(0.05, 0.2)),
        online=random.uniform(300, 3600),
        offline=random.uniform(2, 20),
    )


class Subscriber:
    """One user name of a fleet. What it does is drawn from a sequence of its own.

    So it does the same in every run of a seed, whatever the others do at which moment.
    """

    def __init__(self, name: str, number: int, megabits: float, seed: int) -> None:
        """`number` is its place in the fleet, from 0."""
        self.name = name
        self.number = number
        self.random = Random(f"{seed}/{name}")
        self.habit = habit(self.random, megabits)
        self._patience = FIRST_PATIENCE_S

    @property
    def framed_address(self) -> str:
        """The address it gets."""
        return str(IPv4Address(_FIRST_FRAMED_ADDRESS + (self.number + 1) % _FRAMED_ADDRESSES))

    @property
    def calling_station(self) -> str:
        """The address of its modem: locally administered, and no other's."""
        return "02-00-" + self.number.to_bytes(4).hex("-").upper()

    def pause_after(self, seconds: float, *, cut: bool) -> float:
        """Return how long it stays away after a session that lasted so long, and was cut or not."""
        if not cut or seconds >= WORTHWHILE_S:
            self._patience = FIRST_PATIENCE_S
        if not cut:
            return self.habit.offline
        pause = self._patience
        self._patience = min(pause * 2, LONGEST_PATIENCE_S)
        return pause * self.random.uniform(0.75, 1.25)


class LiveSession(msgspec.Struct):
    """One session that is up on a NAS. Times are seconds of the fleet's clock.

    `down` and `up` are the speeds it may use now, in octets/s. `counted` is up to when the counters
    tell.
    """

    subscriber: Subscriber
    session_id: str
    began: float
    ends: float
    down: int
    up: int
    counted: float
    octets_in: int = 0
    octets_out: int = 0
    cut: bool = False

    def count(self, now: float) -> None:
        """Bring the counters up to now: the line is used in bursts around its speed."""
        elapsed = max(0.0, now - self.counted)
        random = self.subscriber.random
        self.octets_in += int(self.up * elapsed * random.uniform(0.5, 1.5))
        self.octets_out += int(self.down * elapsed * random.uniform(0.5, 1.5))
        self.counted = max(self.counted, now)

    def seconds(self, now: float) -> int:
        """Return Acct-Session-Time. Never less than before, whatever `now` is."""
        return int(max(now, self.counted) - self.began)
