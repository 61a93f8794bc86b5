"""The drill: a backup under traffic, everything destroyed, restored elsewhere, the NASes go on."""

import asyncio
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from balances.connection import Connection
from balances.errors import StoreError
from balances.restoration import Restoration
from ratewire.embedded.servers import describe
from tests.acceptance.books import Books
from tests.acceptance.conftest import GENERIC, SECRET, provision
from tests.acceptance.installation import Installation, Serving, eventually, printed, told
from tests.acceptance.pyrad_nas import PyradNas
from tests.acceptance.records import Login
from tests.acceptance.traffic import Traffic, TrafficNas
from tests.support.servers import server_directory

PAID_IN: Final = 1_000_000_000
NASES, SESSIONS_OF_NAS = 3, 4
AGO_S: Final = 5 * 86_400

#: A session that ends after the backup, and one that begins after it.
ENDS, BEGINS = "ends-later", "begins-later"


class Drill:
    """An installation that is destroyed, and what its NASes do meanwhile."""

    def __init__(self, directory: Path) -> None:
        self.installation = Installation(directory)
        self.backup = directory / "backup"
        self._key = directory / "kept.key"
        began = int(time.time()) - AGO_S
        with Books(self.installation.settings) as books:
            provision(self.installation, books)
            self.users = [f"user-{nas}" for nas in range(NASES)]
            self.accounts = {user: books.open_account(PAID_IN, user) for user in self.users}
            self.others = books.open_account(PAID_IN, ENDS, BEGINS)
            self.serving: Serving = self.installation.serve()
        port = self.installation.ports.acct
        self._nases = [
            TrafficNas(
                *(f"{GENERIC}.200.{nas + 1}", port, SECRET),
                [Login(user, f"s-{each}", began) for each in range(SESSIONS_OF_NAS)],
                seed=nas,
            )
            for nas, user in enumerate(self.users)
        ]
        self.traffic = Traffic(self._nases)
        self.single = PyradNas(f"{GENERIC}.200.99", port, SECRET)
        self.ends, self.begins = Login(ENDS, ENDS, began), Login(BEGINS, BEGINS, began)

    def close(self) -> None:
        """Close the sockets, and kill what is left."""
        for nas in self._nases:
            nas.close()
        self.single.close()
        self.serving.kill_everything()

    def books(self) -> Books:
        """What staff see now."""
        return Books(self.installation.settings)

    def destroy(self) -> None:
        """Everything at once, and all data; only the backup and a copy of the key file are left."""
        shutil.copy(self.installation.settings.secret_key_path(), self._key)
        self.serving.kill_everything()
        shutil.rmtree(self.installation.data_dir)

    def move(self, data_dir: Path) -> None:
        """Begin with an empty data directory that holds the key file."""
        data_dir.mkdir(mode=0o711)
        shutil.copy(self._key, data_dir / "secret.key")
        config = self.installation.config
        config.write_text(
            config.read_text().replace(str(self.installation.data_dir), str(data_dir))
        )
        self.installation.data_dir = data_dir

    def restore(self) -> subprocess.Popen[str]:
        """Begin to restore."""
        return self.installation.command("restore", str(self.backup), "--yes", "--json")

    def kill_when_fenced(self, restoring: subprocess.Popen[str], words: str) -> bool:
        """kill -9 as soon as the store's fence has these words; False if it was too late."""

        async def seen() -> bool:
            url = f"unix://{self._socket(restoring)}"
            connection = Connection(url)
            try:
                while restoring.poll() is None:
                    try:
                        fence = await Restoration(connection).fenced()
                    except StoreError:
                        continue
                    if fence is not None and words in fence:
                        return True
                return False
            finally:
                await connection.close()

        killed = asyncio.run(seen())
        restoring.kill()
        restoring.communicate()
        return killed

    def _socket(self, restoring: subprocess.Popen[str]) -> Path:
        def there() -> Path | None:
            assert restoring.poll() is None, restoring.communicate()
            found = describe(self.installation.data_dir)
            return next((each.socket_path for each in found if each.name == "valkey"), None)

        return eventually(there, seconds=30)


@pytest.fixture
def drill() -> Iterator[Drill]:
    """A system of its own, all sessions started, one of them to end after the backup."""
    with server_directory() as directory:
        drill = Drill(directory)
        try:
            drill.single.send(drill.ends.start(), drill.ends.interim(60, 0, 1_000_000))
            sessions = drill.traffic.sessions
            drill.traffic.run_until(lambda: drill.traffic.acknowledged >= 5 * len(sessions))
            yield drill
        finally:
            drill.close()


def test_everything_is_destroyed_and_restored_elsewhere(drill: Drill) -> None:
    traffic = drill.traffic
    before = [len(session.told) - (session.outstanding is not None) for session in traffic.sessions]
    backing_up = drill.installation.command("backup", str(drill.backup), "--json")
    traffic.run_until(lambda: backing_up.poll() is not None)
    made = told(backing_up)
    at_backup = traffic.acknowledged
    traffic.run(0.5)
    assert traffic.acknowledged > at_backup
    drill.single.send(
        drill.ends.stop(120, 0, 2_000_000),
        drill.begins.start(),
        drill.begins.interim(60, 0, 3_000_000),
    )

    drill.destroy()
    drill.move(drill.backup.with_name("elsewhere"))
    assert drill.kill_when_fenced(drill.restore(), "is being restored")
    drill.kill_when_fenced(drill.restore(), "is restored, its balances are being rebuilt")
    restored = told(drill.restore())
    assert (restored["backup"], restored["exact"]) == (made["backup"], True)
    assert restored["missing_keys"] == []

    with drill.books() as books:
        # What was acknowledged before the backup is there, each charge to the micro.
        for user, account in drill.accounts.items():
            booked = books.epochs(account)
            for session, records in zip(traffic.sessions, before, strict=True):
                if session.login.user == user:
                    possible = range(records, len(session.told) + 1)
                    assert [n for n in possible if session.epoch(n) in booked], (records, booked)
    assert drill.installation.servers() == {}

    # They report without a new Start, and by the next report the books are what they say.
    drill.serving = drill.installation.serve()
    traffic.run(0.5)
    traffic.quieten()
    drill.single.send(drill.begins.interim(120, 0, 4_000_000))
    with drill.books() as books:
        books.settle()
        assert_as_reported(drill, books)
        # A Start that is lost is made up for by an Interim; a Stop that is lost is not.
        [ended, begun] = sorted(books.epochs(drill.others), key=lambda epoch: epoch.octets_out)
        assert (ended.octets_out, ended.charges, ended.closed) == (1_000_000, (2_000,), None)
        assert (begun.octets_out, sum(begun.charges), begun.closed) == (4_000_000, 8_000, None)
    traffic.quieten(stop=True)
    with drill.books() as books:
        books.settle()
        assert_as_reported(drill, books)
        assert {each.closed for each in books.epochs(drill.accounts["user-0"])} == {"stop"}
    assert drill.serving.stop() == 0, drill.serving.log()
    assert "exact" in printed(drill.installation.command("reconcile", "--json"))


def assert_as_reported(drill: Drill, books: Books) -> None:
    """Each session is one epoch, as its NAS last reported it, charged in full and once."""
    for user, account in drill.accounts.items():
        reported = [
            (each.seconds, each.octets_in, each.octets_out, sum(each.charges))
            for session in drill.traffic.sessions
            if session.login.user == user
            for each in [session.epoch(len(session.told))]
        ]
        booked = [
            (each.seconds, each.octets_in, each.octets_out, sum(each.charges))
            for each in books.epochs(account)
        ]
        assert sorted(booked) == sorted(reported)
        assert books.balance(account).balance == PAID_IN - sum(each[-1] for each in reported)
