"""A subscriber's session on a simulated NAS: how much it used by when."""

from random import Random

import msgspec


class Habit(msgspec.Struct, frozen=True):
    """How a subscriber uses the line: speeds in octets/s, times in seconds."""

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


class LiveSession(msgspec.Struct):
    """One session that is up on a NAS. Times are seconds of the runner's clock."""

    user: str
    session_id: str
    address: str
    began: float
    habit: Habit
    ends: float
    next_report: float
    octets_in: int = 0
    octets_out: int = 0
    counted: float = 0.0

    def count(self, now: float, random: Random) -> None:
        """Bring the counters up to now: the line is used in bursts around the habit's speed."""
        elapsed = max(0.0, now - self.counted)
        self.octets_in += int(self.habit.up * elapsed * random.uniform(0.5, 1.5))
        self.octets_out += int(self.habit.down * elapsed * random.uniform(0.5, 1.5))
        self.counted = now
