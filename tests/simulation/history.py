"""One seed, one history: events, then calm, then the reckoning."""

import traceback
from collections.abc import Callable

import msgspec
import structlog

from tests.balances.world import START_MS, memory_world
from tests.balances.world import World as Ports
from tests.simulation.auditor import Violation
from tests.simulation.postgres import settling_here
from tests.simulation.processes import enforcing_here
from tests.simulation.road import Run, run_in_memory
from tests.simulation.world import World

#: Long enough for every job and every silence to come to its end (virtual ms).
PATIENCE_MS = 12 * 3600 * 1000

#: In the first part of the calm what must be cut is cut, with all back-off (virtual ms).
CUTTING_MS = 15 * 60 * 1000


class Told(msgspec.Struct, frozen=True):
    """What came of a history. `failure` is None if all held; `digest` is of every event."""

    seed: int
    events: int
    steps: int
    virtual_s: int
    lives: int
    doubtful: int
    happened: dict[str, int]
    digest: str
    failure: str | None
    last: list[str]


def live(
    seed: int,
    events: int,
    *,
    ports: Ports | None = None,
    run: Run = run_in_memory,
    trace: Callable[[str], None] | None = None,
) -> Told:
    """Live through a history; `ports` are of empty books, in memory unless they are given."""
    logging = structlog.get_config()
    structlog.configure(processors=[_drop])
    failure = None
    try:
        with settling_here():
            world = World(seed, ports or memory_world(), run, trace)
            try:
                with enforcing_here(world.edges):
                    _live(world, events)
            except (Exception, Violation) as error:  # noqa: BLE001 - what breaks is the outcome
                failure = "".join(traceback.format_exception(error))
            world.clockwork.close()
    finally:
        structlog.configure(**logging)
    names = world.names()
    return Told(
        seed=seed,
        events=world.clockwork.events,
        steps=world.auditor.steps,
        virtual_s=(world.clockwork.now_ms - START_MS) // 1000,
        lives=sum(len(name.lives) for name in names),
        doubtful=sum(len(name.lives) for name in names if name.doubts),
        happened=dict(world.happened),
        digest=world.digest,
        failure=failure,
        last=list(world.last),
    )


def _live(world: World, events: int) -> None:
    clockwork = world.clockwork
    while clockwork.events < events and world.step():
        pass
    world.calm_down()
    until = clockwork.now_ms + CUTTING_MS
    while clockwork.now_ms < until and world.step():
        pass
    world.check_that_the_suspended_are_off()
    for nas in world.nases:
        nas.close_down()
    until = clockwork.now_ms + PATIENCE_MS
    while not world.is_at_rest():
        assert clockwork.now_ms < until, "it does not come to rest"
        assert world.step()
    assert world.postgres.settled is not None
    world.auditor.finally_(world.names(), world.postgres.charged, world.postgres.settled)


def _drop(_logger: object, name: str, event: object) -> str:
    """Log nothing; but what the product itself takes for a bug of its own is one."""
    if name == "exception":
        raise Violation(f"logged: {event}\n{traceback.format_exc()}")
    raise structlog.DropEvent
