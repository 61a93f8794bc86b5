"""Where the picture goes: a terminal, in place, or lines where there is none."""

import os
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.live import Live

from ratewire.demo import screen
from ratewire.demo.watch import Happening, Picture
from ratewire.embedded.private_files import open_private_file

#: Without a terminal the figures are printed this often.
SAY_S = 2.0


class Lines:
    """Shows the picture as lines: what happened since the last look, and the figures."""

    def __init__(self, console: Console, heading: str) -> None:
        self._console = console
        self._print(heading)
        self._shown: frozenset[Happening] = frozenset()
        self._said = 0.0

    def picture(self, picture: Picture) -> None:
        """Show it."""
        for event in picture.happenings:
            if event not in self._shown:
                self._print(screen.happening(event))
        self._shown = frozenset(picture.happenings)
        if time.monotonic() - self._said >= SAY_S:
            self._print(screen.line(picture))
            self._said = time.monotonic()

    def _print(self, text: str) -> None:
        self._console.print(text, soft_wrap=True, markup=False)


class Drawn:
    """Shows the picture on a terminal, in place."""

    def __init__(self, live: Live, heading: str) -> None:
        self._live = live
        self._heading = heading

    def picture(self, picture: Picture) -> None:
        """Show it, as large as the terminal is now."""
        size = self._live.console.size
        drawn = screen.draw(picture, self._heading, size.width, size.height)
        self._live.update(drawn, refresh=True)


@contextmanager
def shower(console: Console, heading: str, *, tty: bool) -> Generator[Lines | Drawn]:
    """Provide what shows pictures on a console."""
    if not tty:
        yield Lines(console, heading)
        return
    with Live(console=console, auto_refresh=False, screen=True) as live:
        yield Drawn(live, heading)


@contextmanager
def logs_to(file: Path) -> Generator[None]:
    """Send standard error, of this process and of those it starts, to the end of a file.

    If its directory does not exist it is made, closed to others as embedded servers would make it.
    """
    file.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
    opened = open_private_file(file, os.O_WRONLY | os.O_APPEND)
    sys.stderr.flush()
    kept = os.dup(2)
    os.dup2(opened, 2)
    os.close(opened)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)
