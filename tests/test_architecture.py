"""The rules of the source tree: each module has its tests, is small, keeps SQL and Lua in files.

What may import what is import-linter's to check (pyproject.toml).
"""

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]

PACKAGES: Final = ("radius", "rating", "balances", "billing", "migrations", "config", "ratewire")

#: Python beside the product: as small, and tested by being run.
BESIDE: Final = ("bench", "tests")

MAX_MODULE_LINES: Final = 500
#: Of its body: the parameters of a command are its options, each with what is told of it.
MAX_FUNCTION_LINES: Final = 70

NAMES_THAT_SAY_NOTHING: Final = frozenset(
    ("util", "utils", "common", "helper", "helpers", "core", "misc", "shared")
)

#: Modules without a test file of their own: what tests them instead, and why it does.
MIRRORED_ELSEWHERE: Final = {
    "migrations/env.py": ("migrations/test_runner.py", "run by Alembic, and never imported"),
    "migrations/steps.py": ("migrations/test_runner.py", "what every revision that is run does"),
    "migrations/versions/*.py": ("migrations/test_runner.py", "all of them are run"),
    "ratewire/__main__.py": ("ratewire/cli", "what every test of a command starts"),
    "ratewire/cli/__init__.py": ("ratewire/cli", "what every test of a command starts"),
}

#: Python that may hold SQL, and why.
HOLDS_SQL: Final = {
    "billing/database.py": "asks which schema there is, before any statement can be relied on",
    "migrations/runner.py": "Alembic's own table, and the lock around all of it",
    "ratewire/embedded/postgres.py": "creates the one database before there is a server",
}

_SQL: Final = re.compile(
    r"\s*(SELECT|INSERT INTO|UPDATE \S+ SET|DELETE FROM|WITH \S+ AS|CREATE|ALTER|DROP|TRUNCATE)\s"
)
_LUA: Final = re.compile(r"redis\.p?call\(|#!lua name=\w")

_Function = ast.FunctionDef | ast.AsyncFunctionDef


def modules(*folders: str) -> Iterator[tuple[Path, ast.Module]]:
    """The Python files of these folders, by their paths from the root."""
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path.relative_to(ROOT), parsed(path)


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def functions(tree: ast.AST) -> Iterator[_Function]:
    return (node for node in ast.walk(tree) if isinstance(node, _Function))


def is_documentation(node: ast.stmt) -> bool:
    """A docstring, or the `...` of what is only declared."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def holds_code(tree: ast.Module) -> bool:
    """Whether something in it is done: not where there are only data, declarations and imports."""
    acts = (ast.Expr, ast.With, ast.For, ast.While, ast.If, ast.Try)
    return any(not all(map(is_documentation, each.body)) for each in functions(tree)) or any(
        isinstance(node, acts) and not is_documentation(node) for node in tree.body
    )


def mirror_of(module: Path) -> Path:
    return ROOT / "tests" / module.with_name(f"test_{module.name}")


def test_every_package_is_held_to_these_rules() -> None:
    found = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert found == {*PACKAGES, *BESIDE}


def test_every_module_that_holds_code_has_its_mirror_in_the_tests() -> None:
    missing = [
        str(path)
        for path, tree in modules(*PACKAGES)
        if holds_code(tree)
        and not mirror_of(path).exists()
        and not any(map(path.match, MIRRORED_ELSEWHERE))
    ]
    assert missing == []


def test_no_exception_from_that_is_stale() -> None:
    stale = [
        pattern
        for pattern, (instead, _) in MIRRORED_ELSEWHERE.items()
        if not (ROOT / "tests" / instead).exists()
        or not any(
            path.match(pattern) and holds_code(tree) and not mirror_of(path).exists()
            for path, tree in modules(*PACKAGES)
        )
    ]
    assert stale == []


def test_every_name_says_what_is_there() -> None:
    meaningless = [
        str(path)
        for path, _ in modules(*PACKAGES, *BESIDE)
        if NAMES_THAT_SAY_NOTHING.intersection((*path.parts[:-1], path.stem))
    ]
    assert meaningless == []


def test_modules_and_functions_are_small() -> None:
    large = [
        f"{path}: {lines} lines"
        for path, _ in modules(*PACKAGES, "bench")
        if (lines := len((ROOT / path).read_text().splitlines())) > MAX_MODULE_LINES
    ]
    large += [
        f"{path}:{function.lineno}: {function.name} has {lines} lines"
        for path, tree in modules(*PACKAGES, "bench")
        for function in functions(tree)
        if (lines := (function.end_lineno or 0) - function.body[0].lineno + 1) > MAX_FUNCTION_LINES
    ]
    assert large == []


def texts(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The string constants that are no documentation, with their lines."""
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes):
            text = node.value if isinstance(node.value, str) else node.value.decode("latin-1")
            if id(node) not in documentation:
                yield node.lineno, text


def test_sql_and_lua_stay_in_files() -> None:
    found: list[str] = []
    holding: set[str] = set()
    for path, tree in modules(*PACKAGES):
        for line, text in texts(tree):
            if _SQL.match(text) and str(path) in HOLDS_SQL:
                holding.add(str(path))
            elif _SQL.match(text) or _LUA.search(text):
                found.append(f"{path}:{line}: {text[:40]!r}")
    assert found == []
    assert holding == set(HOLDS_SQL), "an exception is stale"
