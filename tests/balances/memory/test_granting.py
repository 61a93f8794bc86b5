"""The model's grants: its indexes are in step. What it does is in the contract suite."""

from balances.memory.granting import book_login, held_by_grants, release, take_over
from balances.memory.partition import Partition
from balances.messages import Account, Login, LoginStatus

UID = bytes(range(16))


def partition() -> Partition:
    books = Partition()
    books.begin(1)
    books.accounts["a"] = Account("a", "EUR", 100, 0, 0, 0, 1, 0, 0)
    return books


def granted(books: Partition) -> None:
    login = Login(UID, "a", "ute", [":gs:n|1", ":gu:n|ute|m"], 1, 40, 40, 1000)
    assert book_login(books, login, 5).status is LoginStatus.GRANTED


def test_a_grant_is_found_by_each_of_its_pointers_until_it_is_released() -> None:
    books = partition()
    granted(books)
    assert books.pointers == {":gs:n|1": UID, ":gu:n|ute|m": UID}
    assert held_by_grants(books, "a") == books.accounts["a"].reserved == 40
    assert release(books, [UID]) == 1
    assert (books.pointers, books.grants, books.logins) == ({}, {}, {"ute": {}})
    assert books.accounts["a"].reserved == 0
    assert books.grant_agenda.next_ms() is None


def test_one_that_was_taken_over_is_known_as_its_session() -> None:
    books = partition()
    granted(books)
    take_over(books, UID, "n|1")
    assert (books.pointers, books.grants) == ({}, {})
    assert books.logins == {"ute": {UID: "n|1"}}
