"""Each NAS's share of what an enforcer does at a time, so that none holds up another.

An exchange with a NAS that does not answer takes 30 seconds. So a NAS begins with few places and
gets one more with each answer; after an exchange without one it has a single place, whose job is a
probe. Those of which no answer is known share a part of all places, however many they are; an
exchange that had to be sent again only waits, and takes none of these. Pure: the time is an
argument (milliseconds, of any clock).
"""

import msgspec

#: Exchanges at the same time with a NAS of which nothing is known, and with one that answers.
FIRST_PLACES, MOST_PLACES = 4, 32

#: How long a job without a place is put off at least and at most.
SHORTEST_WAIT_MS, LONGEST_WAIT_MS = 50, 5_000

#: Between two jobs of a NAS that are put off: they come back one by one and not in a crowd.
SPACING_MS = 2

#: What is known is forgotten when there are more NASes: a client may invent NAS-Identifiers.
_MOST_LANES = 10_000


class _Lane(msgspec.Struct):
    running: int = 0
    waiting: int = 0  # those of them that were sent more than once
    answers: bool = False
    places: int = FIRST_PLACES
    unanswered_ms: int | None = None  # when the first exchange since the last answer began
    last_due_ms: int = 0  # when the last job that was put off is due

    @property
    def doubtful(self) -> int:
        """Exchanges that may come to nothing, and have been sent once."""
        return 0 if self.answers else self.running - self.waiting

    def wait_ms(self, now_ms: int) -> int:
        """For how long to put off the next job: as long as there has been no answer, or more."""
        unanswered_ms = 0 if self.unanswered_ms is None else now_ms - self.unanswered_ms
        following_ms = self.last_due_ms + SPACING_MS - now_ms
        wait_ms = min(max(SHORTEST_WAIT_MS, unanswered_ms, following_ms), LONGEST_WAIT_MS)
        self.last_due_ms = now_ms + wait_ms
        return wait_ms


class Lanes:
    """Who may begin an exchange. A job that was given a place must leave it."""

    def __init__(self, most_probes: int) -> None:
        """All NASes of which no answer is known have `most_probes` places together."""
        self._most_probes = most_probes
        self._busy: dict[str, _Lane] = {}
        self._lanes: dict[str, _Lane] = {}

    def enter(self, nas: str, now_ms: int) -> int:
        """Take a place and return 0, or return for how many milliseconds to put the job off."""
        lane = self._lane(nas)
        if lane.running >= lane.places or not (lane.answers or self._may_probe()):
            return lane.wait_ms(now_ms)
        lane.running += 1
        self._busy[nas] = lane
        if lane.unanswered_ms is None:
            lane.unanswered_ms = now_ms
        return 0

    def answered(self, nas: str) -> None:
        """Note that a NAS answered, whatever it was."""
        lane = self._lane(nas)
        lane.places = min(lane.places + 1, MOST_PLACES)
        lane.answers = True
        lane.unanswered_ms = None

    def timed_out(self, nas: str) -> None:
        """Note that a NAS left an exchange without an answer."""
        lane = self._lane(nas)
        lane.places, lane.answers = 1, False

    def waits(self, nas: str) -> None:
        """Note that an exchange is sent again; a NAS that never answered is silent from then on."""
        lane = self._lane(nas)
        lane.waiting += 1
        if not lane.answers:
            lane.places = 1

    def leave(self, nas: str, *, waited: bool = False) -> None:
        """Give a place back; `waited` if that was noted of its exchange."""
        lane = self._lane(nas)
        lane.running -= 1
        lane.waiting -= waited
        if not lane.running:
            self._busy.pop(nas, None)

    @property
    def waiting(self) -> int:
        """How many exchanges have been sent more than once."""
        return sum(lane.waiting for lane in self._busy.values())

    def _lane(self, nas: str) -> _Lane:
        lane = self._lanes.get(nas)
        if lane is None:
            if len(self._lanes) >= _MOST_LANES:
                self._lanes = {name: each for name, each in self._lanes.items() if each.running}
            lane = self._lanes[nas] = _Lane()
        return lane

    def _may_probe(self) -> bool:
        return sum(lane.doubtful for lane in self._busy.values()) < self._most_probes
