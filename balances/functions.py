"""The store's function library: joining its files, loading it, naming its functions.

The library's name carries its version. A new version is loaded beside the old one, so that old and
new workers overlap in a rolling restart.
"""

from collections.abc import Awaitable, Callable
from importlib import resources
from typing import cast

from redis.exceptions import ResponseError

LIBRARY = "ratewire_1"

#: In the order in which they define what the later ones use.
_FILES = ("prelude", "jobs", "grants", "commit", "apply", "sweep", "books")


def name(function: str) -> str:
    """Return the versioned name of a function of the library."""
    return f"{LIBRARY}_{function}"


def source() -> str:
    """Return the library as one Lua text."""
    folder = resources.files("balances") / "lua"
    parts = [(folder / f"{file}.lua").read_text(encoding="utf-8") for file in _FILES]
    return f"#!lua name={LIBRARY}\n" + "\n".join(parts)


async def load(execute: Callable[..., Awaitable[object]], text: str | None = None) -> None:
    """Load the library where it is missing or differs; a no-op where it is there already.

    `execute` sends one command. Raises ResponseError if the store refuses it.
    """
    text = source() if text is None else text
    listed = await execute("FUNCTION", "LIST", "LIBRARYNAME", LIBRARY, "WITHCODE")
    libraries = cast("list[dict[bytes, object]]", listed)
    if any(library.get(b"library_code") == text.encode() for library in libraries):
        return
    await execute("FUNCTION", "LOAD", "REPLACE", text)


def is_missing(error: ResponseError) -> bool:
    """Return whether a call failed because the library is not loaded (a flushed store)."""
    return "Function not found" in str(error)
