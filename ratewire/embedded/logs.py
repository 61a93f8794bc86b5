"""The servers' log files: their last lines for error messages, and a bound on their size.

They lie in directories of the servers' user, so no link in them is followed.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

TAIL_LINES = 15
TAIL_OCTETS = 8192


def tail(path: Path) -> str:
    """The last lines of `path`; empty when there is no such file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return ""
    with os.fdopen(descriptor, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - TAIL_OCTETS))
        text = file.read(TAIL_OCTETS).decode(errors="replace")
    return "\n".join(text.splitlines()[-TAIL_LINES:])


def rotate(path: Path, bound_octets: int) -> None:
    """Put `path` aside as `path`.1, over an earlier one, once it has grown to `bound_octets`.

    For a writer that opens its log anew for every line.
    """
    with contextlib.suppress(FileNotFoundError):
        if path.lstat().st_size >= bound_octets:
            path.replace(path.with_name(f"{path.name}.1"))


def newest(directory: Path, pattern: str) -> Path | None:
    """The file in `directory` that matches `pattern` and is last in the order of names."""
    return max(directory.glob(pattern), key=lambda path: path.name, default=None)


def remove_oldest(directory: Path, pattern: str, keep: int) -> None:
    """Delete all but the last `keep` files, in the order of names, that match `pattern`."""
    for path in sorted(directory.glob(pattern), key=lambda path: path.name)[:-keep]:
        path.unlink(missing_ok=True)
