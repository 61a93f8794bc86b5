"""account, subscriber, import."""

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

from tests.acceptance.installation import eventually
from tests.ratewire.cli.conftest import Configured, Running
from tests.support.servers import run

HEADER = "username,account,plan,currency,topup\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where a test writes what is to be imported."""
    return tmp_path / "subscribers.csv"


def counts(configured: Configured) -> list[int]:
    """How many accounts, subscribers, transactions and movements there are."""

    async def count() -> list[int]:
        connection = await asyncpg.connect(configured.urls.database)
        try:
            return [
                await connection.fetchval(f"SELECT count(*) FROM {table}")
                for table in (
                    *("customer_billing_accounts", "subscribers"),
                    *("billing_transactions", "store_outbox"),
                )
            ]
        finally:
            await connection.close()

    return run(count())


def test_an_account_is_made_as_it_is_asked_for(stocked: Configured) -> None:
    ratewire = stocked.ratewire
    assert ratewire.done("account", "create", "a:1", "--currency", "KWD", "--postpaid") == (
        "account a:1 is open: postpaid, KWD\n"
    )
    made = ratewire.json("account", "create", "b", "--currency", "EUR", "--credit-limit", "12.5")
    assert (made["payment_mode"], made["credit_limit_micros"]) == ("prepaid", 12_500_000)
    assert ratewire.json("balance", "b")["available_micros"] == 12_500_000


ACCOUNTS_THAT_CANNOT_BE = [
    (["acme", "--currency", "EUR"], "account acme exists already"),
    (["x", "--currency", "eur"], "currency 'eur': allowed is an ISO 4217 code such as EUR"),
    (["x", "--currency", "EUR", "--credit-limit", "-5"], "credit limit -5.00: allowed is 0 to"),
    (["x", "--currency", "EUR", "--credit-limit", "much"], "'much' is not an amount"),
    (["|", "--currency", "EUR"], "account '|': allowed are 1 to 64 letters, digits and"),
]


def test_an_account_that_cannot_be_is_not_made(stocked: Configured) -> None:
    before = counts(stocked)
    for words, reason in ACCOUNTS_THAT_CANNOT_BE:
        assert stocked.ratewire.refused("account", "create", *words).startswith(reason)
    assert counts(stocked) == before


SUBSCRIBERS_THAT_CANNOT_BE = [
    (["alice", "--account", "acme", "--plan", "metered"], "subscriber alice exists already"),
    (["bob", "--account", "nobody", "--plan", "metered"], "account nobody does not exist"),
    (["bob", "--account", "acme", "--plan", "gold"], "plan gold does not exist"),
    (["", "--account", "acme", "--plan", "metered"], "user name '' is empty or holds a NUL"),
    (["u" * 254, "--account", "acme", "--plan", "metered"], "user name 'uuuu"),
    (["bob", "--account", "dollars", "--plan", "metered"], "plan metered is in EUR"),
]


def test_a_subscriber_that_cannot_be_is_not_added(stocked: Configured) -> None:
    stocked.ratewire.done("account", "create", "dollars", "--currency", "USD")
    before = counts(stocked)
    for words, reason in SUBSCRIBERS_THAT_CANNOT_BE:
        assert stocked.ratewire.refused("subscriber", "add", *words).startswith(reason)
    assert counts(stocked) == before


def test_sessions_of_a_subscriber_that_is_removed_go_on_and_are_shown(running: Running) -> None:
    running.subscriber("people-gone", topup="5.00")
    login = running.login("people-gone")
    running.nas.send(login.start())
    ratewire = running.ratewire
    assert ratewire.done("subscriber", "remove", "people-gone") == (
        "subscriber people-gone is removed\n"
    )
    [session] = ratewire.json("sessions", "--user", "people-gone")
    assert session["user"] == "people-gone"
    running.nas.send(login.stop(60, 0, 1_000_000))
    assert ratewire.json("sessions", "--user", "people-gone") == []
    assert ratewire.json("balance", "people-gone")["balance_micros"] == 4_998_000
    assert ratewire.refused("subscriber", "remove", "people-gone") == (
        "subscriber people-gone does not exist"
    )


def test_an_import_makes_accounts_subscribers_and_topups(stocked: Configured, file: Path) -> None:
    file.write_text(
        HEADER + "bob,bob,metered,EUR,2.50\ncarol,bob,hourly,EUR,\ndave,acme,metered,EUR,1\n"
    )
    assert stocked.ratewire.done("import", "subscribers", str(file)) == (
        "imported 3 subscribers, 1 new accounts, 2 top-ups (EUR 3.50)\n"
    )
    assert stocked.ratewire.json("balance", "bob")["balance_micros"] == 2_500_000
    assert stocked.ratewire.json("balance", "acme")["balance_micros"] == 1_000_000
    assert stocked.ratewire.json("reconcile")["exact"]


def test_a_file_is_imported_once(stocked: Configured, file: Path) -> None:
    file.write_text(HEADER + "bob,bob,metered,EUR,2.50\ncarol,carol,metered,EUR,1\n")
    stocked.ratewire.done("import", "subscribers", str(file))
    before = counts(stocked)
    again = stocked.ratewire("import", "subscribers", str(file), "--json")
    assert (again.status, again.out) == (1, "")
    assert again.err == (
        "ratewire: nothing was imported; 2 faults:\n"
        "line 2, username: bob exists already\n"
        "line 3, username: carol exists already\n"
    )
    assert counts(stocked) == before


def test_every_faulty_row_is_told_and_nothing_imported(stocked: Configured, file: Path) -> None:
    file.write_text(
        HEADER
        + "bob,bob,metered,EUR,2.50\n"
        + "carol,carol,gold,EUR,1\n"
        + "dave,dave,metered,EUR,-1\n"
        + "bob,bob,metered,EUR,1\n"
        + "erin,acme,metered,USD,1\n"
        + "frank,frank,metered\n"
    )
    before = counts(stocked)
    refused = stocked.ratewire("import", "subscribers", str(file))
    assert (refused.status, refused.out) == (1, "")
    assert refused.err.splitlines() == [
        "ratewire: nothing was imported; 6 faults:",
        "line 3, plan: gold does not exist",
        "line 4, topup: '-1' is negative; allowed is 0 or more",
        "line 5, username: 'bob' is on line 2 already",
        "line 6, plan: metered is in EUR, the account in USD",
        "line 6, currency: account acme is in EUR, here in USD",
        "line 7: has 3 fields, the header has 5",
    ]
    assert counts(stocked) == before


NO_FILES = [
    (b"", "line 1: the header lacks 'username', 'account', 'plan', 'currency', 'topup'"),
    (b"name\n", "line 1: the header does not know 'name'"),
    (HEADER.encode() + b"b\xfc,b,metered,EUR,1\n", "line 2: is not UTF-8"),
    (HEADER.encode() + b'"bob,b,metered,EUR,1\n', "line 2: is not CSV"),
]


def test_a_file_that_is_none_is_refused(stocked: Configured, file: Path) -> None:
    for octets, reason in NO_FILES:
        file.write_bytes(octets)
        refused = stocked.ratewire("import", "subscribers", str(file))
        assert (refused.status, refused.out) == (1, "")
        assert reason in refused.err
        assert "Traceback" not in refused.err


def test_a_file_that_cannot_be_read_is_named(stocked: Configured, tmp_path: Path) -> None:
    missing = tmp_path / "missing.csv"
    for path, reason in ((missing, "No such file or directory"), (tmp_path, "Is a directory")):
        assert stocked.ratewire.refused("import", "subscribers", str(path)) == f"{path}: {reason}"


def rows(number: int) -> str:
    return "".join(f"u{each},a{each},metered,EUR,1\n" for each in range(number))


def test_progress_is_shown_on_a_terminal_and_only_there(stocked: Configured, file: Path) -> None:
    file.write_text(HEADER + rows(3000))
    terminal, theirs = pty.openpty()
    command = [sys.executable, "-m", "ratewire", "import", "subscribers", str(file)]
    with subprocess.Popen(
        [*command, "--config", str(stocked.config)],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={"TERM": "xterm", "PATH": os.environ["PATH"]},
    ) as importing:
        os.close(theirs)
        shown = _read_all(terminal)
        assert importing.stdout is not None
        assert importing.stdout.read() == (
            b"imported 3,000 subscribers, 3,000 new accounts, 3,000 top-ups (EUR 3000.00)\n"
        )
    assert importing.returncode == 0
    for stage in ("reading", "checking", "posting", "bringing to the store"):
        assert stage in shown
    assert "9,000/9,000" in shown, "all movements are in the store"


def _read_all(terminal: int) -> str:
    """What was written to a terminal until its other side was closed."""
    octets = bytearray()
    while True:
        try:
            octets += os.read(terminal, 65536)
        except OSError:  # EIO: nobody has it open any more
            os.close(terminal)
            return octets.decode()


def test_an_import_that_is_interrupted_leaves_nothing(stocked: Configured, file: Path) -> None:
    file.write_text(HEADER + rows(40_000))
    before = counts(stocked)
    with subprocess.Popen(
        [
            *(sys.executable, "-m", "ratewire", "import", "subscribers", str(file)),
            *("--config", str(stocked.config)),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as importing:
        eventually(lambda: _imports(stocked))
        importing.send_signal(signal.SIGINT)
        out, err = importing.communicate(timeout=30)
    assert (importing.returncode, out) == (130, "")
    assert err == "ratewire: warning: nothing was imported\nratewire: interrupted\n"
    assert counts(stocked) == before


def _imports(configured: Configured) -> bool:
    """Whether rows are being written."""

    async def look() -> bool:
        connection = await asyncpg.connect(configured.urls.database)
        try:
            return await connection.fetchval(
                "SELECT EXISTS (SELECT FROM pg_locks JOIN pg_stat_activity USING (pid)"
                " WHERE relation = 'subscribers'::regclass AND mode = 'RowExclusiveLock'"
                " AND datname = current_database())"
            )
        finally:
            await connection.close()

    return run(look())
