"""Settings from a TOML file, then from the environment; every fault is reported at once."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta, Struct

from config.settings import Settings

ENVIRONMENT_PREFIX = "RATEWIRE_"


class Fault(Struct, frozen=True):
    """One faulty setting: its name, where it was given, and what is wrong with it."""

    key: str
    """`section.key`, or the unknown name as it was given."""
    source: str
    """`FILE:LINE`, `FILE`, or the name of the environment variable."""
    problem: str
    """The value, with credentials taken out, and what is allowed."""

    def __str__(self) -> str:
        """One line, for people."""
        return f"{self.key} ({self.source}): {self.problem}"


class SettingsError(Exception):
    """The settings cannot be used. `faults` holds every fault, file first, then environment."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        """`faults` is not empty."""
        assert faults
        self.faults = faults
        heading = "1 faulty setting" if len(faults) == 1 else f"{len(faults)} faulty settings"
        super().__init__("\n".join([heading + ":", *(f"  {fault}" for fault in faults)]))


class _Key(Struct, frozen=True):
    """One setting: where it belongs and how a value for it is judged."""

    section: str
    name: str
    type: Any
    meta: Meta

    @property
    def dotted(self) -> str:
        return f"{self.section}.{self.name}"

    @property
    def variable(self) -> str:
        return f"{ENVIRONMENT_PREFIX}{self.section.upper()}__{self.name.upper()}"

    def _extra(self, name: str) -> Callable[[Any], Any] | None:
        extra = cast("dict[str, Callable[[Any], Any]]", self.meta.extra or {})
        return extra.get(name)

    def parse(self, given: object, *, from_text: bool) -> object:
        """The value, checked; ValueError when it is not allowed."""
        bare = self.type.__origin__
        if given == "" and type(None) in get_args(bare):
            return None
        if from_text and get_origin(bare) is tuple:
            given = [part.strip() for part in str(given).split(",")]
        value = msgspec.convert(given, self.type, strict=not (from_text and bare in (int, bool)))
        check = self._extra("check")
        if check is not None and value is not None and not check(value):
            raise ValueError
        return value

    def refuse(self, given: object, source: str) -> Fault:
        """The fault of a value that `parse` refused, without the credentials in it."""
        redact = self._extra("redact")
        if redact is None:
            shown = repr(given)
        else:
            shown = repr(redact(given)) if isinstance(given, str) else f"a {type(given).__name__}"
        return Fault(self.dotted, source, f"{shown} is not allowed; allowed: {self.allowed}")

    @property
    def allowed(self) -> str:
        assert self.meta.description is not None, f"{self.dotted} does not say what is allowed"
        return self.meta.description


class _Collected:
    """Values by section and key with their sources, and the faults met on the way."""

    def __init__(self) -> None:
        self.values: dict[str, dict[str, object]] = {}
        self.sources: dict[str, str] = {}
        self.faults: list[Fault] = []

    def take(self, key: _Key, given: object, source: str, *, from_text: bool) -> None:
        try:
            value = key.parse(given, from_text=from_text)
        except ValueError:  # msgspec.ValidationError is one
            self.faults.append(key.refuse(given, source))
            return
        self.values.setdefault(key.section, {})[key.name] = value
        self.sources[key.dotted] = source


def load(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """Settings from the TOML file at `path` (None: no file), overridden by `environ`.

    `environ` may hold foreign variables; every one that begins with RATEWIRE_ must be
    RATEWIRE_SECTION__KEY of a known setting. A list is comma-separated there.
    Raises SettingsError with all faults of both sources.
    """
    keys = {key.dotted: key for key in _keys()}
    collected = _Collected()
    if path is not None:
        _take_file(path, keys, collected)
    _take_environment(environ, keys, collected)
    settings = msgspec.convert(collected.values, Settings)
    _check_together(settings, collected)
    if collected.faults:
        raise SettingsError(tuple(collected.faults))
    return settings


def _keys() -> list[_Key]:
    found: list[_Key] = []
    for section, section_type in get_type_hints(Settings).items():
        for name, hint in get_type_hints(section_type, include_extras=True).items():
            [meta] = [item for item in hint.__metadata__ if isinstance(item, Meta)]
            found.append(_Key(section, name, hint, meta))
    return found


def _take_file(path: Path, keys: Mapping[str, _Key], collected: _Collected) -> None:
    try:
        text = path.read_text(encoding="utf-8")
        document = tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        problem = f"the file cannot be read: {reason}; allowed: a readable TOML file"
        collected.faults.append(Fault("settings file", str(path), problem))
        return
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"at line (\d+)", str(error))
        source = f"{path}:{line.group(1)}" if line else str(path)
        problem = f"this is not TOML: {error}"
        collected.faults.append(Fault("settings file", source, problem))
        return
    lines = _lines_of_keys(text)
    sections = {key.section for key in keys.values()}
    for section, content in document.items():
        if section not in sections:
            source = _source(path, lines.get(section))
            collected.faults.append(_unknown(section, source, "section", sections))
        elif not isinstance(content, dict):
            problem = f"this is a section; allowed: [{section}] with its keys below it"
            collected.faults.append(Fault(section, _source(path, lines.get(section)), problem))
        else:
            for name, given in cast("dict[str, object]", content).items():
                dotted = f"{section}.{name}"
                source = _source(path, lines.get(dotted))
                if dotted in keys:
                    collected.take(keys[dotted], given, source, from_text=False)
                else:
                    collected.faults.append(_unknown(dotted, source, "key", keys))


def _take_environment(
    environ: Mapping[str, str], keys: Mapping[str, _Key], collected: _Collected
) -> None:
    by_variable = {key.variable: key for key in keys.values()}
    for variable in sorted(environ):
        if not variable.startswith(ENVIRONMENT_PREFIX):
            continue
        if variable in by_variable:
            key = by_variable[variable]
            collected.take(key, environ[variable], variable, from_text=True)
        else:
            fault = _unknown(variable, "environment", "variable", by_variable)
            collected.faults.append(fault)


def _check_together(settings: Settings, collected: _Collected) -> None:
    radius = settings.radius
    if radius.auth_port == radius.acct_port:
        source = collected.sources.get("radius.acct_port") or collected.sources.get(
            "radius.auth_port", "default"
        )
        problem = (
            f"{radius.acct_port} is also radius.auth_port; allowed: two different ports, "
            "since both listen on the same addresses"
        )
        collected.faults.append(Fault("radius.acct_port", source, problem))


def _unknown(name: str, source: str, kind: str, known: Mapping[str, object] | set[str]) -> Fault:
    """The fault of a name that is no setting. Its value is not shown: it might be a secret."""
    problem = f"there is no such {kind}"
    close = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.6)
    if not close:
        # A key in the wrong section or without one is far off as text, yet its last word is right.
        last = re.split(r"[._]", name.lower())[-1]
        same = [other for other in sorted(known) if re.split(r"[._]", other.lower())[-1] == last]
        close = same[:1]
    if close:
        problem += f"; did you mean {close[0]}?"
    else:
        problem += f"; allowed: {', '.join(sorted(known))}"
    return Fault(name, source, problem)


def _source(path: Path, line: int | None) -> str:
    return str(path) if line is None else f"{path}:{line}"


def _lines_of_keys(text: str) -> dict[str, int]:
    """Where each `section` and `section.key` is first named; a best effort for messages only."""
    lines: dict[str, int] = {}
    section = ""
    for number, line in enumerate(text.splitlines(), start=1):
        header = re.match(r"\s*\[+\s*([\w.\-\"']+)\s*\]+", line)
        assignment = re.match(r"\s*([\w\-\"']+(?:\s*\.\s*[\w\-\"']+)*)\s*=", line)
        if header:
            section = re.sub(r"[\"'\s]", "", header.group(1))
            lines.setdefault(section, number)
        elif assignment:
            name = re.sub(r"[\"'\s]", "", assignment.group(1))
            dotted = f"{section}.{name}" if section else name
            lines.setdefault(dotted, number)
            lines.setdefault(dotted.partition(".")[0], number)
    return lines
