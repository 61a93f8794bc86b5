"""backup, restore: what is refused, asked and told."""

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ratewire.journal.frames import Entry
from ratewire.journal.segments import Segments
from tests.ratewire.cli.command_line import CommandLine
from tests.ratewire.cli.conftest import Configured, Running
from tests.ratewire.cli.tampering import add_to_balance
from tests.support.servers import DatabaseServer, fresh_database


@pytest.fixture
def backup(stocked: Configured) -> Path:
    """A backup of an account with EUR 10.00."""
    directory = stocked.config.with_name("backup")
    stocked.ratewire.done("topup", "acme", "10.00")
    words = ("nas", "add", "pop1", "--source", "192.0.2.0/24", "--secret", "-")
    stocked.ratewire.done(*words, stdin=b"secret")
    told = stocked.ratewire.done("backup", str(directory))
    assert told.startswith(f"{directory} holds all that was acknowledged before ")
    key_file = stocked.config.with_name("secret.key")
    assert told.endswith(f"the key file is not in it: keep a copy of {key_file} in another place\n")
    return directory


@pytest.fixture
def elsewhere(
    stocked: Configured, backup: Path, database_server: DatabaseServer, database_template: str
) -> Iterator[CommandLine]:
    """The command line on an empty database and an emptied store."""
    with fresh_database(database_server, database_template) as url:
        stocked.in_store("FLUSHALL")
        yield stocked.beside("other.toml", database=url)


def test_it_comes_back_elsewhere(backup: Path, elsewhere: CommandLine) -> None:
    ended = elsewhere("restore", str(backup), "--yes")
    assert ended.status == 0
    assert "1 accounts, 1 subscribers, 0 open sessions, generation 2\n" in ended.out
    assert "store and ledger agree to the micro: 1 accounts" in ended.out
    assert "ratewire: warning: the store held no books: what it acknowledged" in ended.err
    assert elsewhere.json("balance", "acme")["balance_micros"] == 10_000_000
    assert [each["name"] for each in elsewhere.json("nas", "list")] == ["pop1"]
    elsewhere.done("topup", "acme", "1.00")
    assert elsewhere.json("reconcile")["exact"]


def test_what_only_the_local_journal_holds_is_told(stocked: Configured) -> None:
    directory = stocked.settings.journal_path() / "0"
    directory.mkdir(parents=True)
    waiting = Segments(directory, max_octets=1_000_000, now_ms=lambda: 1_700_000_000_000)
    waiting.append([Entry(1_700_000_000_000, "192.0.2.1", 1, "pop1", False, 1, b"a record")])
    ended = stocked.ratewire("backup", str(stocked.config.with_name("backup")))
    assert ended.status == 0
    assert "the local journal is not in it, though NASes were answered from it" in ended.err
    assert "since 2023-11-14 22:13:20 UTC" in ended.err


def test_what_is_there_is_dropped_only_if_that_is_wanted(stocked: Configured, backup: Path) -> None:
    stocked.ratewire.done("topup", "acme", "5.00")
    refusal = stocked.ratewire.refused("restore", str(backup), "--yes")
    assert refusal.startswith(
        "the database is not empty (audit_events, billing_transactions, customer_billing_"
    )
    assert stocked.ratewire.json("balance", "acme")["balance_micros"] == 15_000_000
    stocked.ratewire.done("restore", str(backup), "--yes", "--replace")
    assert stocked.ratewire.json("balance", "acme")["balance_micros"] == 10_000_000


def test_a_backup_in_the_way_is_left_alone(stocked: Configured, backup: Path) -> None:
    assert stocked.ratewire.refused("backup", str(backup)) == (
        f"{backup} exists; allowed is a name for a new directory"
    )


def test_a_damaged_backup_is_refused_by_name(backup: Path, elsewhere: CommandLine) -> None:
    file = backup / "plans.copy.gz"
    file.write_bytes(file.read_bytes()[:-1])
    assert f"{backup} is damaged: plans.copy.gz: " in elsewhere.refused(
        "restore", str(backup), "--yes"
    )
    assert elsewhere.json("plan", "list") == []
    assert "is no backup" in elsewhere.refused("restore", str(backup.parent), "--yes")


def test_without_a_terminal_it_wants_to_be_told_yes(backup: Path, elsewhere: CommandLine) -> None:
    assert elsewhere.refused("restore", str(backup)) == (
        "restore asks before it begins; allowed without a terminal is --yes"
    )


def test_on_a_terminal_it_asks(stocked: Configured, backup: Path) -> None:
    ours, theirs = pty.openpty()
    os.write(ours, b"n\n")
    command = ("restore", str(backup), "--replace", "--config", str(stocked.config))
    ended = subprocess.run(
        [sys.executable, "-m", "ratewire", *command], stdin=theirs, capture_output=True, text=True
    )
    os.close(ours)
    os.close(theirs)
    assert ended.returncode == 1
    assert "and drop what is there now? [y/N]" in ended.stderr
    assert "Aborted" in ended.stderr


def test_a_key_that_is_missing_is_told(
    stocked: Configured, backup: Path, elsewhere: CommandLine
) -> None:
    """It is no reason to wait: the key file may be put there later. None is made instead."""
    key_file = stocked.config.with_name("secret.key")
    key_file.rename(key_file.with_name("kept"))
    told = elsewhere("restore", str(backup), "--yes")
    assert told.status == 0
    assert f"ratewire: warning: {key_file} lacks the key " in told.err
    assert not key_file.exists()


def test_drift_afterwards_is_exit_status_1(
    stocked: Configured, backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ratewire.cli import safekeeping

    reconcile = safekeeping.reconcile

    async def meddle_and_reconcile(*args: object, **kwargs: object) -> object:
        add_to_balance(stocked, "acme", 1)
        return await reconcile(*args, **kwargs)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(safekeeping, "reconcile", meddle_and_reconcile)
    ended = stocked.ratewire("restore", str(backup), "--yes", "--replace")
    assert ended.status == 1
    assert "DO NOT AGREE" in ended.out


def test_nothing_may_serve_meanwhile(running: Running, tmp_path: Path) -> None:
    running.ratewire.done("backup", str(tmp_path / "backup"))
    refusal = running.ratewire.refused("restore", str(tmp_path / "backup"), "--yes", "--replace")
    assert "listener-0 on " in refusal
    assert "settlement on " in refusal
    assert refusal.endswith("allowed is when nothing serves")
