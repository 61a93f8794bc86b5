"""What the documents name is there: links, files, modules, make targets, settings, log lines."""

import ast
import importlib
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("radius", "rating", "balances", "billing", "migrations", "config", "ratewire")
DIRECTORIES = (*PACKAGES, "tests", "bench", "docs", "deploy", "requirements", "typings", ".ci")
NOT_OURS = (".venv", "var", "build", "node_modules")

_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"(?:^    .*\n)+", re.MULTILINE)
_SPAN = re.compile(r"`([^`]+)`")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_FILE_NAME = re.compile(r"[\w.-]+\.(?:py|lua|sql|toml|md|service)")
_DOTTED = re.compile(r"([a-z_]+(?:\.\w+)+)(?:\(.*\))?")
_VARIABLE = re.compile(r"RATEWIRE_[A-Z_]+")
#: A name that stands for others: NNNN_what.sql, <id>, FILE.toml, *.txt.
_PLACEHOLDER = re.compile(r"[<>*{}]|NNNN|FILE")


def _is_ours(path: Path) -> bool:
    parts = path.relative_to(ROOT).parts[:-1]
    return not any(part in NOT_OURS or part.startswith(".") for part in parts)


DOCUMENTS = sorted(path for path in ROOT.rglob("*.md") if _is_ours(path))
FILE_NAMES = {path.name for path in ROOT.rglob("*.*") if _is_ours(path)}
each_document = pytest.mark.parametrize(
    "document", DOCUMENTS, ids=[str(path.relative_to(ROOT)) for path in DOCUMENTS]
)


class Document:
    """A Markdown file, taken apart into prose and code."""

    def __init__(self, path: Path) -> None:
        text = path.read_text(encoding="utf-8")
        unfenced = _FENCED.sub("", text)
        prose = _INDENTED.sub("", unfenced)
        self.spans = [" ".join(span.split()) for span in _SPAN.findall(prose)]
        self.blocks = "\n".join(_FENCED.findall(text) + _INDENTED.findall(unfenced))
        self.links: list[str] = _LINK.findall(_SPAN.sub("", prose))
        self.headings = re.findall(r"^#+ +(.+)$", prose, re.MULTILINE)


def settings() -> set[str]:
    """Every setting there is, as section.key."""
    document = tomllib.loads((ROOT / "config" / "default.toml").read_text(encoding="utf-8"))
    return {f"{section}.{key}" for section, keys in document.items() for key in keys}


SETTINGS = settings()
SECTIONS = {name.partition(".")[0] for name in SETTINGS}


def anchors(document: Path) -> set[str]:
    """The fragments by which a document's headings are linked to."""
    plain = (re.sub(r"[^\w\- ]", "", each.lower()) for each in Document(document).headings)
    return {each.replace(" ", "-") for each in plain}


@each_document
def test_relative_links_lead_somewhere(document: Path) -> None:
    broken: list[str] = []
    for link in Document(document).links:
        if re.match(r"[a-z]+:", link):
            continue
        target, _, fragment = link.partition("#")
        path = document.parent / target if target else document
        if not path.exists() or (fragment and fragment not in anchors(path)):
            broken.append(link)
    assert not broken


def missing_paths(spans: list[str]) -> Iterator[str]:
    """Those of the spans that look like files of the repository and are none."""
    for span in spans:
        if " " in span or _PLACEHOLDER.search(span):
            continue
        if span.partition("/")[0] in DIRECTORIES and "/" in span:
            if not (ROOT / span).exists():
                yield span
        elif _FILE_NAME.fullmatch(span) and span not in FILE_NAMES:
            yield span


@each_document
def test_files_that_are_named_exist(document: Path) -> None:
    assert not list(missing_paths(Document(document).spans))


def is_there(dotted: str) -> bool:
    """Whether a dotted name is a module of ours, or something in one."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for name in parts[length:]:
            found = getattr(found, name, None)
        return found is not None
    return False


def test_tests_that_are_named_exist() -> None:
    """Those of docs/acceptance.md, which says what is shown and where."""
    spans = Document(ROOT / "docs" / "acceptance.md").spans
    named = {span for span in spans if re.fullmatch(r"test_\w+", span)}
    sources = "\n".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    assert not named - set(re.findall(r"def (test_\w+)", sources))


@each_document
def test_modules_and_settings_that_are_named_exist(document: Path) -> None:
    """`radius` and `config` may begin either; the other sections are no packages."""
    unknown: list[str] = []
    for span in Document(document).spans:
        match = _DOTTED.fullmatch(span)
        if match is None or match[1] in SETTINGS or _FILE_NAME.fullmatch(span):
            continue
        first = match[1].partition(".")[0]
        if (first in PACKAGES and not is_there(match[1])) or first in SECTIONS - set(PACKAGES):
            unknown.append(span)
    assert not unknown


@each_document
def test_environment_variables_that_are_named_are_settings(document: Path) -> None:
    known = {f"RATEWIRE_{name.upper().replace('.', '__')}" for name in SETTINGS}
    content = Document(document)
    named = set(_VARIABLE.findall("\n".join([*content.spans, content.blocks])))
    assert named <= known | {"RATEWIRE_SECTION__KEY", "RATEWIRE_"}


@each_document
def test_make_targets_that_are_named_exist(document: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    content = Document(document)
    lines = [*content.spans, *(line.strip() for line in content.blocks.splitlines())]
    named = {match[1] for line in lines if (match := re.match(r"make ([a-z-]+)", line))}
    assert named <= targets


def test_every_setting_is_in_the_operators_guide() -> None:
    spans = Document(ROOT / "docs" / "operating.md").spans
    assert not SETTINGS - set(spans)


def test_every_decision_is_in_the_index() -> None:
    directory = ROOT / "docs" / "decisions"
    decisions = {path.name for path in directory.glob("[0-9]*.md")}
    index = Document(directory / "README.md")
    assert set(index.links) == decisions
    numbers = sorted(int(name[:4]) for name in decisions)
    assert numbers == list(range(1, len(numbers) + 1))


def logged() -> Iterator[str]:
    """The text of every log line of ours at warning and above."""
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                match node:
                    case ast.Call(
                        func=ast.Attribute(
                            value=ast.Name(id="_log" | "logger"),
                            attr="warning" | "error" | "critical" | "exception",
                        ),
                        args=[ast.Constant(value=str(text)), *_],
                    ):
                        yield text
                    case _:
                        pass


def test_every_log_line_is_explained_and_no_other() -> None:
    """Each text holds a phrase of the table in the operator's guide, and each phrase is in one."""
    guide = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
    _, _, section = guide.partition("\n## What the log says\n")
    rows = re.findall(r"^\| (`.*?) \|", section.partition("\n## ")[0], re.MULTILINE)
    # The names of a line's fields are told in parentheses.
    phrases = {p for row in rows for p in _SPAN.findall(re.sub(r"\(.*?\)", "", row))}
    lines = set(logged())
    assert not {line for line in lines if not any(phrase in line for phrase in phrases)}
    assert not {phrase for phrase in phrases if not any(phrase in line for line in lines)}
