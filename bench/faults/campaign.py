"""One kind of fault under load, from the first record to the books."""

import time
from pathlib import Path
from typing import Any, Final

from bench.faults.disk import NoDisk
from bench.faults.kinds import Kind
from bench.faults.scene import Line, Scene, under_load
from bench.faults.watch import RATE_S
from ratewire.embedded.errors import EmbeddedServersError
from tests.acceptance.installation import eventually

#: Before the first fault and after the last one, and at least between two.
STEADY_S: Final = 2.0

#: How long is waited for the full rate, and for a line of the log.
PATIENCE_S: Final = 60.0


def campaign(kind: Kind, parent: Path | None, *, rate: float, sessions: int) -> dict[str, Any]:
    """Return what was seen of a kind of fault; `wrong` is what should not have been."""
    head = {"kind": kind.name, "journal": kind.journal}
    try:
        with under_load(
            parent, rate=rate, sessions=sessions, journal=kind.journal, small=kind.small
        ) as scene:
            return head | _run(kind, scene)
    except NoDisk as error:
        return head | {"skipped": str(error)}
    except (AssertionError, EmbeddedServersError, TimeoutError) as error:
        # It did not come to its end; the other kinds have their turn.
        return head | {"exact": False, "wrong": [f"{type(error).__name__}: {error}"]}


def _run(kind: Kind, scene: Scene) -> dict[str, Any]:
    watch = scene.watch
    wrong: list[str] = []
    opening = time.monotonic()
    eventually(lambda: watch.full_rate(opening, scene.rate), seconds=PATIENCE_S)
    time.sleep(STEADY_S)
    began = time.monotonic()
    resent = scene.load.retransmitted
    silences: list[float] = []
    answered: list[float] = []
    resumed: list[float] = []
    for _ in range(kind.times):
        at, wall = time.monotonic(), time.time()
        kind.inflict(scene)
        over = time.monotonic()
        full = eventually(lambda o=over: watch.full_rate(o, scene.rate), seconds=PATIENCE_S)
        silent, answering = watch.longest_silence(at, full + RATE_S)
        silences.append(answering - silent)
        answered.append(max(0.0, answering - max(silent, over)))
        resumed.append(full - over)
        wrong += _unsaid(kind, scene, wall)
        time.sleep(STEADY_S)
    ended = time.monotonic()
    scene.quieten()
    settling = scene.settle()
    if max(silences) > kind.silence_s:
        wrong.append(f"{max(silences):.1f} s of silence, allowed are {kind.silence_s}")
    if max(resumed) > kind.resumes_s:
        wrong.append(f"{max(resumed):.1f} s until the full rate, allowed are {kind.resumes_s}")
    try:
        books = scene.books()
    except AssertionError as error:
        wrong.append(str(error))
        books = {"exact": False}
    return {
        "count": kind.times,
        "rate_before": round(watch.rate(began - STEADY_S, began)),
        "rate_after": round(watch.rate(ended - STEADY_S, ended)),
        "seconds_without_acknowledgement": round(max(silences), 2),
        "seconds_to_acknowledgements": round(max(answered), 2),
        "seconds_to_full_rate": round(max(resumed), 2),
        "seconds_to_settle_the_rest": round(settling, 2),
        "retransmitted": scene.load.retransmitted - resent,
        "acknowledged": scene.load.acknowledged,
        **books,
        "wrong": wrong,
    }


def _unsaid(kind: Kind, scene: Scene, since: float) -> list[str]:
    """What the log should have said since a moment, and has not even after a while."""
    missing: list[Line] = []

    def all_is_said() -> bool:
        lines = scene.lines(since)
        expected = (*kind.begins, *kind.ends)
        missing[:] = [each for each in expected if not any(map(each.is_told_by, lines))]
        return not missing

    deadline = time.monotonic() + PATIENCE_S
    while not all_is_said() and time.monotonic() < deadline:
        time.sleep(0.1)
    return [f"the log does not say {each.event!r} {dict(each.fields)}" for each in missing]
