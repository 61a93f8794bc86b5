"""The attribute dictionary loads, and says what the package's data refer to."""

from radius.dictionary import load_dictionary
from radius.identification import NAMES


def test_it_is_read_once() -> None:
    assert load_dictionary() is load_dictionary()


def test_it_has_every_name_that_a_profile_may_use() -> None:
    assert set(load_dictionary().attributes) >= NAMES


def test_numbers_are_unique() -> None:
    numbers = [(entry.vendor, entry.code) for entry in load_dictionary().attributes.values()]
    assert len(numbers) == len(set(numbers))
