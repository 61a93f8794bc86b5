"""The demo as people run it: two at once, again on the same data, stopped, killed."""

import re
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

import msgspec
import psutil
import pytest

from config.settings import DataSettings, Settings
from ratewire.demo.stock import customers
from tests.acceptance.books import Books
from tests.ratewire.demo.processes import Terminal, assert_gone, demo
from tests.support.servers import server_directory

AGREE = "store and ledger agree to the micro: 40 accounts, drift 0 micros"


class Ended(msgspec.Struct, frozen=True):
    """A run that has ended."""

    status: int
    out: str
    err: str
    left: list[psutil.Process]
    """What was its when it was at work."""
    directory: Path


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    with server_directory() as path:
        yield path


@pytest.fixture(scope="module")
def two(directory: Path) -> list[Ended]:
    """Two demos at the same time, on new data each, beside somebody who has RADIUS's port.

    The first ends when its time is over, the second by SIGTERM.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as somebody:
        with suppress(OSError):  # somebody else has it already
            somebody.bind(("127.0.0.1", 1813))
        with (
            demo(directory / "one", "--seconds", "8", "--no-tty") as one,
            demo(directory / "two", "--no-tty") as other,
        ):
            runs = (one, other)
            for each in runs:
                each.until("sessions")
            everything = [each.everything() for each in runs]
            statuses = [one.end()]
            other.until("proven by its Stop")
            other.signal(signal.SIGTERM)
            statuses.append(other.end())
            return [
                Ended(status, each.out, each.err, left, each.directory)
                for status, each, left in zip(statuses, runs, everything, strict=True)
            ]


@pytest.fixture(params=[0, 1])
def run(request: pytest.FixtureRequest, two: list[Ended]) -> Ended:
    """Either of them."""
    return two[int(request.param)]


class TestOneRun:
    def test_it_ends_well_and_leaves_nothing_behind(self, run: Ended) -> None:
        assert run.status == 0, run.err
        assert "Traceback" not in run.err
        assert len(run.left) > 8
        assert_gone(run.left)

    def test_it_shows_sessions_and_cuts(self, run: Ended) -> None:
        figures = re.findall(r"sessions (\d+), .* \((\d+) in all\), .*cuts (\d+)", run.out)
        assert len(figures) >= 3
        assert max(int(sessions) for sessions, _, _ in figures) > 20
        assert int(figures[-1][1]) > 30
        assert "cut, proven by its Stop" in run.out
        assert "TROUBLE" not in run.out

    def test_the_nases_say_that_everything_was_answered(self, run: Ended) -> None:
        found = re.search(r"(\d+) unanswered; they obeyed (\d+) of (\d+) Disconnect", run.out)
        assert found is not None
        unanswered, obeyed, asked = map(int, found.groups())
        assert unanswered == 0
        assert 1 <= obeyed <= asked

    def test_the_statement_adds_up(self, run: Ended) -> None:
        statement = run.out[run.out.index("Statement of account demo-") :]
        heads = re.findall(r"^\d+ s, .* charged (\S+) EUR$", statement, re.MULTILINE)
        assert heads
        # Of each session the lines of all of it, then the last charges, each with its lines.
        sessions = re.split(r"^Session ", statement, flags=re.MULTILINE)[1:]
        assert len(sessions) == len(heads)
        for head, session in zip(heads, sessions, strict=True):
            lines = re.findall(r"^  \S.* = (\S+)$", session, re.MULTILINE)
            assert lines
            assert sum(map(micros, lines)) == micros(head)
            charges = re.findall(r"^    \S+ (\S+) \(total (\S+)\): (.*)$", session, re.MULTILINE)
            assert charges[-1][1] == head
            for charged, _, why in charges:
                parts = re.findall(r" = ([-0-9.]+)(?:;|$)", why)
                assert sum(map(micros, parts)) == micros(charged)

    def test_the_books_agree(self, run: Ended) -> None:
        assert AGREE in run.out
        assert " 0 entries unsettled (0 micros), 0 movements unapplied, 0 entries parked" in run.out

    def test_the_two_take_other_ports_than_are_in_use(self, two: list[Ended]) -> None:
        ports = [re.findall(r"127\.0\.0\.1:(\d+)", each.out)[:2] for each in two]
        assert "1813" not in ports[0] + ports[1]
        assert len({*ports[0], *ports[1]}) == 4


class TestAgain:
    def test_it_goes_on_from_the_last_balances_on_a_terminal_until_ctrl_c(
        self, two: list[Ended]
    ) -> None:
        place = two[0].directory
        terminal = Terminal(100, 30)
        with demo(place, terminal=terminal) as run:
            run.until("cuts")
            with demo(place, "--no-tty") as other:
                assert other.end() == 1
                assert f"another demo runs on the data in {place}" in other.err
            for columns, lines in ((80, 24), (40, 10), (140, 45)):
                terminal.resize(columns, lines)
                time.sleep(1.1)
            left = run.everything()
            run.signal(signal.SIGINT)
            assert run.end() == 0
        terminal.close()
        assert_gone(left)
        drawn, _, said = terminal.text.partition("\x1b[?1049l")
        assert "\x1b[?1049h" in drawn
        assert "what happens" in drawn
        assert "Traceback" not in terminal.text
        assert "Statement of account" in said
        assert AGREE in said
        assert (place / "demo.log").exists()
        assert_one_history(place)


class TestStopped:
    @pytest.mark.parametrize(
        ("number", "at"),
        [
            pytest.param(signal.SIGINT, "servers", id="while the servers start"),
            pytest.param(signal.SIGTERM, "serve", id="while the roles start"),
            pytest.param(signal.SIGHUP, "simulate", id="while the fleet starts"),
        ],
    )
    def test_while_it_starts(self, two: list[Ended], number: signal.Signals, at: str) -> None:
        with demo(two[1].directory, "--no-tty") as run:
            if at == "servers":
                run.until("starting Valkey and Postgres")
            else:
                run.child(at)
            left = run.everything()
            run.signal(number)
            assert run.end() == 0, run.err
            assert run.err == ""
            assert "stopped before there was anything to see" in run.out
        assert_gone(left)


class TestBroken:
    def test_killed_it_takes_its_processes_with_it_and_the_next_one_goes_on(
        self, two: list[Ended]
    ) -> None:
        """But for the embedded servers, which the next one adopts; until its fleet dies."""
        place = two[1].directory
        with demo(place, "--no-tty") as run:
            run.until("records/s")
            servers = run.servers()
            others = [each for each in run.everything() if each not in servers]
            run.kill()
            assert_gone(others, seconds=30)
            with demo(place, "--no-tty") as following:
                following.until("records/s")
                assert {each.pid for each in servers} & {each.pid for each in following.servers()}
                everything = following.everything()
                following.child("simulate").kill()
                assert following.end() == 1
                assert "the simulated NASes ended with status -9" in following.err
            assert_gone(everything)


def micros(amount: str) -> int:
    """An amount that was printed, exactly."""
    return int(Decimal(amount) * 1_000_000)


def assert_one_history(place: Path) -> None:
    """The books of a data directory agree, and each account has begun once and gone on since."""
    with Books(Settings(data=DataSettings(dir=str(place)))) as books:
        books.settle()
        for customer in customers():
            rows = books.ledger(customer.account)
            begun = [row for row in rows if row.description == "Top-up at import"]
            assert len(begun) == len(customer.users)
            balance = 0
            for row in rows:
                balance += row.amount_micros
                assert row.balance_micros == balance
            assert books.balance(customer.account).balance == balance
