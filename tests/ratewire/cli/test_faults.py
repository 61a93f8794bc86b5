"""Which errors are told in a line, and which are bugs."""

import errno

import pytest

from balances.errors import StoreEmpty, StoreFull, StoreUnavailable
from billing.database import DatabaseUnavailable
from billing.errors import Conflict
from billing.rebuild.run import RebuildRefused
from billing.reconcile.run import BooksDiffer, ReconcileUnfinished
from migrations.runner import MigrationError
from ratewire.cli.faults import told
from ratewire.cli.running import Refused
from ratewire.ports import PortError
from rating.money import AmountError


@pytest.mark.parametrize(
    "kind",
    [
        *(AmountError, BooksDiffer, Conflict, DatabaseUnavailable, MigrationError, PortError),
        *(RebuildRefused, ReconcileUnfinished, Refused),
    ],
)
def test_what_speaks_for_itself_is_told_as_it_is(kind: type[Exception]) -> None:
    assert told(kind("what, where and what is allowed")) == "what, where and what is allowed"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (StoreUnavailable("no answer"), "the store: no answer"),
        (StoreFull("maxmemory"), "the store: maxmemory"),
        (StoreEmpty("no books"), "the store holds no books: run 'ratewire rebuild-balances'"),
        (FileNotFoundError(errno.ENOENT, "No such file", "/x"), "/x: No such file"),
        (OSError(errno.ENOSPC, "No space left on device"), "standard output: No space left on"),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset"), "the database: [Errno 104]"),
        (FileNotFoundError(errno.ENOENT, "No such file"), "the database: [Errno 2] No such file"),
        (TimeoutError("too long"), "the database: too long"),
    ],
)
def test_the_rest_is_told_with_what_it_is_about(error: Exception, message: str) -> None:
    found = told(error)
    assert found is not None
    assert found.startswith(message)


@pytest.mark.parametrize("kind", [AssertionError, KeyError, ValueError, ZeroDivisionError])
def test_a_bug_is_shown_whole(kind: type[Exception]) -> None:
    assert told(kind("?")) is None
