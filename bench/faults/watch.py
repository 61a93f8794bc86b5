"""How a load is answered over time: rates, silences, and when it is answered as before."""

import threading
import time
from bisect import bisect_right

from bench.load import Load

#: How often it is looked at: the resolution of all times here.
LOOK_S = 0.02

#: A rate is taken over so long.
RATE_S = 1.0

#: It is answered as before at this share of the rate at which it is sent.
FULL = 0.9


class Watch:
    """Looks again and again at what a load has had acknowledged. Times are `time.monotonic()`."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._times = [time.monotonic()]
        self._counts = [load.acknowledged]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Look no more."""
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stop.wait(LOOK_S):
            count = self._load.acknowledged
            self._times.append(time.monotonic())
            self._counts.append(count)

    def _count(self, at: float) -> int:
        # The times are appended first, so there may be one more of them.
        there = bisect_right(self._times, at, hi=len(self._counts))
        return self._counts[max(0, there - 1)]

    def rate(self, began: float, ended: float) -> float:
        """Acknowledgements a second in a time."""
        return (self._count(ended) - self._count(began)) / (ended - began)

    def longest_silence(self, began: float, ended: float) -> tuple[float, float]:
        """When the longest time without an acknowledgement began and ended."""
        longest, last, count = (began, began), began, self._count(began)
        for at, seen in zip(self._times, self._counts, strict=False):
            if began < at <= ended and seen > count:
                longest = max(longest, (last, at), key=_length)
                last, count = at, seen
        return max(longest, (last, ended), key=_length)

    def full_rate(self, at: float, rate: float) -> float | None:
        """From when on after a moment the load was answered as it is sent; None: not yet."""
        for when in [at, *(each for each in self._times if each > at)]:
            if when + RATE_S > self._times[len(self._counts) - 1]:
                return None
            if self.rate(when, when + RATE_S) >= FULL * rate:
                return when
        return None


def _length(span: tuple[float, float]) -> float:
    return span[1] - span[0]
