"""The command line as a person or a program uses it: words in; status, output and errors out."""

import contextlib
import io
import json
import logging
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from ratewire.cli import main


class Ended(msgspec.Struct, frozen=True):
    """What a command has left."""

    status: int
    out: str
    err: str


class CommandLine:
    """`ratewire`, in this process, with a settings file and no environment of its own."""

    def __init__(self, config: Path | None = None) -> None:
        self._config = config

    def __call__(self, *words: str, stdin: bytes = b"", **environment: str) -> Ended:
        """Run a command to its end."""
        config = [] if self._config is None else ["--config", str(self._config)]
        return self.bare(*words, *config, stdin=stdin, **environment)

    def bare(self, *words: str, stdin: bytes = b"", **environment: str) -> Ended:
        """Run a command to its end, without the settings file."""
        out, err = io.StringIO(), io.StringIO()
        with (
            _process(["ratewire", *words], stdin, environment),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            try:
                main()
            except SystemExit as ended:
                status = ended.code if isinstance(ended.code, int) else 0
            else:
                status = 0
        return Ended(status, out.getvalue(), err.getvalue())

    def done(self, *words: str, stdin: bytes = b"") -> str:
        """Return what a command prints that ends well, without a word of warning."""
        ended = self(*words, stdin=stdin)
        assert (ended.status, ended.err) == (0, ""), ended
        return ended.out

    def json(self, *words: str, stdin: bytes = b"") -> Any:
        """Return the JSON that such a command prints."""
        return json.loads(self.done(*words, "--json", stdin=stdin))

    def refused(self, *words: str, stdin: bytes = b"") -> str:
        """Return why a command is refused: one line, and nothing on standard output."""
        ended = self(*words, stdin=stdin)
        assert (ended.status, ended.out) == (1, ""), ended
        assert ended.err.startswith("ratewire: "), ended
        assert ended.err.count("\n") == 1, ended
        return ended.err.removeprefix("ratewire: ").removesuffix("\n")


@contextmanager
def _process(words: list[str], stdin: bytes, environment: dict[str, str]) -> Generator[None]:
    """What a new process would find, put back afterwards."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RATEWIRE_")}
    before = (sys.argv, sys.stdin, dict(os.environ), logging.root.handlers[:], logging.root.level)
    sys.argv = words
    sys.stdin = io.TextIOWrapper(io.BytesIO(stdin))
    _set_environment({**kept, **environment})
    try:
        yield
    finally:
        sys.argv, sys.stdin = before[:2]
        _set_environment(before[2])
        logging.root.handlers[:] = before[3]
        logging.root.setLevel(before[4])


def _set_environment(environment: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)
