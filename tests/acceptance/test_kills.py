"""kill -9 in the middle of traffic: of a worker, of settlement, of the servers, of everything.

Whatever is killed and whenever, in the end each record is charged once: what the NASes were
acknowledged, to the octet and the micro, is what ledger and store have.
"""

import itertools
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager

import psutil
import pytest

from tests.acceptance.books import Books, Epoch
from tests.acceptance.coa_port import CoaPort
from tests.acceptance.conftest import GENERIC, SECRET, provision
from tests.acceptance.installation import WORKERS, Installation, Serving, has_ended
from tests.acceptance.pyrad_nas import PyradNas
from tests.acceptance.records import Login, without_timestamp
from tests.acceptance.traffic import Traffic, TrafficNas
from tests.support.servers import server_directory

EURO = 1_000_000
PAID_IN = 1_000 * EURO
NASES, SESSIONS_OF_NAS = 3, 4
AGO_S = 5 * 86_400

_numbers = itertools.count(1)


class Stage:
    """An installation whose `serve` is killed and started again."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        with Books(installation.settings) as books:
            provision(installation, books)
            self.serving: Serving = installation.serve()

    def books(self) -> Books:
        """What staff see now."""
        return Books(self.installation.settings)

    @contextmanager
    def traffic(self) -> Generator["Play"]:
        """New sessions of new accounts, all started."""
        number = next(_numbers)
        users = [f"user-{number}-{nas}" for nas in range(NASES)]
        with self.books() as books:
            accounts = [books.open_account(PAID_IN, user) for user in users]
        began = int(time.time()) - AGO_S
        nases = [
            TrafficNas(
                f"{GENERIC}.{number}.{nas + 1}",
                self.installation.ports.acct,
                SECRET,
                [Login(user, f"{number}-{each}", began) for each in range(SESSIONS_OF_NAS)],
                seed=number * NASES + nas,
            )
            for nas, user in enumerate(users)
        ]
        try:
            traffic = Traffic(nases)
            traffic.run_until(lambda: traffic.acknowledged >= 5 * len(traffic.sessions))
            yield Play(self, traffic, dict(zip(users, accounts, strict=True)))
        finally:
            for nas in nases:
                nas.close()


class Play:
    """Traffic, and the accounts that pay for it, by user name."""

    def __init__(self, stage: Stage, traffic: Traffic, accounts: dict[str, str]) -> None:
        self.traffic = traffic
        self._stage = stage
        self.accounts = accounts

    def assert_all_is_booked(self) -> None:
        """When all is answered: exactly that is in store and ledger, session by session.

        Each session is one epoch, so none was taken for ended and none had to start again.
        """
        self.traffic.quieten()
        with self._stage.books() as books:
            for user, account in self.accounts.items():
                sessions = [each for each in self.traffic.sessions if each.login.user == user]
                epochs = [session.epoch(len(session.told)) for session in sessions]
                live = books.open_sessions(user)
                assert sorted((each.seconds, each.octets_in, each.octets_out) for each in live) == (
                    sorted((e.seconds, e.octets_in, e.octets_out) for e in epochs if not e.closed)
                )
                reserved = sum(each.reserved_micros for each in live)
                books.assert_account(account, PAID_IN, epochs, reserved=reserved)

    def assert_nothing_acknowledged_is_lost(self) -> None:
        """While records are unanswered: a session stands where it was acknowledged, or one on."""
        with self._stage.books() as books:
            books.settle()
            for user, account in self.accounts.items():
                sessions = [each for each in self.traffic.sessions if each.login.user == user]
                booked = books.epochs(account)
                assert len(booked) == len(sessions)
                for session in sessions:
                    assert [epoch for epoch in session.possible if epoch in booked]

    def finish(self) -> None:
        """The sessions go on without a new Start, and stop; then all is booked for good."""
        self.traffic.run(0.5)
        self.traffic.quieten(stop=True)
        self.assert_all_is_booked()


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """A system of its own; at the end nothing of it runs."""
    with server_directory() as directory:
        stage = Stage(Installation(directory))
        try:
            yield stage
            assert stage.serving.stop() == 0, stage.serving.log()
            assert stage.installation.servers() == {}
        finally:
            stage.serving.kill_everything()


def _replaced(stage: Stage, role: str, killed: list[psutil.Process], count: int) -> bool:
    running = stage.serving.role(role)
    return len(running) == count and not set(running) & set(killed)


@pytest.mark.parametrize(
    ("role", "count", "killed_each_time"),
    [("listener", WORKERS, (1, 2, 1)), ("settlement", 1, (1, 1, 1))],
)
def test_a_process_is_killed(
    stage: Stage, role: str, count: int, killed_each_time: tuple[int, ...]
) -> None:
    """A listener worker, both of them, and settlement: another takes over."""
    with stage.traffic() as play:
        for number, at_once in enumerate(killed_each_time):
            play.traffic.run(0.2 + 0.13 * number)
            victims = stage.serving.role(role)[:at_once]
            for victim in victims:
                victim.kill()
            play.traffic.run_until(lambda v=victims: _replaced(stage, role, v, count))
            play.assert_all_is_booked()
        play.finish()


@pytest.mark.parametrize("server", ["valkey", "postgres"])
def test_a_server_is_killed(stage: Stage, server: str) -> None:
    """The supervisor starts it again, and the processes find it again."""
    with stage.traffic() as play:
        for number in range(2):
            play.traffic.run(0.3 + 0.2 * number)
            victim = psutil.Process(stage.installation.servers()[server])
            victim.kill()
            play.traffic.run_until(
                lambda v=victim: stage.installation.servers().get(server, v.pid) != v.pid
            )
            play.assert_all_is_booked()
        play.finish()


def test_the_supervisor_is_killed(stage: Stage) -> None:
    """Its processes end by themselves; its successor adopts the servers, which run on."""
    with stage.traffic() as play:
        servers = stage.installation.servers()
        orphans = stage.serving.kill_supervisor()
        stage.serving = stage.installation.start()
        play.traffic.run_until(lambda: stage.serving.is_ready() and all(map(has_ended, orphans)))
        assert stage.installation.servers() == servers
        play.finish()


def test_everything_is_killed(stage: Stage) -> None:
    """Supervisor, processes, Valkey, Postgres: at several moments, and started again."""
    with stage.traffic() as play, _Deadline(stage, seconds=10) as deadline:
        for number in range(3):
            play.traffic.run(0.2 + 0.17 * number)
            stage.serving.kill_everything()
            assert stage.installation.servers() == {}
            if number == 1:
                # The NASes go on all the time.
                stage.serving = stage.installation.start()
                play.traffic.run_until(stage.serving.is_ready)
            else:
                stage.serving = stage.installation.serve()
                play.assert_nothing_acknowledged_is_lost()
            play.assert_all_is_booked()
            if number == 0:
                deadline.assert_it_is_kept()
        play.finish()


class _Deadline:
    """A session of `hourly` whose EUR 0.01, so its 60 s, are used up in so many seconds."""

    def __init__(self, stage: Stage, *, seconds: int) -> None:
        self._stage = stage
        self._used = 60 - seconds
        number = next(_numbers)
        user, address = f"hourly-{number}", f"{GENERIC}.{number}.1"
        with stage.books() as books:
            self._account = books.open_account(10_000, user, plan="hourly")
        self._nas = PyradNas(address, stage.installation.ports.acct, SECRET)
        self._coa_port = CoaPort(address, stage.installation.ports.coa, SECRET)
        self._login = Login(user, "hourly", int(time.time()) - self._used)
        self._nas.send(without_timestamp(self._login.start(), delay=self._used))
        self._due = time.time() + seconds

    def __enter__(self) -> "_Deadline":
        return self

    def __exit__(self, *_: object) -> None:
        self._nas.close()
        self._coa_port.__exit__()

    def assert_it_is_kept(self) -> None:
        """The cut comes when it is due, or as soon as it is carried out again; a Stop proves it."""
        ready = time.time()
        request = self._coa_port.receive(30.0)
        assert request is not None
        assert self._due - 1 < request.at < max(self._due, ready) + 5
        self._coa_port.acknowledge(request)
        self._nas.send(without_timestamp(self._login.stop(60, 1_000, 1_000), delay=0))
        with self._stage.books() as books:
            books.assert_account(self._account, 10_000, [Epoch(60, 1_000, 1_000, (10_000,))])
            assert [event.event for event in books.job_events(self._account)][-1] == "proven"
