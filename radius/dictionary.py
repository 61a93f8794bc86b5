"""Attribute names, numbers and types, for the packets that pyrad builds and takes apart.

The accounting path does not use it: its numbers stand in `radius.attributes`. A test holds the two
together.
"""

from functools import cache
from pathlib import Path

from pyrad.dictionary import Dictionary

_FILE = Path(__file__).parent / "dictionaries" / "dictionary.ratewire"


@cache
def load_dictionary() -> Dictionary:
    """The dictionary of standard attributes, read once. Enumerated values stay numbers."""
    return Dictionary(str(_FILE))
