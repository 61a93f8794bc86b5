"""Attribute names, numbers and types, for the packets that pyrad builds and takes apart.

The accounting path does not use it: its numbers stand in `radius.attributes`. A test holds the two
together.
"""

from functools import cache
from pathlib import Path

from pyrad.dictionary import Dictionary

_FOLDER = Path(__file__).parent / "dictionaries"
_FILES = ("dictionary.ratewire", "dictionary.vendors")


@cache
def load_dictionary() -> Dictionary:
    """Standard and vendors' attributes, read once. Enumerated values stay numbers."""
    return Dictionary(*(str(_FOLDER / file) for file in _FILES))
