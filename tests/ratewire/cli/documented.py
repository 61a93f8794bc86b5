"""The JSON of the commands, as docs/cli.md documents it, and whether a value keeps to it."""

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import msgspec

DOCUMENT = Path(__file__).parents[3] / "docs" / "cli.md"

#: A key that is a currency stands for any other.
_CURRENCY = re.compile(r"[A-Z]{3}")


class Key(msgspec.Struct, frozen=True):
    """One documented value: its path as `jq` has it, its type, and whether it may be null."""

    path: str
    type: str
    nullable: bool


def _is_time(value: object) -> bool:
    if not isinstance(value, str) or not value.endswith("Z"):
        return False
    return datetime.fromisoformat(value).tzinfo is not None


_TYPES: dict[str, Callable[[object], bool]] = {
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "text": lambda value: isinstance(value, str),
    "time": _is_time,
    "true or false": lambda value: isinstance(value, bool),
}


def tables() -> dict[str, list[dict[str, Key]]]:
    """Every table of keys in the document, by the heading it is under."""
    found: dict[str, list[dict[str, Key]]] = {}
    text = DOCUMENT.read_text(encoding="utf-8")
    for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        heading, _, body = section.partition("\n")
        for table in re.findall(r"^\| key \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", body, re.MULTILINE):
            keys = {key.path: key for line in table.splitlines() for key in _keys(line)}
            found.setdefault(heading, []).append(keys)
    return found


def _keys(line: str) -> Iterator[Key]:
    paths, type_, meaning = (cell.strip() for cell in line.strip("|").split("|"))
    assert meaning, line
    bare = type_.removesuffix(" or null")
    assert bare in _TYPES, line
    for path in re.findall(r"`([^`]+)`", paths):
        yield Key(path, bare, nullable=bare != type_)


def leaves(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Every value inside a JSON value with its path; an empty array or object counts as one."""
    if isinstance(value, dict) and value:
        for key, inner in cast("dict[str, Any]", value).items():
            name = "<currency>" if _CURRENCY.fullmatch(key) else key
            yield from leaves(inner, f"{path}.{name}")
    elif isinstance(value, list) and value:
        for inner in cast("list[Any]", value):
            yield from leaves(inner, f"{path or '.'}[]")
    else:
        yield path, value


def assert_documented(value: object, keys: dict[str, Key]) -> set[str]:
    """Check that a value has the documented keys, no others, each of its type.

    Returns the keys that the value does not show, because they are inside what is empty.
    """
    there = list(leaves(value))
    empty = {path for path, inner in there if inner in ([], {})}
    for path, inner in there:
        if path in empty:
            continue
        assert path in keys, f"{path} is not documented"
        key = keys[path]
        right = _TYPES[key.type](inner) or (inner is None and key.nullable)
        assert right, f"{path} is {inner!r}, documented as {key}"
    unseen = keys.keys() - {path for path, _ in there}
    hidden = {path for path in unseen if any(path.startswith((f"{e}.", f"{e}[")) for e in empty)}
    assert unseen == hidden, f"documented, but not there: {unseen - hidden}"
    return hidden
