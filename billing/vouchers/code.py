"""Voucher codes: sixteen symbols that are read aloud and typed on a phone.

Fifteen are random (74 bits, so that a plain hash of them can be kept), the last one checks: a wrong
symbol, and two that changed places, are told before anything is looked up.
"""

import hashlib
import secrets
from collections.abc import Callable
from typing import Final

from billing.errors import InvalidInput

#: Digits and capitals without those that look alike (0 O, 1 I L). 31 is prime: every weight counts.
ALPHABET: Final = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
SYMBOLS: Final = 16
_GROUP: Final = 4
_MODULUS: Final = len(ALPHABET)


def generate(below: Callable[[int], int] = secrets.randbelow) -> str:
    """Return a new code; `below` returns a random number below its argument."""
    free = "".join(ALPHABET[below(_MODULUS)] for _ in range(SYMBOLS - 1))
    # The sum of all symbols by their weights (1 to 16) is 0: the last weight is 16, inverse 2.
    return free + ALPHABET[-_weighed(free) * pow(SYMBOLS, -1, _MODULUS) % _MODULUS]


def parse(text: str) -> str:
    """Return the code that somebody typed: case, blanks and dashes do not matter.

    Raises InvalidInput, which never repeats the text (it may be a code with one wrong symbol).
    """
    code = "".join(text.upper().replace("-", "").split())
    if len(code) != SYMBOLS or any(symbol not in ALPHABET for symbol in code):
        raise InvalidInput(
            f"a voucher code has {SYMBOLS} symbols: 2 to 9, and letters other than I, L, O"
        )
    if _weighed(code) % _MODULUS:
        raise InvalidInput("the voucher code has a typing error")
    return code


def show(code: str) -> str:
    """Return a code as it is printed: in groups of four."""
    return "-".join(code[at : at + _GROUP] for at in range(0, SYMBOLS, _GROUP))


def digest(code: str) -> bytes:
    """Return what is kept of a code: 32 octets."""
    return hashlib.sha256(b"ratewire voucher " + code.encode()).digest()


def _weighed(symbols: str) -> int:
    return sum(weight * ALPHABET.index(symbol) for weight, symbol in enumerate(symbols, start=1))
