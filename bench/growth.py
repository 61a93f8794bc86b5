"""Whether what a soak has looked at grows. Pure: looks in, a verdict for each series out.

What should be level is judged over the second half of the looks, for a system has to fill its
caches first:

- *trend*, for memory, and for octets a key and a row: the median slope between any two looks, times
  the length of the half. Flat is at most TREND of the middle value, or the least that is worth
  naming.
- *peak*, for what goes up and down by its nature (dead rows until a vacuum, entries until they are
  settled): the highest of the second half, against the highest of the first. Flat is at most PEAK
  of it more, or the least that is worth naming.
- *median*, for the latency by minute: that of the second half against that of the first. Flat is at
  most MEDIAN of it more, or half a millisecond.

Tables gain rows by their nature and are judged by their octets a row, those of less than
a mebioctet not at all. The store remembers closed sessions for a week, so it is judged by the
octets of each key added since the first look, and its process by what it has beyond its data.
"""

from collections.abc import Sequence
from itertools import combinations
from statistics import median
from typing import Any, Final

import msgspec

#: What was there at one moment, by name; "at" is when (Unix seconds).
Look = dict[str, float]

TREND: Final = 0.03
PEAK: Final = 0.25
MEDIAN: Final = 0.25

#: What is too little to be judged: octets of a process or a table, entries or rows, milliseconds.
LEAST_OCTETS: Final = 1 << 20
LEAST_STORE_OCTETS: Final = 8 << 20  # buffers of a rewrite of its log come and go
LEAST_KEY_OCTETS: Final = 32
LEAST_COUNT: Final = 2_000
LEAST_MS: Final = 0.5

#: How far settlement may be behind at any time.
LAG_MS: Final = 5_000


class Verdict(msgspec.Struct, frozen=True):
    """How a series was judged: what it grew by, in its own unit, and what was allowed."""

    rule: str
    first: float
    middle: float
    last: float
    grew: float
    allowed: float

    @property
    def flat(self) -> bool:
        """Whether it did not grow beyond what is allowed."""
        return self.grew <= self.allowed


def trend(times: Sequence[float], values: Sequence[float]) -> float:
    """Return by how much values grow from the first time to the last (Theil-Sen)."""
    points = list(zip(times, values, strict=True))
    slopes = [(w - v) / (u - t) for (t, v), (u, w) in combinations(points, 2) if u > t]
    return median(slopes) * (times[-1] - times[0]) if slopes else 0.0


def by_trend(times: Sequence[float], values: Sequence[float], least: float) -> Verdict:
    """Judge what should be level."""
    half = len(values) // 2
    middle = median(values[half:])
    grew = trend(times[half:], values[half:])
    return _verdict("trend", values, grew, max(TREND * middle, least))


def by_peak(values: Sequence[float], least: float) -> Verdict:
    """Judge what goes up and down."""
    half = len(values) // 2
    before, after = max(values[:half], default=0.0), max(values[half:])
    return _verdict("peak", values, after - before, max(PEAK * before, least))


def by_median(values: Sequence[float], least: float) -> Verdict:
    """Judge what scatters."""
    half = len(values) // 2
    before, after = median(values[:half] or values), median(values[half:])
    return _verdict("median", values, after - before, max(MEDIAN * before, least))


def _verdict(rule: str, values: Sequence[float], grew: float, allowed: float) -> Verdict:
    return Verdict(rule, values[0], values[len(values) // 2], values[-1], grew, allowed)


def verdicts(looks: Sequence[Look], minutes: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return how each series is judged, by name. `minutes` are those of the load, in order."""
    times = [look["at"] for look in looks]
    names = sorted({name for look in looks for name in look} - {"at"})
    series = {name: [look.get(name, 0.0) for look in looks] for name in names}
    judged: dict[str, Verdict] = {}
    data = series["store used_memory"]
    for name, values in series.items():
        table, _, what = name.rpartition(" ")
        if name in ("valkey uss", "valkey rss"):
            beyond = [octets - used for octets, used in zip(values, data, strict=True)]
            judged[f"{name} beyond its data"] = by_trend(times, beyond, LEAST_STORE_OCTETS)
        elif name.endswith((" uss", " rss")):
            judged[name] = by_trend(times, values, LEAST_OCTETS)
        elif what == "octets" and max(values) >= LEAST_OCTETS:
            rows = series[f"{table} rows"]
            each = [octets / max(count, 1) for octets, count in zip(values, rows, strict=True)]
            judged[f"{name} a row"] = by_trend(times, each, LEAST_OCTETS / max(rows[-1], 1))
            judged[f"{table} dead rows"] = by_peak(series[f"{table} dead rows"], LEAST_COUNT)
    judged["stream length"] = by_peak(series["stream length"], LEAST_COUNT)
    added = [_each(data, series["store keys"], at) for at in range(len(looks))]
    judged["store octets a key added"] = by_trend(times, added, LEAST_KEY_OCTETS)
    lag = series["settlement lag ms"]
    judged["settlement lag ms"] = _verdict("bound", lag, max(lag), LAG_MS)
    for name in ("p50_ms", "p99_ms"):
        judged[f"latency {name}"] = by_median([each[name] for each in minutes], LEAST_MS)
    return {name: _told(verdict) for name, verdict in judged.items()}


def _each(octets: Sequence[float], keys: Sequence[float], at: int) -> float:
    """Return the octets of each key that was added since the first look."""
    more = keys[at] - keys[0]
    return (octets[at] - octets[0]) / more if more > 0 else 0.0


def _told(verdict: Verdict) -> dict[str, Any]:
    rounded = {
        name: round(value, 2) if isinstance(value, float) else value
        for name, value in msgspec.structs.asdict(verdict).items()
    }
    return rounded | {"flat": verdict.flat}
