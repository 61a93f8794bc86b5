"""Virtual time, and tasks that are stepped by hand in it. Nothing here really waits.

A task is a coroutine that awaits only what this module gives: a moment, or a mailbox. Between two
awaits nothing else happens, so every interleaving of tasks comes from the moments that the world
draws from its seed.
"""

import heapq
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Generic, TypeVar

from tests.balances.world import START_MS

Item = TypeVar("Item")
Act = Callable[[], object]


class Wait:
    """What a task awaits: to be woken at a moment (None: never), or when its mailbox is filled."""

    __slots__ = ("at_ms", "mailbox")

    def __init__(self, at_ms: int | None, mailbox: "Mailbox[Any] | None" = None) -> None:
        self.at_ms = at_ms
        self.mailbox = mailbox

    def __await__(self) -> Generator["Wait", None, None]:
        """Give itself to the clockwork, and go on when woken."""
        yield self


class Mailbox(Generic[Item]):
    """Where one task waits for what others bring."""

    def __init__(self, clockwork: "Clockwork") -> None:
        self._clockwork = clockwork
        self._items: deque[Item] = deque()
        self.waiting: Task | None = None

    def put(self, item: Item) -> None:
        """Bring something; the task that waits goes on now."""
        self._items.append(item)
        waiting, self.waiting = self.waiting, None
        if waiting is not None:
            self._clockwork.wake(waiting)

    def take(self) -> Item | None:
        """Return what was brought first, if anything was."""
        return self._items.popleft() if self._items else None

    async def until(self, at_ms: int) -> Item | None:
        """Wait for something until a moment; None if nothing came."""
        if not self._items:
            await Wait(at_ms, self)
            self.waiting = None
        return self.take()


class Task:
    """A coroutine of some process. `owner` says whose it is: who dies, dies with all its tasks."""

    __slots__ = ("_ended", "coroutine", "done", "name", "owner", "turn")

    def __init__(self, name: str, owner: object, coroutine: Coroutine[Any, Any, None]) -> None:
        self._ended: list[Callable[[Task], object]] = []
        self.name = name
        self.owner = owner
        self.coroutine = coroutine
        self.turn = 0
        self.done = False

    def add_done_callback(self, ended: "Callable[[Task], object]") -> None:
        """Call this when it has ended, whatever way (as of asyncio.Task)."""
        self._ended.append(ended)

    def end(self) -> None:
        """Note that it goes on no more."""
        self.done = True
        for ended in self._ended:
            ended(self)


class Clockwork:
    """The order in which everything happens: by time, then by the order in which it was planned."""

    def __init__(self) -> None:
        self.now_ms = START_MS
        self.events = 0
        self.current: Task | None = None
        self.slowness = 1
        self._agenda: list[tuple[int, int, str, Act]] = []
        self._planned = 0
        self._tasks: dict[Task, None] = {}

    def at(self, at_ms: int, name: str, act: Act) -> None:
        """Plan something."""
        self._planned += 1
        heapq.heappush(self._agenda, (max(at_ms, self.now_ms), self._planned, name, act))

    def after(self, delay_ms: int, name: str, act: Act) -> None:
        """Plan something, from now."""
        self.at(self.now_ms + delay_ms, name, act)

    def start(self, name: str, owner: object, coroutine: Coroutine[Any, Any, None]) -> Task:
        """Begin a task, now."""
        task = Task(name, owner, coroutine)
        self._tasks[task] = None
        self.wake(task)
        return task

    def wake(self, task: Task) -> None:
        """Let a task go on, now."""
        self._plan_turn(task, self.now_ms)

    def kill(self, owner: object) -> int:
        """End all tasks of a process where they stand; return how many there were."""
        found = [task for task in self._tasks if task.owner is owner]
        for task in found:
            self._end(task)
            if task is not self.current:
                task.coroutine.close()
        return len(found)

    async def tick(self, delay_ms: int) -> None:
        """Rest between two rounds of a process that goes on for ever; longer where all is calm."""
        await Wait(self.now_ms + delay_ms * self.slowness)

    def next(self) -> tuple[str, Act] | None:
        """Move the time on to what comes next, and return it; None if nothing is planned."""
        if not self._agenda:
            return None
        at_ms, _, name, act = heapq.heappop(self._agenda)
        self.now_ms = at_ms
        self.events += 1
        return name, act

    def close(self) -> None:
        """Let go of all tasks."""
        for task in self._tasks:
            task.coroutine.close()
        self._tasks.clear()

    def _plan_turn(self, task: Task, at_ms: int) -> None:
        task.turn += 1
        turn = task.turn

        def go_on() -> None:
            if not task.done and task.turn == turn:
                self._step(task)

        self.at(at_ms, task.name, go_on)

    def _step(self, task: Task) -> None:
        self.current = task
        try:
            wait = task.coroutine.send(None)
        except StopIteration:
            self._end(task)
            return
        finally:
            self.current = None
        if task.done:  # it was killed by what it did
            task.coroutine.close()
            return
        assert isinstance(wait, Wait), wait
        if wait.mailbox is not None:
            wait.mailbox.waiting = task
        if wait.at_ms is not None:
            self._plan_turn(task, wait.at_ms)

    def _end(self, task: Task) -> None:
        self._tasks.pop(task, None)
        task.end()
