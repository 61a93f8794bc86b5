"""When the credit runs out: the cut on the wire, its deadline, what ends it, and the race for it.

`metered` costs 2 micros for each step of 1,000 octets begun and sets at least EUR 0.04 aside; a
session begins with at least EUR 0.02. `hourly` costs EUR 0.60 an hour, by the second.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack

import pytest

from tests.acceptance.books import Books, Epoch, Money
from tests.acceptance.coa_port import (
    ACCT_SESSION_ID,
    USER_NAME,
    CoaPort,
)
from tests.acceptance.conftest import BOTH_CLIENTS, Nas, World
from tests.acceptance.installation import eventually
from tests.acceptance.pyrad_nas import PyradNas
from tests.acceptance.records import Attributes, Login, without_timestamp

EURO = 1_000_000

#: A cut that is due comes at once; a machine that is busy otherwise may take its time.
CUT_S = 10.0


@pytest.fixture
def coa_port(world: World, nas: Nas) -> Iterator[CoaPort]:
    """The CoA port of `nas`."""
    with world.coa_port(nas.address) as port:
        yield port


@pytest.fixture
def pyrad_coa_port(world: World, pyrad_nas: PyradNas) -> Iterator[CoaPort]:
    """The CoA port of `pyrad_nas`."""
    with world.coa_port(pyrad_nas.address) as port:
        yield port


def test_the_session_is_cut_when_its_credit_is_used(
    world: World, books: Books, nas: Nas, coa_port: CoaPort, user: str
) -> None:
    account = books.open_account(50_000, user)
    login = world.login(user)
    nas.send(login.start())
    assert coa_port.receive(0.3) is None

    # 25,000,000 octets are 25,000 steps: EUR 0.05, all there was.
    nas.send(login.interim(300, 5_000_000, 20_000_000))
    request = coa_port.receive(CUT_S)
    assert request is not None
    assert request.identification == {
        USER_NAME: user.encode(),
        ACCT_SESSION_ID: login.session_id.encode(),
    }
    coa_port.acknowledge(request)
    [job] = eventually(lambda: [job for job in books.jobs(account) if job.result == "ack"])
    assert (job.cause, job.state, job.attempts) == ("exhausted", "acknowledged", 1)
    books.assert_account(account, 50_000, [Epoch(300, 5_000_000, 20_000_000, (25_000 * 2,), None)])

    # What was used until the cut is booked in full: 200 steps below zero.
    nas.send(login.stop(301, 5_000_000, 20_200_000, Acct_Terminate_Cause=6))
    books.assert_account(
        account, 50_000, [Epoch(301, 5_000_000, 20_200_000, (25_000 * 2, 200 * 2))]
    )
    assert books.balance(account).balance == -400
    assert books.jobs(account) == []
    assert [event.event for event in books.job_events(account)] == ["acknowledged", "proven"]
    assert coa_port.receive(0.3) is None


def test_a_top_up_ends_the_pending_cut(
    world: World, books: Books, pyrad_nas: PyradNas, pyrad_coa_port: CoaPort, user: str
) -> None:
    account = books.open_account(50_000, user)
    login = world.login(user)
    pyrad_nas.send(login.start(), login.interim(300, 5_000_000, 20_000_000))
    # The NAS does not answer, so there would be another in 2 s, less 10 % at the most.
    assert pyrad_coa_port.receive(CUT_S) is not None
    books.top_up(account, EURO)
    eventually(lambda: not books.jobs(account))
    pyrad_coa_port.pass_over()
    assert pyrad_coa_port.receive(2.5) is None
    assert [event.event for event in books.job_events(account)] == ["cancelled"]

    # 66,666 octets/s down for 375 s (300 and a quarter) are 24,999,750 octets ahead; up it is the
    # least of 10,000,000. With 25,000,000 used they make 59,999,750: 60,000 steps.
    ahead = (60_000 - 25_000) * 2
    books.assert_account(
        account,
        50_000 + EURO,
        [Epoch(300, 5_000_000, 20_000_000, (25_000 * 2,), None)],
        reserved=ahead,
    )
    [live] = books.open_sessions(user)
    assert not live.cutting
    pyrad_nas.send(login.stop(600, 6_000_000, 20_000_000))
    books.assert_account(
        account, 50_000 + EURO, [Epoch(600, 6_000_000, 20_000_000, (25_000 * 2, 1_000 * 2))]
    )


@pytest.mark.parametrize("reports", [False, True], ids=["start-only", "with-an-interim"])
def test_an_hourly_session_is_cut_to_the_second(
    world: World,
    books: Books,
    pyrad_nas: PyradNas,
    pyrad_coa_port: CoaPort,
    user: str,
    reports: bool,
) -> None:
    """EUR 0.01 at EUR 0.60 an hour lasts 3,600 * 0.01 / 0.60 = 60 s: no more and no less."""
    account = books.open_account(10_000, user, plan="hourly")
    used = 58
    sent = time.time()
    login = Login(user, "hourly-1", int(sent) - used)
    pyrad_nas.send(without_timestamp(login.start(), delay=used))
    answered = time.time()
    assert books.balance(account) == Money(10_000, 10_000, 0, 1)
    if reports:
        time.sleep(1.0)
        used = 59
        sent = time.time()
        pyrad_nas.send(without_timestamp(login.interim(used, 1_000, 1_000), delay=0))
        answered = time.time()
        # 59 s cost 59 * 600,000 / 3,600 = 9,833.33 micros; the last one has the rest.
        assert books.balance(account) == Money(167, 167, 0, 1)

    [job] = books.jobs(account)
    # By our clock, from when the record came in; the NAS's may be wrong.
    assert sent - 0.001 <= job.due_ms / 1_000 - (60 - used) <= answered
    request = pyrad_coa_port.receive(CUT_S)
    assert request is not None
    assert 0 <= request.at - job.due_ms / 1_000 < 2  # on a busy machine
    pyrad_coa_port.acknowledge(request)
    pyrad_nas.send(without_timestamp(login.stop(60, 2_000, 2_000), delay=0))
    charges = (9_833, 167) if reports else (10_000,)
    books.assert_account(account, 10_000, [Epoch(60, 2_000, 2_000, charges)])
    assert books.job_events(account)[-1].event == "proven"


@pytest.mark.parametrize("kind", BOTH_CLIENTS)
def test_who_has_no_credit_is_cut_at_once(
    world: World, books: Books, user: str, kind: type[Nas]
) -> None:
    """EUR 0.019999 is below the least credit of `metered`: nothing is granted."""
    account = books.open_account(19_999, user)
    nas = world.nas(kind)
    with world.coa_port(nas.address) as coa_port:
        login = world.login(user)
        nas.send(login.start())
        request = coa_port.receive(CUT_S)
        assert request is not None
        coa_port.acknowledge(request)
        nas.send(login.stop(1, 0, 0))
    nas.close()
    books.assert_account(account, 19_999, [Epoch(1, 0, 0, (0,))])
    assert books.job_events(account)[-1].event == "proven"


ROUNDS = 16

#: What the account has, and what of it two sessions may be granted together: EUR 0.04 each if there
#: is so much, the second what is left of at least EUR 0.02.
MONEY = (
    (40_000, 40_000),
    (59_999, 40_000),
    (60_000, 60_000),
    (60_001, 60_001),
    (79_999, 79_999),
    (80_000, 80_000),
    (80_001, 80_000),
    (100_000, 80_000),
)


def test_two_sessions_race_for_the_last_unit(world: World, books: Books, user: str) -> None:
    """On two NASes, with every record of one sent at the same time as one of the other."""
    with ExitStack() as stack:
        racers = [_Racer(world, stack) for _ in range(2)]
        for number in range(ROUNDS):
            money, together = MONEY[number % len(MONEY)]
            _race(world, books, racers, f"{number}-{user}", money, together)


class _Racer:
    """A NAS with its CoA port."""

    def __init__(self, world: World, stack: ExitStack) -> None:
        nas = world.nas(PyradNas)
        assert isinstance(nas, PyradNas)
        stack.callback(nas.close)
        self.nas = nas
        self.coa_port = stack.enter_context(world.coa_port(nas.address))


def _race(
    world: World,
    books: Books,
    racers: Sequence[_Racer],
    user: str,
    money: int,
    together: int,
) -> None:
    account = books.open_account(money, user)
    logins = [world.login(user, f"race-{number}-{user}") for number in range(2)]

    _at_once(racers, [login.start() for login in logins])
    assert books.balance(account) == Money(money, together, money - together, 2)
    assert sum(each.reserved_micros for each in books.open_sessions(user)) == together

    # 20,100 steps and 30,200: EUR 0.1006, beyond what the account has.
    used = [(100_000, 20_000_000), (200_000, 30_000_000)]
    _at_once(
        racers,
        [login.interim(300, *octets) for login, octets in zip(logins, used, strict=True)],
    )
    for racer, login in zip(racers, logins, strict=True):
        request = racer.coa_port.receive(CUT_S)
        assert request is not None
        assert request.session_id == login.session_id
        racer.coa_port.acknowledge(request)
    overspent = money - (20_100 + 30_200) * 2
    assert books.balance(account) == Money(overspent, 0, overspent, 2)

    # And 50 steps more each until they end.
    _at_once(
        racers,
        [
            login.stop(301, octets_in, octets_out + 50_000)
            for login, (octets_in, octets_out) in zip(logins, used, strict=True)
        ],
    )
    books.settle()
    epochs = books.epochs(account)
    expected = [
        Epoch(301, 100_000, 20_050_000, (20_100 * 2, 50 * 2)),
        Epoch(301, 200_000, 30_050_000, (30_200 * 2, 50 * 2)),
    ]
    assert sorted(epochs, key=_octets) == expected
    books.assert_account(account, money, epochs)
    ended = [event for event in books.job_events(account) if event.event == "proven"]
    assert len({event.session_uid for event in ended}) == 2
    assert books.jobs(account) == []


def _octets(epoch: Epoch) -> int:
    return epoch.octets_in


def _at_once(racers: Sequence[_Racer], records: Sequence[Attributes]) -> None:
    """Send a record of each, on sockets of their own, before either is answered."""
    with ExitStack() as stack:
        datagrams = [
            stack.enter_context(racer.nas.datagram(record))
            for racer, record in zip(racers, records, strict=True)
        ]
        for datagram in datagrams:
            datagram.send()
        for datagram in datagrams:
            assert datagram.answer(5.0) is not None
