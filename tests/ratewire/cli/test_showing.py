"""simulate, against a serving system; demo has its tests in tests/ratewire/demo."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from ratewire.fleet import runner
from tests.acceptance.books import Books
from tests.acceptance.installation import Installation, eventually, told
from tests.ratewire.cli.command_line import CommandLine
from tests.ratewire.cli.documented import assert_documented, tables
from tests.ratewire.fleet.loopback import bound, free_ground
from tests.support.servers import server_directory

SECRET = b"fleet-secret"

#: How many subscribers of each fleet have plenty of credit, and how many for a moment.
RICH, POOR = 12, 4

FLEETS = ("one", "two")

SECONDS = 4.0


class Field(msgspec.Struct, frozen=True):
    """A serving system, and where two fleets of its NASes are."""

    installation: Installation
    books: Books
    addresses: tuple[str, str]
    coa_port: int

    def simulate(self, fleet: int, *words: str) -> subprocess.Popen[str]:
        """A fleet for half of the subscribers."""
        return simulate(
            *("--server", f"127.0.0.1:{self.installation.ports.acct}"),
            *("--first-address", self.addresses[fleet], "--coa-port", str(self.coa_port)),
            *("--users", str(RICH + POOR), "--user-format", FLEETS[fleet] + "{:03d}", *words),
        )


def simulate(*words: str) -> subprocess.Popen[str]:
    """`ratewire simulate` as a process, with the secret on its standard input."""
    process = subprocess.Popen(
        [sys.executable, "-m", "ratewire", "simulate", "--json", "--secret", "-", *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    process.stdin.write(SECRET.decode() + "\n")
    process.stdin.close()
    process.stdin = None
    return process


@pytest.fixture(scope="module")
def field() -> Iterator[Field]:
    """`ratewire serve` with subscribers for two fleets."""
    first, coa_port = free_ground(8)
    block = first.removesuffix(".1")
    with server_directory() as directory:
        installation = Installation(directory)
        with Books(installation.settings) as books:
            books.load_sample_plans()
            books.add_nas(
                "fleet", f"{block}.0/24", secret=SECRET, vendor="generic", coa_port=coa_port
            )
            for fleet in FLEETS:
                for number in range(1, RICH + POOR + 1):
                    micros = 20_000 if number <= POOR else 100_000_000
                    books.open_account(micros, f"{fleet}{number:03d}")
            serving = installation.serve()
            try:
                yield Field(installation, books, (first, f"{block}.5"), coa_port)
            finally:
                assert serving.stop() == 0, serving.log()


class TestSimulate:
    def test_what_was_acknowledged_is_in_the_books_to_the_octet(self, field: Field) -> None:
        """In bad weather, with both ways to retransmit; one fleet is ended by Ctrl-C."""
        weather = ("--loss", "0.2", "--duplicates", "0.2", "--reorder", "0.2")
        common = (*weather, "--interim", "0.5", "--spread", "1", "--megabits", "100")
        timed = field.simulate(0, *common, "--seconds", str(SECONDS))
        stopped = field.simulate(1, *common, "--delay-time", "--seed", "2")
        last = f"{FLEETS[1]}{RICH + POOR:03d}"
        eventually(lambda: field.books.open_sessions(last), seconds=30)
        time.sleep(SECONDS - 1)
        stopped.send_signal(signal.SIGINT)
        fleets = (told(timed), told(stopped))

        for fleet in fleets:
            assert assert_documented(fleet, tables()["simulate"][0]) == set()
            assert (fleet["unanswered"], fleet["bad_replies"]) == (0, 0), fleet
            assert min(fleet["lost"], fleet["duplicated"], fleet["delayed"]) > 0
            assert fleet["superseded"] + fleet["retransmissions"] > 0
            assert fleet["starts"] == fleet["stops"] >= RICH + POOR
            assert fleet["disconnects_obeyed"] >= 1
            assert fleet["octets_out"] > fleet["octets_in"] > 0
        field.books.settle()
        total = told(field.installation.command("usage", "--json"))["total"]
        for counter in ("octets_in", "octets_out", "seconds"):
            assert total[counter] == sum(fleet[counter] for fleet in fleets), (total, fleets)
        assert total["sessions"] == sum(fleet["starts"] for fleet in fleets)
        assert told(field.installation.command("reconcile", "--json"))["exact"]
        assert told(field.installation.command("sessions", "--json")) == []

    def test_who_has_no_credit_was_cut_and_each_cut_is_proven(self, field: Field) -> None:
        """After the fleets of the test before."""

        def jobs() -> Any:
            found = told(field.installation.command("jobs", "--json"))
            return None if found["live"] else found

        events = eventually(jobs)["events"]
        proven = {each["account"] for each in events if each["event"] == "proven"}
        poor = {
            account
            for fleet in FLEETS
            for number in range(1, POOR + 1)
            for account in proven
            if account.endswith(f"-{fleet}{number:03d}")
        }
        assert proven == poor != set()

    def test_a_fleet_ends_with_who_started_it(self, tmp_path: Path) -> None:
        first_address, coa_port = free_ground()
        (tmp_path / "secret").write_bytes(SECRET)
        command = (
            f"{sys.executable} -m ratewire simulate --secret @secret --parent $$"
            f" --first-address {first_address} --coa-port {coa_port} 2>said & echo $!; sleep 1.5"
        )
        started = subprocess.run(
            ["sh", "-c", command], cwd=tmp_path, stdout=subprocess.PIPE, text=True, check=False
        )
        psutil.wait_procs([psutil.Process(int(started.stdout))], timeout=10)
        assert not psutil.pid_exists(int(started.stdout))
        assert "is gone" in (tmp_path / "said").read_text()


class TestRefusals:
    @pytest.mark.parametrize(
        ("words", "why"),
        [
            (["--server", "example.org"], "not an IPv4 address"),
            (["--server", "::1"], "write HOST or HOST:PORT"),
            (["--server", "127.0.0.1:0"], "a port is 1 to 65535"),
            (["--server", "127.0.0.1:\u0661\u0662"], "a port is 1 to 65535"),
            (["--server", "127.0.0.1:²"], "a port is 1 to 65535"),
            (["--server", ":1813"], "write HOST or HOST:PORT"),
            (["--first-address", "127.0.0"], "not an IPv4 address"),
            (["--user-format", "all"], "must have a {}"),
            (["--user-format", "{:q}"], "write for example"),
            (["--user-format", "{name}"], "write for example"),
            (["--user-format", "{0.name}"], "write for example"),
            (["--user-format", "{:0254d}"], "1 to 253 octets"),
            (["--user", ""], "1 to 253 octets"),
            (["--user", "bob", "--user", "bob"], "somebody twice"),
            (["--secret", "@/no/such/file"], "No such file"),
        ],
    )
    def test_what_cannot_be_is_told(self, words: list[str], why: str) -> None:
        assert why in CommandLine().refused("simulate", "--secret", "-", *words)

    def test_ground_that_is_taken_is_told(self) -> None:
        first_address, coa_port = free_ground()
        words = ("--first-address", first_address, "--coa-port", str(coa_port))
        with ExitStack() as stack:
            bound(stack, first_address, coa_port)
            refused = CommandLine().bare("simulate", "--secret", "-", *words, "--json")
        assert refused.status == 1
        assert f"{first_address} with CoA port {coa_port}: Address already in use" in refused.err


def test_for_people_it_is_a_list_that_tells_what_could_not_be_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runner, "LAST_ANSWERS_S", 0.1)
    monkeypatch.setattr(runner, "OFF_ANSWERS_S", 0.1)
    first_address, coa_port = free_ground()
    ended = CommandLine().bare(
        *("simulate", "--secret", "-", "--server", "192.0.2.1", "--seconds", "0.1"),
        *("--first-address", first_address, "--coa-port", str(coa_port), "--nases", "2"),
        *("--users", "1", "--user-format", "only-one"),
        stdin=SECRET,
    )
    assert ended.status == 0, ended
    figures = dict(line.rsplit(maxsplit=1) for line in ended.out.splitlines())
    assert figures["unsendable"] == figures["transmissions"] != "0"
    assert "last error" in ended.out
    assert "Ctrl-C ends it" in ended.err
