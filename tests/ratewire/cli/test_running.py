"""How commands read and write, and what they do without a server."""

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratewire.cli.running import Refused, moment, print_table, printable, secret_value
from tests.ratewire.cli.conftest import Configured

NOBODY = "127.0.0.1:1"


def test_what_only_reads_the_database_needs_no_store(stocked: Configured) -> None:
    ratewire = stocked.beside("lost.toml", store=f"redis://{NOBODY}")
    for command in ("ledger acme", "usage", "unrated", "nas list", "plan list"):
        ratewire.json(*command.split())
    ratewire.json("token", "create", "--role", "support")


def test_without_the_store_nothing_else_is_done(stocked: Configured) -> None:
    ratewire = stocked.beside("lost.toml", store=f"redis://:hidden@{NOBODY}")
    for command in (
        *("balance acme", "topup acme 1", "sessions", "jobs", "reconcile", "rebuild-balances"),
        *("session disconnect 0123", "account create b --currency EUR", "nas remove pop1"),
        "subscriber add bob --account acme --plan metered",
    ):
        told = ratewire.refused(*command.split())
        assert told.startswith(f"the store at redis://***@{NOBODY}: ")
    assert stocked.ratewire.json("ledger", "acme") == []
    assert stocked.ratewire.refused("balance", "b") == "account b does not exist"


def test_without_the_database_it_is_told_and_what_runs_is_shown(stocked: Configured) -> None:
    ratewire = stocked.beside("lost.toml", database=f"postgresql://u:hidden@{NOBODY}/d")
    for command in ("ledger acme", "balance acme", "topup acme 1", "reconcile", "migrate"):
        told = ratewire.refused(*command.split())
        assert told.startswith("no connection to the database: ")
        assert "hidden" not in told
    ended = ratewire("sessions", "--json")
    assert (ended.status, ended.out) == (0, "[]\n")
    ended = ratewire("jobs", "--json")
    assert (ended.status, json.loads(ended.out)) == (0, {"live": [], "events": []})
    assert "ratewire: warning: events are not shown: no connection to the database" in ended.err


def test_a_secret_is_what_is_given_less_one_line_break(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "secret"
    for octets, secret in (
        (b"s", b"s"),
        (b"s\n", b"s"),
        (b"s\r\n", b"s"),
        (b"s\n\n", b"s\n"),
        (b"\xff\x00 s ", b"\xff\x00 s "),
        (b"", b""),
    ):
        file.write_bytes(octets)
        assert secret_value(f"@{file}", "--secret") == secret
    assert capsys.readouterr().err == ""
    assert secret_value("sécret", "--password") == "sécret".encode()
    assert "warning: --password on the command line" in capsys.readouterr().err
    with pytest.raises(Refused, match=f"--secret @{tmp_path}: Is a directory"):
        secret_value(f"@{tmp_path}", "--secret")


@given(st.text())
def test_nothing_that_is_shown_steers_a_terminal(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert shown == text or not text.isprintable()


def test_a_table_is_not_cut_and_nothing_in_it_is_markup(
    capsys: pytest.CaptureFixture[str],
) -> None:
    name = "[bold]" + "n" * 300 + "[/x]"
    print_table("Things", ("name", "number", "note"), [(name, 7, None), ("b", 1234, "\x1b[0m")])
    title, header, first, second = capsys.readouterr().out.splitlines()
    assert title == "Things"
    assert header.split() == ["name", "number", "note"]
    assert first.split() == [name, "7"]
    assert second.split() == ["b", "1234", "\\x1b[0m"]
    assert first.endswith(f"{name}       7"), "numbers stand to the right"
    assert header.index("note") == second.index("\\x1b")


def test_wide_characters_take_their_room(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("Names", ("name", "account"), [("\u6771\u4eac", "tokyo"), ("bob", "b")])
    assert capsys.readouterr().out.splitlines()[2:] == ["\u6771\u4eac  tokyo", "bob   b"]


def test_times_are_shown_in_utc() -> None:
    at = datetime(2026, 3, 29, 2, 30, 5, tzinfo=timezone(timedelta(hours=2)))
    assert moment(at) == "2026-03-29 00:30:05"
    assert moment(at.astimezone(UTC)) == "2026-03-29 00:30:05"
