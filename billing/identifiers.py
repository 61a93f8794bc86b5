"""What accounts and customers may be called: the tables' own rule."""

import re
from typing import Final

from billing.errors import InvalidInput

IDENTIFIER: Final = "[A-Za-z0-9][A-Za-z0-9._:@-]{0,63}"

_IDENTIFIER: Final = re.compile(IDENTIFIER)


def identifier(text: str, kind: str) -> str:
    """Return an id if it can be one; `kind` says whose. Raises InvalidInput."""
    if not _IDENTIFIER.fullmatch(text):
        raise InvalidInput(
            f"{kind} {text!r}: allowed are 1 to 64 letters, digits and . _ : @ -,"
            " beginning with a letter or digit"
        )
    return text
