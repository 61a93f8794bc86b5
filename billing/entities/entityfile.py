"""Entity files: TOML with the fields of billing.entities.entity.Entity.

`logo_file` names an SVG file beside it, in the place of `logo`.
"""

import tomllib
from pathlib import Path

import msgspec

from billing.entities.entity import Entity
from billing.errors import InvalidInput


def read_entity(path: Path) -> Entity:
    """Return the entity of a file. Raises InvalidInput, also when it cannot be read."""
    try:
        document = tomllib.loads(_text(path))
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(f"{path}: is not TOML: {error}") from error
    logo = document.pop("logo_file", None)
    if logo is not None:
        document["logo"] = _text(path.parent / str(logo))
    try:
        return msgspec.convert(document, Entity)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"{path}: {error}") from error


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InvalidInput(f"{path}: cannot be read: {reason}") from error
