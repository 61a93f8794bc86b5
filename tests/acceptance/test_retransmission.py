"""A record counts once, however often and in whatever shape its NAS sends it again.

The plan is `metered`: 2 micros for each step of 1,000 octets begun (see test_sessions).
"""

import time
from contextlib import ExitStack

import pytest

from tests.acceptance.books import Books, Epoch
from tests.acceptance.conftest import Nas, World
from tests.acceptance.installation import eventually, frozen
from tests.acceptance.pyrad_nas import PyradNas
from tests.acceptance.records import Attributes, without_timestamp

EURO = 1_000_000
LEAST_RESERVE = 20_000 * 2
ROUNDS = 20


def test_the_same_datagram_before_the_reply(
    world: World, books: Books, nas: Nas, user: str
) -> None:
    """The store stands still, so that no reply can go out before the datagram came again."""
    account = books.open_account(EURO, user)
    login = world.login(user)
    nas.send(login.start())
    dropped = world.installation.counted("dropped_duplicate_in_flight")

    with frozen(world.installation.servers()["valkey"]):
        answered = nas.retransmit(login.interim(100, 1_500, 1_500))
        time.sleep(1.3)  # radclient tells time in seconds
    sent = answered()

    assert sent >= 2
    eventually(
        lambda: world.installation.counted("dropped_duplicate_in_flight") == dropped + sent - 1,
        tell=lambda: f"{sent} were sent",
    )
    nas.send(login.stop(200, 2_000, 2_000))
    # 3 steps, then 1 more.
    books.assert_account(account, EURO, [Epoch(200, 2_000, 2_000, (3 * 2, 1 * 2))])


def test_the_same_datagram_after_the_reply(
    world: World, books: Books, pyrad_nas: PyradNas, user: str
) -> None:
    """Octet for octet, from the same port: it is given the same reply."""
    account = books.open_account(EURO, user)
    login = world.login(user)
    from_cache = world.installation.counted("answered_duplicate")
    for record in (
        login.start(),
        login.interim(100, 1_500, 1_500),
        login.stop(200, 2_000, 2_000),
    ):
        with pyrad_nas.datagram(record) as datagram:
            datagram.send()
            reply = datagram.answer(5.0)
            assert reply is not None
            for _ in range(3):
                datagram.send()
                assert datagram.answer(5.0) == reply
    eventually(lambda: world.installation.counted("answered_duplicate") == from_cache + 3 * 3)
    books.assert_account(account, EURO, [Epoch(200, 2_000, 2_000, (3 * 2, 1 * 2))])


@pytest.mark.parametrize("stamped", [True, False], ids=["event-timestamp", "delay-time-only"])
def test_the_same_record_with_a_larger_delay(
    world: World, books: Books, nas: Nas, user: str, stamped: bool
) -> None:
    """A new identifier and authenticator (RFC 2866, section 5.2): no cache can know it again.

    All of a session comes again, a second later, when its Stop has been taken.
    """
    account = books.open_account(EURO, user)
    login = world.login(user, ago=300)

    def told(trying: int) -> list[Attributes]:
        """The session's records, when the NAS has been trying for so long."""
        records = (
            (login.start(), 300),
            (login.interim(100, 1_500, 1_500), 200),
            (login.stop(200, 2_000, 2_000), 100),
        )
        if stamped:
            return [{**record, "Acct-Delay-Time": trying} for record, _ in records]
        return [without_timestamp(record, ago + trying) for record, ago in records]

    nas.send(*told(trying=0))
    time.sleep(1.0)
    nas.send(*told(trying=1))
    books.assert_account(account, EURO, [Epoch(200, 2_000, 2_000, (3 * 2, 1 * 2))])
    assert books.anomalies(account) == []


def test_a_resent_record_overtakes_nothing(world: World, books: Books, nas: Nas, user: str) -> None:
    """Each record is sent again right after itself, while its session is open."""
    account = books.open_account(EURO, user)
    login = world.login(user)
    for record in (login.start(), login.interim(100, 1_500, 1_500)):
        nas.send({**record, "Acct-Delay-Time": 0}, {**record, "Acct-Delay-Time": 15})
    books.assert_account(
        account, EURO, [Epoch(100, 1_500, 1_500, (3 * 2,), None)], reserved=LEAST_RESERVE
    )
    stop = login.stop(200, 2_000, 2_000)
    nas.send({**stop, "Acct-Delay-Time": 0}, {**stop, "Acct-Delay-Time": 15})
    books.assert_account(account, EURO, [Epoch(200, 2_000, 2_000, (3 * 2, 1 * 2))])


def test_the_same_record_meets_several_workers_at_once(
    world: World, books: Books, pyrad_nas: PyradNas, user: str
) -> None:
    """From many ports, as through proxies: the kernel spreads them over the workers."""
    account = books.open_account(EURO, user)
    login = world.login(user)
    records = [login.start()]
    records += [login.interim(n * 60, n * 1_000, n * 2_000) for n in range(1, ROUNDS)]
    records += [login.stop(ROUNDS * 60, ROUNDS * 1_000, ROUNDS * 2_000)]
    for record in records:
        with ExitStack() as stack:
            datagrams = [stack.enter_context(pyrad_nas.datagram(record)) for _ in range(8)]
            for datagram in datagrams:
                datagram.send()
            for datagram in datagrams:
                assert datagram.answer(5.0) is not None
    # Each adds 3 steps.
    books.assert_account(
        account, EURO, [Epoch(ROUNDS * 60, ROUNDS * 1_000, ROUNDS * 2_000, (3 * 2,) * ROUNDS)]
    )
