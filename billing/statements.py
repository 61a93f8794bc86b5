"""Named SQL statements from the .sql files beside the modules that use them.

A file is a sequence of statements, each under its header:

    -- name: lock_account
    -- One line or more that say what it is for and what its parameters are.
    SELECT ... FROM ... WHERE account_id = $1

The header's lines are not sent to the server. Comments inside a statement are.
"""

import re
from collections.abc import Mapping
from importlib import resources
from types import MappingProxyType

_HEADER = re.compile(r"^-- name:[ \t]*(.*?)[ \t]*$", re.MULTILINE)
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_PURPOSE = re.compile(r"(?:\n--[^\n]*\S)+")


class StatementsError(Exception):
    """A file of statements that is not as it must be; the message says where and why."""


def load(package: str | None, file: str) -> Mapping[str, str]:
    """Return the statements of `file` in `package` (pass `__package__`), by name.

    Raises StatementsError when a name is missing, malformed or used twice, when a statement has no
    purpose or is empty, or when there is anything but comments before the first one.
    """
    assert package, "statements belong to a package"
    text = (resources.files(package) / file).read_text(encoding="utf-8")
    return parse(text, f"{package}/{file}")


def parse(text: str, where: str) -> Mapping[str, str]:
    """Return the statements of a text; `where` it is from goes into the errors. See `load`."""
    headers = list(_HEADER.finditer(text))
    preamble = text[: headers[0].start()] if headers else text
    if any(line and not line.startswith("--") for line in preamble.splitlines()):
        raise StatementsError(f"{where}: there is SQL before the first '-- name:' line")
    statements: dict[str, str] = {}
    for index, header in enumerate(headers):
        name = header.group(1)
        line = text.count("\n", 0, header.start()) + 1
        if not _NAME.fullmatch(name):
            raise StatementsError(
                f"{where}:{line}: {name!r} is no name; use lower-case letters, digits and _"
            )
        if name in statements:
            raise StatementsError(f"{where}:{line}: there are two statements named {name}")
        end = headers[index + 1].start() if index + 1 < len(headers) else len(text)
        purpose = _PURPOSE.match(text, header.end(), end)
        if purpose is None:
            raise StatementsError(f"{where}:{line}: {name} does not say what it is for")
        statement = text[purpose.end() : end].strip().removesuffix(";")
        if not statement:
            raise StatementsError(f"{where}:{line}: {name} is empty")
        statements[name] = statement
    return MappingProxyType(statements)
