"""A tiny accounting server in the test's own event loop, which can go away and come back."""

import asyncio
import contextlib
import socket

from radius.records import AccountingRecord, AcctStatus
from tests.ratewire.fleet.wire import answer, record_of

HOST = "127.0.0.1"


class Server:
    """Answers every genuine request while it is there; keeps the records."""

    def __init__(self) -> None:
        self.port = 0
        self.datagrams: list[bytes] = []
        self.records: list[AccountingRecord] = []
        self.sources: set[tuple[str, int]] = set()
        self._socket: socket.socket | None = None
        self.come()

    def come(self) -> None:
        """Listen: on the port of before, if there was one."""
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.setblocking(False)
        made.bind((HOST, self.port))
        self.port = made.getsockname()[1]
        asyncio.get_running_loop().add_reader(made, self._read, made)
        self._socket = made

    def go(self) -> None:
        """Go away: who sends is told that nobody listens."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    def of(self, status: AcctStatus) -> list[AccountingRecord]:
        """The records of a kind, without copies."""
        found = {_key(record): record for record in self.records if record.status == status}
        return list(found.values())

    def highest(self) -> tuple[int, int, int]:
        """Octets in, octets out, seconds: the highest of each session, in sum."""
        sessions: dict[tuple[str, str], tuple[int, int, int]] = {}
        for each in self.records:
            told = (each.octets_in or 0, each.octets_out or 0, each.session_seconds or 0)
            known = sessions.get(_key(each), (0, 0, 0))
            sessions[_key(each)] = (
                max(told[0], known[0]),
                max(told[1], known[1]),
                max(told[2], known[2]),
            )
        return (
            sum(each[0] for each in sessions.values()),
            sum(each[1] for each in sessions.values()),
            sum(each[2] for each in sessions.values()),
        )

    def _read(self, made: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                datagram, source = made.recvfrom(4096)
                self.datagrams.append(datagram)
                self.records.append(record_of(datagram))
                self.sources.add(source)
                made.sendto(answer(datagram), source)


def _key(record: AccountingRecord) -> tuple[str, str]:
    return record.nas, record.session_id
