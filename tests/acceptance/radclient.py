"""A NAS that speaks through FreeRADIUS's `radclient`, which has its own dictionary, too."""

import re
import shutil
import subprocess
from collections.abc import Callable, Sequence

import pytest

from tests.acceptance.installation import HOST
from tests.acceptance.records import Attributes, Reply, Value

PROGRAM = shutil.which("radclient")
needs_radclient = pytest.mark.skipif(
    PROGRAM is None, reason="radclient is not installed: Debian package freeradius-utils"
)

_CODES = {"Access-Accept": 2, "Accounting-Response": 5}


class RadclientNas:
    """One NAS, on a loopback address of its own."""

    def __init__(self, address: str, port: int, secret: bytes) -> None:
        self.address = address
        self._port = port
        self._secret = secret.decode()

    def close(self) -> None:
        """Nothing is kept open between calls."""

    def send(self, *records: Attributes) -> list[Reply]:
        """Send records one after the other, each when the one before it is answered.

        AssertionError if one is not.
        """
        output = _ended(self._start("acct", records, times=1, wait_s=5.0))
        replies = _replies(output)
        assert len(replies) == len(records), output
        return replies

    def is_answered(self, record: Attributes, *, secret: bytes | None = None) -> bool:
        """Whether one transmission of a record is answered within a short time."""
        secret_text = None if secret is None else secret.decode()
        process = self._start("acct", [record], times=1, wait_s=0.4, secret=secret_text)
        output, _ = process.communicate(timeout=10)
        return bool(_replies(output))

    def retransmit(self, record: Attributes) -> Callable[[], int]:
        """Send a record, and the same octets again until it is answered.

        What is returned waits for the answer, and tells how often the datagram was sent until then.
        """
        process = self._start("acct", [record], times=50, wait_s=0.1)

        def answered() -> int:
            output = _ended(process)
            assert len(_replies(output)) == 1, output
            return len(re.findall(r"^Sent Accounting-Request", output, re.MULTILINE))

        return answered

    def ask_status(self) -> Reply:
        """Send a Status-Server. radclient puts in the Message-Authenticator that is asked for."""
        [reply] = _replies(
            _ended(self._start("status", [{"Message-Authenticator": b"\0"}], times=1, wait_s=5.0))
        )
        return reply

    def _start(
        self,
        command: str,
        records: Sequence[Attributes],
        *,
        times: int,
        wait_s: float,
        secret: str | None = None,
    ) -> subprocess.Popen[str]:
        assert PROGRAM is not None
        process = subprocess.Popen(
            [
                *(PROGRAM, "-x", "-r", str(times), "-t", str(wait_s)),
                *(f"{HOST}:{self._port}", command, secret or self._secret),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdin is not None
        process.stdin.write("\n".join(self._lines(record) for record in records))
        process.stdin.close()
        process.stdin = None
        return process

    def _lines(self, record: Attributes) -> str:
        """A record as radclient reads it, sent from this NAS's address."""
        lines = [f"Packet-Src-IP-Address = {self.address}"]
        for name, value in record.items():
            values = [value] if isinstance(value, str | int | bytes) else value
            lines += [f"{name} = {_text(each)}" for each in values]
        return "\n".join(lines) + "\n"


def _text(value: Value) -> str:
    match value:
        case bytes():
            return f"0x{value.hex()}"
        case int():
            return str(value)
        case str():
            return f'"{value}"'


def _ended(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 0, output
    return output


def _replies(output: str) -> list[Reply]:
    """The answers in radclient's own words; it tells only those that it has verified."""
    replies: list[Reply] = []
    for block in re.split(r"^(?=Sent |Received )", output, flags=re.MULTILINE):
        found = re.match(r"Received (\S+) Id", block)
        if found is not None:
            states = re.findall(r"Proxy-State = 0x([0-9a-f]+)", block)
            replies.append(Reply(_CODES[found[1]], tuple(bytes.fromhex(each) for each in states)))
    return replies
