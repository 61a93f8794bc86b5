"""What a payer's words may name: numbers of invoices, ids of accounts, people. Pure."""

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeVar

from billing.reconciliation.statement import BankLine

#: A number may be written in so many words ("INV 2026 000 12"), of so many letters altogether.
_MOST_WORDS: Final = 5
_MOST_LETTERS: Final = 64
_LEAST_LETTERS: Final = 3

_PLAIN: Final = re.compile(r"[A-Za-z0-9]+")
#: What a hyphen joins is one word: "2026" in INV-2026-00012 names nobody.
_WORD: Final = re.compile(r"[A-Za-z0-9]+(?:[-_@][A-Za-z0-9]+)*")
_NAME: Final = re.compile(r"\w+")

T = TypeVar("T")


def plain(text: str) -> str:
    """Return the letters and digits of a text, in capitals; as `plain_name` in the database."""
    return "".join(_PLAIN.findall(text)).upper()


def words_of(line: BankLine) -> list[str]:
    """Return the words in which a payer may have named something."""
    return [plain(word) for word in _WORD.findall(f"{line.reference} {line.text}")]


def candidates(words: Sequence[str]) -> Iterator[str]:
    """Return what words may name: each alone, and what successive ones make with a digit in it."""
    for start in range(len(words)):
        for _, name in _from(words, start):
            yield name


def found_in(words: Sequence[str], look: Callable[[str], Sequence[T]]) -> list[T]:
    """Return all that words name. What is part of a longer name that is known is not looked up."""
    found: list[T] = []
    start = 0
    while start < len(words):
        known = [(end, look(name)) for end, name in _from(words, start)]
        known = [(end, things) for end, things in known if things]
        found.extend(thing for _, things in known for thing in things)
        start = max((end for end, _ in known), default=start + 1)
    return found


def _from(words: Sequence[str], start: int) -> Iterator[tuple[int, str]]:
    name = ""
    for end in range(start + 1, min(start + _MOST_WORDS, len(words)) + 1):
        name += words[end - 1]
        if len(name) > _MOST_LETTERS:
            return
        alone = end == start + 1
        if len(name) >= _LEAST_LETTERS and (alone or any(map(str.isdigit, name))):
            yield end, name


def person(name: str) -> frozenset[str]:
    """Return what is the same of a name however a bank writes it: its words, without accents."""
    folded = unicodedata.normalize("NFKD", name.casefold())
    bare = "".join(each for each in folded if not unicodedata.combining(each))
    for written, vowel in (("ae", "a"), ("oe", "o"), ("ue", "u")):
        bare = bare.replace(written, vowel)
    return frozenset(_NAME.findall(bare))


def same_person(one: str, other: str) -> bool:
    """Whether two names are one person's: all words of one, and at least two, are in the other."""
    first, second = person(one), person(other)
    if first == second:
        return bool(first)
    shorter, longer = sorted((first, second), key=len)
    return len(shorter) > 1 and shorter <= longer
