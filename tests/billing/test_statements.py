"""Named statements: how a file is read, what is refused, and that all names in use exist."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import billing
from billing.statements import StatementsError, load, parse

ROOT = Path(billing.__file__).parent

GOOD = """\
-- About this file.

-- name: first
-- Says what the first is for,
-- in two lines.
SELECT 1  -- a comment inside
FROM things;

-- name: second_one
-- Says what the second is for.
SELECT 2
"""


def test_statements_are_found_by_name_without_their_headers() -> None:
    assert parse(GOOD, "here") == {
        "first": "SELECT 1  -- a comment inside\nFROM things",
        "second_one": "SELECT 2",
    }


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("-- name:\n-- For this.\nSELECT 1", "f.sql:1: '' is no name"),
        ("-- name: Two Words\n-- For this.\nSELECT 1", "f.sql:1: 'Two Words' is no name"),
        (
            "-- name: a\n-- For this.\nSELECT 1\n-- name: a\n-- For that.\nSELECT 2",
            "f.sql:4: there are two statements named a",
        ),
        ("-- name: a\nSELECT 1", "f.sql:1: a does not say what it is for"),
        ("-- name: a\n-- For this.\n", "f.sql:1: a is empty"),
        ("-- name: a\n-- For this.\n\n-- name: b\n-- For that.\nSELECT 1", "f.sql:1: a is empty"),
        ("SELECT 1;\n-- name: a\n-- For this.\nSELECT 1", "before the first"),
        ("SELECT 1", "before the first"),
    ],
)
def test_a_faulty_file_is_refused_with_its_place(text: str, fault: str) -> None:
    with pytest.raises(StatementsError, match=r"^f\.sql:") as caught:
        parse(text, "f.sql")
    assert fault in str(caught.value)


def loaded_files(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """The (variable, file) of each `VARIABLE = load(__package__, "file.sql")` of a module."""
    for node in tree.body:
        match node:
            case ast.Assign(
                targets=[ast.Name(id=variable)],
                value=ast.Call(args=[ast.Name(id="__package__"), ast.Constant(value=str(file))]),
            ):
                yield variable, file
            case _:
                pass


def constants(tree: ast.AST) -> set[str]:
    """The texts in a piece of code."""
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def names_taken(tree: ast.Module, variable: str) -> set[str]:
    """The names of the statements that a module takes from a variable by name."""
    return {
        name
        for node in ast.walk(tree)
        if isinstance(node, ast.Subscript)
        and isinstance(node.value, ast.Name)
        and node.value.id == variable
        and isinstance(node.slice, ast.Constant)
        for name in constants(node.slice)
    }


def test_every_statement_in_use_exists_and_every_one_that_exists_is_used() -> None:
    taken: dict[Path, set[str]] = {path: set() for path in ROOT.rglob("*.sql")}
    mentioned: dict[Path, set[str]] = {path: set() for path in taken}
    for module in ROOT.rglob("*.py"):
        tree = ast.parse(module.read_text(encoding="utf-8"))
        for variable, file in loaded_files(tree):
            taken[module.parent / file] |= names_taken(tree, variable)
            mentioned[module.parent / file] |= constants(tree)
    for path in taken:
        names = set(load(".".join(path.parent.relative_to(ROOT.parent).parts), path.name))
        assert taken[path] <= names, path
        assert names <= mentioned[path], path
