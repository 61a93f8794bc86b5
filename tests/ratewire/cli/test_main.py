"""What holds for every command: its exit status, and where it says what."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ratewire.cli.command_line import CommandLine
from tests.ratewire.cli.conftest import Configured

COMMAND = [sys.executable, "-m", "ratewire"]


@pytest.mark.parametrize(
    "words",
    [
        ["usage", "--user", "\udcff"],
        ["sessions", "--user", "\udcff"],
        ["subscriber", "add", "x", "--account", "acme", "--plan", "\udcff"],
        ["subscriber", "add", "x", "--account", "acme", "--plan", "p", "--password", "\udcff"],
        ["plan", "load", "/tmp/\udcff"],
    ],
)
def test_what_is_no_text_is_refused(words: list[str]) -> None:
    ended = CommandLine()(*words)
    [no_text] = [word for word in words if "\udcff" in word]
    assert (ended.status, ended.out) == (2, "")
    assert ended.err == f"ratewire: the argument {no_text!r} is not UTF-8 text\n"


def test_faulty_settings_are_all_told_and_nothing_is_done(tmp_path: Path) -> None:
    config = tmp_path / "ratewire.toml"
    config.write_text("[http]\nport = 0\n[bar]\n")
    for words in (["balance", "acme"], ["migrate"], ["topup", "acme", "1", "--json"], ["serve"]):
        ended = CommandLine(config)(*words, RATEWIRE_FOO="1")
        assert (ended.status, ended.out) == (1, "")
        assert ended.err.splitlines()[0] == "ratewire: 3 faulty settings:"
        assert f"http.port ({config}:2): 0 is not allowed; allowed: a port, 1 to 65535" in ended.err
    assert list(tmp_path.iterdir()) == [config]


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (b"[http\n", ":1): this is not TOML: "),
        (b"\xff", "): the file cannot be read: it is not UT"),
    ],
)
def test_a_settings_file_that_is_none_is_told(tmp_path: Path, octets: bytes, reason: str) -> None:
    config = tmp_path / "ratewire.toml"
    config.write_bytes(octets)
    ended = CommandLine(config)("balance", "acme")
    assert ended.status == 1
    assert f"settings file ({config}{reason}" in ended.err


def test_who_reads_only_the_beginning_is_left_in_peace(stocked: Configured) -> None:
    script = f"{' '.join(COMMAND)} plan list --config {stocked.config} | head -1"
    ended = subprocess.run(["sh", "-c", script], capture_output=True, text=True)
    assert (ended.stdout.strip(), ended.stderr) == ("Plans", "")
    # The same without a chance to write anything.
    reader, writer = os.pipe()
    os.close(reader)
    words = ["plan", "list", "--json", "--config", str(stocked.config)]
    ended = subprocess.run([*COMMAND, *words], stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (1, "")


@pytest.mark.parametrize("words", [["plan", "list"], ["plan", "list", "--json"]])
def test_output_that_cannot_be_written_is_a_fault(stocked: Configured, words: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            [*COMMAND, *words, "--config", str(stocked.config)],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert ended.returncode == 1
    assert ended.stderr == "ratewire: standard output: No space left on device\n"


def test_output_that_nobody_wants_is_no_fault(stocked: Configured) -> None:
    script = f"{' '.join(COMMAND)} plan list --config {stocked.config} >&-"
    ended = subprocess.run(["sh", "-c", script], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_without_an_environment_all_is_as_with_one(tmp_path: Path) -> None:
    """From an empty directory, on embedded servers; what is left is in the data directory."""
    words = ["account", "create", "acme", "--currency", "EUR"]
    data = tmp_path / "somewhere" / "var"
    began = tmp_path / "began"
    began.mkdir()
    ended = subprocess.run(
        [*COMMAND, *words],
        capture_output=True,
        text=True,
        cwd=began,
        env={"RATEWIRE_DATA__DIR": str(data)},
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == "account acme is open: prepaid, EUR\n"
    assert list(began.iterdir()) == []


def test_ctrl_c_is_told_and_leaves_no_traceback(stocked: Configured) -> None:
    """While a command waits for a store that takes its connection and says nothing."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        silent.settimeout(30)
        stocked.beside("silent.toml", store=f"redis://127.0.0.1:{silent.getsockname()[1]}")
        with (
            subprocess.Popen(
                [*COMMAND, "sessions", "--config", stocked.config.with_name("silent.toml")],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env={**os.environ, "RATEWIRE_STORE__TIMEOUT_MS": "60000"},
            ) as waiting,
            silent.accept()[0],
        ):
            waiting.send_signal(signal.SIGINT)
            out, err = waiting.communicate(timeout=30)
    assert (waiting.returncode, out, err) == (130, "", "ratewire: interrupted\n")
