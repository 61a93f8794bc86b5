"""What a session costs, to the micro, however oddly its NAS tells of it.

The plan is `metered` (config/samples/plans.toml): EUR 2.00 for 10^9 octets, both directions
together, in steps of 1,000 octets. So a step begun costs 2 micros. Set aside ahead of use are at
least 10 MB in each direction: 20,000 steps, EUR 0.04.
"""

from typing import Any

import pytest

from tests.acceptance.books import Books, Epoch
from tests.acceptance.conftest import BOTH_CLIENTS, GENERIC_32BIT, Nas, World
from tests.acceptance.installation import eventually, told
from tests.acceptance.pyrad_nas import PyradNas
from tests.acceptance.records import accounting_on

EURO = 1_000_000
LEAST_RESERVE = 20_000 * 2
USAGE = ("sessions", "octets_in", "octets_out", "seconds", "charged_micros")


def test_start_interim_stop_with_gigawords(world: World, books: Books, nas: Nas, user: str) -> None:
    account = books.open_account(50 * EURO, user)
    login = world.login(user)

    nas.send(login.start())
    books.assert_account(account, 50 * EURO, [Epoch(0, 0, 0, (), None)], reserved=LEAST_RESERVE)

    nas.send(login.interim(300, 123_456_789, 987_654_321))
    # 1,111,111,110 octets are 1,111,112 steps.
    first = 1_111_112 * 2
    # 411,522 and 3,292,181 octets/s for 375 s (300 and a quarter) are 1,388,888,625 octets ahead;
    # with those used 2,499,999,735, which are 2,500,000 steps.
    ahead = 2_500_000 * 2 - first
    books.assert_account(
        account, 50 * EURO, [Epoch(300, 123_456_789, 987_654_321, (first,), None)], reserved=ahead
    )
    [live] = books.open_sessions(user)
    assert (live.octets_in, live.octets_out, live.seconds) == (123_456_789, 987_654_321, 300)
    assert (live.charged_micros, live.reserved_micros) == (first, ahead)

    octets_in, octets_out = 1 * 2**32 + 7, 3 * 2**32 + 11
    nas.send(login.stop(600, octets_in, octets_out))
    # 4 * 4,294,967,296 + 18 = 17,179,869,202 octets are 17,179,870 steps: EUR 34.359740.
    rest = 17_179_870 * 2 - first
    books.assert_account(account, 50 * EURO, [Epoch(600, octets_in, octets_out, (first, rest))])
    assert books.balance(account).balance == 50 * EURO - 34_359_740
    assert books.open_sessions(user) == []


def test_an_older_interim_after_a_newer_one(
    world: World, books: Books, nas: Nas, user: str
) -> None:
    account = books.open_account(EURO, user)
    login = world.login(user)
    nas.send(
        login.start(),
        login.interim(200, 2_000, 5_500),
        login.interim(100, 1_000, 2_500),
        login.interim(200, 2_000, 5_500),
    )
    # 7,500 octets are 8 steps; the older one neither costs nor refunds.
    books.assert_account(
        account, EURO, [Epoch(200, 2_000, 5_500, (8 * 2,), None)], reserved=LEAST_RESERVE
    )
    nas.send(login.stop(300, 3_000, 6_000))
    # 9,000 octets are 9 steps, of which 8 are paid.
    books.assert_account(account, EURO, [Epoch(300, 3_000, 6_000, (8 * 2, 1 * 2))])


def test_an_interim_after_the_stop(world: World, books: Books, nas: Nas, user: str) -> None:
    account = books.open_account(EURO, user)
    login = world.login(user)
    nas.send(
        login.start(),
        login.stop(300, 4_000, 4_000),
        login.interim(250, 3_000, 3_500),
        login.interim(300, 4_000, 4_000),
    )
    books.assert_account(account, EURO, [Epoch(300, 4_000, 4_000, (8 * 2,))])
    assert books.anomalies(account) == []


def test_the_first_packet_is_an_interim(world: World, books: Books, nas: Nas, user: str) -> None:
    account = books.open_account(EURO, user)
    login = world.login(user)
    nas.send(login.interim(900, 10_001, 20_000))
    # 30,001 octets are 31 steps.
    books.assert_account(
        account, EURO, [Epoch(900, 10_001, 20_000, (31 * 2,), None)], reserved=LEAST_RESERVE
    )
    # Its Start was on another road, and comes last.
    nas.send(login.start(), login.stop(1_000, 10_001, 21_000))
    # 31,001 octets are 32 steps.
    books.assert_account(account, EURO, [Epoch(1_000, 10_001, 21_000, (31 * 2, 1 * 2))])


@pytest.mark.parametrize("zeros", [False, True], ids=["absent", "zeros"])
def test_a_stop_without_counters(
    world: World, books: Books, nas: Nas, user: str, zeros: bool
) -> None:
    """Either there are none in it, or a NAS that lost the session sends zeros (accel-ppp)."""
    account = books.open_account(EURO, user)
    login = world.login(user)
    bare = login.bare_stop(300)
    nas.send(
        login.start(),
        login.interim(200, 1_000, 2_000),
        {**login.stop(0, 0, 0), "Event-Timestamp": login.began + 300} if zeros else bare,
    )
    books.assert_account(account, EURO, [Epoch(200, 1_000, 2_000, (3 * 2,))])


def test_octets_cross_2_to_the_32_with_gigawords(
    world: World, books: Books, nas: Nas, user: str
) -> None:
    account = books.open_account(50 * EURO, user)
    login = world.login(user)
    nas.send(
        login.start(),
        login.interim(1_000, 100, 2**32 - 1),
        login.stop(1_300, 200, 2**32 + 704),
    )
    # 4,294,967,395 octets are 4,294,968 steps; 805 more make 4,294,968,200: 4,294,969 steps.
    books.assert_account(
        account, 50 * EURO, [Epoch(1_300, 200, 2**32 + 704, (4_294_968 * 2, 1 * 2))]
    )


@pytest.mark.parametrize("kind", BOTH_CLIENTS)
def test_32_bit_counters_wrap(world: World, books: Books, user: str, kind: type[Nas]) -> None:
    """The NAS is of vendor generic-32bit: it has no Gigawords, its octets begin again at zero."""
    account = books.open_account(50 * EURO, user)
    login = world.login(user)
    nas = world.nas(kind, GENERIC_32BIT)
    nas.send(
        login.start(),
        login.interim(1_000, 100, 4_294_967_000),
        login.interim(1_300, 200, 704),
        login.stop(1_600, 300, 1_704),
    )
    nas.close()
    # 4,294,967,100 octets are 4,294,968 steps; 4,294,968,200 (2^32 + 704 + 200) 4,294,969;
    # 4,294,969,300 (2^32 + 1,704 + 300) 4,294,970.
    books.assert_account(
        account, 50 * EURO, [Epoch(1_600, 300, 2**32 + 1_704, (4_294_968 * 2, 2, 2))]
    )


def test_a_session_id_is_used_again_after_accounting_on(
    world: World, books: Books, nas: Nas, user: str
) -> None:
    account = books.open_account(EURO, user)
    before = world.login(user, ago=3_600)
    nas.send(before.start(), before.interim(600, 30_000, 40_000))
    nas.send(accounting_on(before.began + 1_000))
    # 70 steps; the session is over, and what was reserved for it is free again.
    lost = Epoch(600, 30_000, 40_000, (70 * 2,), "nas_down")
    eventually(lambda: books.balance(account).open_sessions == 0)
    books.assert_account(account, EURO, [lost])

    after = world.login(user, ago=1_800)
    nas.send(after.start(), after.interim(300, 5_000, 6_000), after.stop(600, 7_000, 9_000))
    # 11 steps, then 16: charged from zero, not from where the other session stood.
    books.assert_account(account, EURO, [lost, Epoch(600, 7_000, 9_000, (11 * 2, 5 * 2))])


def test_a_session_id_is_used_again_after_a_stop_and_a_start(
    world: World, books: Books, nas: Nas, user: str
) -> None:
    account = books.open_account(EURO, user)
    first, second = world.login(user, ago=3_600), world.login(user, ago=1_800)
    nas.send(
        first.start(),
        first.stop(600, 30_000, 40_000),
        second.start(),
        second.interim(300, 5_000, 6_000),
        first.interim(500, 29_000, 39_000),  # was on its way for long
        second.stop(600, 50_000, 50_000),
    )
    books.assert_account(
        account,
        EURO,
        [
            Epoch(600, 30_000, 40_000, (70 * 2,)),
            Epoch(600, 50_000, 50_000, (11 * 2, (100 - 11) * 2)),
        ],
    )


def test_the_command_line_tells_the_same(
    world: World, books: Books, pyrad_nas: PyradNas, user: str
) -> None:
    """The figures above come from the functions behind these commands; here they are run."""
    account = books.open_account(EURO, user)
    login = world.login(user)
    pyrad_nas.send(login.start(), login.interim(300, 1_500, 2_500), login.stop(600, 4_000, 5_500))
    running = world.login(user, "8100A3F2-00001C43")
    pyrad_nas.send(running.start())
    # 9,500 octets are 10 steps.
    charged = 10 * 2
    books.assert_account(
        account,
        EURO,
        [Epoch(600, 4_000, 5_500, (4 * 2, 6 * 2)), Epoch(0, 0, 0, (), None)],
        reserved=LEAST_RESERVE,
    )

    commands = {
        words[0]: world.installation.command(*words, "--json")
        for words in (
            ["balance", account],
            ["usage", "--user", user],
            ["ledger", account],
            ["sessions", "--user", user],
            ["reconcile"],
        )
    }
    said = {name: told(command) for name, command in commands.items()}
    assert _part(said["balance"], "balance_micros", "reserved_micros", "available_micros") == (
        EURO - charged,
        LEAST_RESERVE,
        EURO - charged - LEAST_RESERVE,
    )
    assert _part(said["usage"]["total"], *USAGE) == (2, 4_000, 5_500, 600, charged)
    assert [row["amount_micros"] for row in said["ledger"] if row["kind"] == "topup"] == [EURO]
    assert sum(row["amount_micros"] for row in said["ledger"]) == EURO - charged
    [session] = said["sessions"]
    assert _part(session, "acct_session_id", "reserved_micros", "charged_micros") == (
        running.session_id,
        LEAST_RESERVE,
        0,
    )
    assert _part(said["reconcile"], "exact", "drift_micros") == (True, 0)


def _part(said: dict[str, Any], *keys: str) -> tuple[Any, ...]:
    return tuple(said[key] for key in keys)
