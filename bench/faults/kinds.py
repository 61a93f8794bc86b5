"""The faults: what is done to the real parts, and what the log must say of it."""

import os
import signal
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager

import msgspec

from bench.faults.scene import GRACE_S, Line, Scene
from tests.acceptance.installation import eventually

#: For how long a server stands still.
STOP_S = 10.0

#: For how long a disk is full.
FULL_S = 6.0

#: Strokes of a store that is slow and yet answers in time, and of one that does not; so long, and
#: so long apart.
SLOW, STALLED = (0.2, 0.05), (3.0, 1.0)
SLOW_S = 8.0

#: A NAS's request that was lost is sent again after so long (bench.load).
_AGAIN_S = 2.0

_BOOKING = {"what": "booking accounting"}
_FAILS, _WORKS = Line("failing", _BOOKING), Line("works again", _BOOKING)
_WAITS, _SETTLES = Line("settlement waits"), Line("settlement runs")
_JOURNALS = Line("journaling: records are kept before they are booked")
_REPLAYED = Line("the journal is replayed")


class Kind(msgspec.Struct, frozen=True):
    """A kind of fault. `inflict` does it and returns when it is over."""

    name: str
    inflict: Callable[[Scene], None]
    begins: Sequence[Line]
    """What the log must say of it."""
    ends: Sequence[Line]
    """What the log must say when it is over."""
    silence_s: float
    """The longest time without an acknowledgement."""
    resumes_s: float
    """From its end until the load is answered at the full rate."""
    times: int = 1
    journal: bool = True
    small: str | None = None
    """The server that has a small disk."""


def _kill_role(role: str) -> Callable[[Scene], None]:
    def inflict(scene: Scene) -> None:
        """One of it; after the last one, as soon as there is one again."""
        eventually(lambda: scene.serving.role(role))[0].kill()

    return inflict


def _kill_server(name: str) -> Callable[[Scene], None]:
    return lambda scene: scene.server(name).kill()


def _kill_everything(scene: Scene) -> None:
    scene.serving.kill_everything()
    scene.serving = scene.installation.start()


def _stop_server(name: str) -> Callable[[Scene], None]:
    def inflict(scene: Scene) -> None:
        with _frozen(scene, name):
            time.sleep(STOP_S)

    return inflict


def _strokes(still_s: float, apart_s: float) -> Callable[[Scene], None]:
    def inflict(scene: Scene) -> None:
        end = time.monotonic() + SLOW_S
        while time.monotonic() < end:
            with _frozen(scene, "valkey"):
                time.sleep(still_s)
            time.sleep(apart_s)

    return inflict


def _fill_disk(scene: Scene) -> None:
    assert scene.disk is not None
    with scene.disk.full():
        time.sleep(FULL_S)


@contextmanager
def _frozen(scene: Scene, name: str) -> Generator[None]:
    """A server and its processes stand still meanwhile."""
    server = scene.server(name)
    with ExitStack() as stack:
        for process in (server, *server.children()):
            os.kill(process.pid, signal.SIGSTOP)
            stack.callback(os.kill, process.pid, signal.SIGCONT)
        yield


def _ended(process: str) -> Line:
    return Line("a process ended and is started again", {"process": process})


def _again(server: str) -> Line:
    return Line("an embedded server was started again", {"server": server})


def _store_stopped(*, journal: bool) -> Kind:
    """From the journal, after the grace; without it, once the store is back."""
    return Kind(
        "store-stopped" if journal else "store-stopped-no-journal",
        _stop_server("valkey"),
        begins=[_FAILS, _JOURNALS] if journal else [_FAILS],
        ends=[_REPLAYED] if journal else [_WORKS],
        silence_s=GRACE_S + 2 * _AGAIN_S if journal else STOP_S + 2 * _AGAIN_S,
        resumes_s=6,
        journal=journal,
    )


def _store_disk_full(*, journal: bool) -> Kind:
    """Valkey ends when it cannot write, and is started again and again until it can.

    In between it answers for moments, and the grace of the journal may begin anew.
    """
    return Kind(
        "store-disk-full" if journal else "store-disk-full-no-journal",
        _fill_disk,
        begins=[_FAILS, Line("embedded valkey is not running: starting it again")],
        ends=[_again("valkey"), _WORKS],
        silence_s=FULL_S + 10,
        resumes_s=15,
        journal=journal,
        small="valkey",
    )


KINDS: Sequence[Kind] = (
    Kind(
        "listener-killed",
        _kill_role("listener"),
        begins=[_ended("listener")],
        ends=[Line("listening")],
        silence_s=1,
        resumes_s=4,
        times=4,
    ),
    Kind(
        "settlement-killed",
        _kill_role("settlement"),
        begins=[_ended("settlement")],
        ends=[_SETTLES],
        silence_s=1,
        resumes_s=1,
        times=3,
    ),
    Kind(
        "enforcer-killed",
        _kill_role("enforcer"),
        begins=[_ended("enforcer")],
        ends=[Line("enforcing")],
        silence_s=1,
        resumes_s=1,
        times=3,
    ),
    Kind(
        "store-killed",
        _kill_server("valkey"),
        begins=[_FAILS],
        ends=[_again("valkey"), _WORKS],
        silence_s=6,
        resumes_s=8,
        times=3,
    ),
    Kind(
        "postgres-killed",
        _kill_server("postgres"),
        begins=[_WAITS],
        ends=[_again("postgres"), _SETTLES],
        silence_s=1,
        resumes_s=1,
        times=3,
    ),
    Kind(
        "everything-killed",
        _kill_everything,
        begins=[],  # nobody is left to tell
        ends=[Line("embedded valkey started"), Line("listening")],
        silence_s=15,
        resumes_s=15,
        times=2,
    ),
    Kind(
        "postgres-stopped",
        _stop_server("postgres"),
        begins=[_WAITS],
        ends=[_SETTLES],
        silence_s=1,
        resumes_s=1,
    ),
    _store_stopped(journal=True),
    _store_stopped(journal=False),
    Kind(
        "store-stalls",
        _strokes(*STALLED),
        begins=[_FAILS],
        ends=[_WORKS],
        silence_s=8,
        resumes_s=6,
    ),
    Kind(
        "store-slow",
        _strokes(*SLOW),
        begins=[],  # it is within its time
        ends=[],
        silence_s=1,
        resumes_s=6,
    ),
    _store_disk_full(journal=True),
    _store_disk_full(journal=False),
    Kind(
        "postgres-disk-full",
        _fill_disk,
        begins=[_WAITS],
        ends=[_SETTLES],
        silence_s=1,
        resumes_s=1,
        small="postgres",
    ),
)
