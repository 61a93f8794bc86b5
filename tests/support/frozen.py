"""A process that hangs: it keeps its connections and answers nothing."""

import contextlib
import os
import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def frozen(pid: int, at_most_s: float = 5.0) -> Generator[None]:
    """Freeze a process; not for long, so that who waits for it fails rather than hangs."""

    def thaw() -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)

    timer = threading.Timer(at_most_s, thaw)
    os.kill(pid, signal.SIGSTOP)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        thaw()
