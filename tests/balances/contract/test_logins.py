"""Grants of logins: reserved atomically, taken over by one session, given back when unused."""

from typing import Any

import pytest

from balances.keys import grant_pointers
from balances.messages import Grant, Login, LoginStatus, Lookup, Occupant, Status
from tests.balances.world import (
    ALICE,
    LIFETIME_MS,
    NAS,
    SESSION,
    SIBLING,
    World,
    uid_of,
)

UID = uid_of(SESSION, 9)


async def found(
    world: World, session: str = SESSION, *, grants: tuple[bytes, ...] = (), station: str = ""
) -> Grant | None:
    """The grant that a session of the user would begin with."""
    lookup = Lookup(session, NAS, "ute", grants=grants, station=station)
    return (await world.hot.read([lookup])).found[0].grant


async def test_a_login_reserves_what_it_is_granted(world: World) -> None:
    await world.fund(1000)
    outcome = await world.ask(want=300)
    assert (outcome.status, outcome.occupants) == (LoginStatus.GRANTED, [])
    assert await world.money() == (1000, 300)
    (audit,) = await world.keeping.inspect([ALICE])
    assert audit is not None
    assert (audit.held, audit.sessions) == (300, 0)
    assert (await world.keeping.books()).totals["EUR"].reserved == 300


async def test_two_logins_never_get_more_than_there_is(world: World) -> None:
    """Each computed alone from the same balance."""
    await world.fund(1000)
    assert (await world.ask(want=800)).status is LoginStatus.GRANTED
    second = await world.ask(SIBLING, station="mac2", want=800, grant=800)
    assert second.status is LoginStatus.STALE_CREDIT
    assert (await world.ask(SIBLING, station="mac2", want=800)).status is LoginStatus.GRANTED
    assert await world.money() == (1000, 1000)


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"expected_rating": 99}, LoginStatus.STALE_RATING),
        ({"want": -1, "grant": -1}, LoginStatus.BEYOND_BOUNDS),
        ({"want": 2**53, "grant": 0}, LoginStatus.BEYOND_BOUNDS),
        ({"lifetime_ms": 0}, LoginStatus.BEYOND_BOUNDS),
        ({"want": 5, "grant": 6}, LoginStatus.STALE_CREDIT),
    ],
)
async def test_what_does_not_hold_any_more_is_not_granted(
    world: World, changes: dict[str, Any], status: LoginStatus
) -> None:
    await world.fund(1000)
    assert (await world.ask(**changes)).status is status
    assert await world.money() == (1000, 0)


async def test_an_account_that_is_not_there(world: World) -> None:
    login = Login(UID, "nobody", "ute", [], 1, 0, 0, LIFETIME_MS)
    assert (await world.logins.login(login)).status is LoginStatus.NO_ACCOUNT


async def test_unlimited_credit_is_granted_in_full(world: World) -> None:
    await world.fund(0, credit_limit=None)
    await world.grant(want=500)
    assert await world.money() == (0, 500)


class TestTakeover:
    async def test_the_session_that_takes_it_over_has_its_uid(self, world: World) -> None:
        await world.fund(1000)
        uid = await world.grant(want=900)
        await world.book(uid=uid, takes_grant=True, want=400, grant=400)
        assert (await world.session()).uid == uid
        assert await world.money() == (1000, 400)
        assert await found(world, SIBLING, grants=(uid,)) is None

    async def test_what_the_grant_held_counts_as_available_to_it(self, world: World) -> None:
        """The whole balance was reserved by the login."""
        await world.fund(1000)
        uid = await world.grant(want=1000)
        await world.book(uid=uid, takes_grant=True, want=1200, charge=100, grant=900)
        assert await world.money() == (900, 900)

    async def test_it_is_taken_over_once(self, world: World) -> None:
        await world.fund(1000)
        uid = await world.grant(want=300)
        steps = [
            await world.step(each, uid=uid, takes_grant=True, want=10, grant=10)
            for each in (SESSION, SIBLING)
        ]
        assert await world.statuses(*steps) == [Status.COMMITTED, Status.STALE_SESSION]
        assert await world.statuses(steps[1]) == [Status.STALE_SESSION]
        assert await world.money() == (1000, 10)

    async def test_not_by_a_session_of_another_account(self, world: World) -> None:
        await world.fund(1000)
        await world.fund(1000, "other")
        uid = await world.grant(want=300)
        step = await world.step(account="other", uid=uid, takes_grant=True)
        assert await world.statuses(step) == [Status.STALE_SESSION]
        assert await world.money() == (1000, 300)

    async def test_a_stale_step_leaves_it_where_it_is(self, world: World) -> None:
        await world.fund(1000)
        uid = await world.grant(want=300)
        step = await world.step(uid=uid, takes_grant=True, want=10, grant=9)
        assert await world.statuses(step) == [Status.STALE_CREDIT]
        assert await found(world) == Grant(uid, ALICE, 300, "ute")


class TestFinding:
    async def test_by_class_then_by_session_then_by_device(self, world: World) -> None:
        await world.fund(1000)
        first = await world.grant(SESSION, station="mac1", want=1)
        other = await world.grant(SIBLING, station="mac2", want=2)
        by_session = await found(world, SESSION)
        assert by_session is not None
        assert by_session.uid == first
        by_class = await found(world, SESSION, grants=(other,))
        assert by_class is not None
        assert by_class.uid == other
        by_device = await found(world, f"{NAS}|unknown", station="mac2")
        assert by_device is not None
        assert by_device.uid == other
        assert await found(world, f"{NAS}|unknown", station="mac3") is None
        assert await found(world, f"{NAS}|unknown", grants=(b"x" * 16, b"")) is None

    async def test_class_is_a_hint_only(self, world: World) -> None:
        """One of another user finds nothing, and the session is looked for by itself."""
        await world.fund(1000)
        foreign = await world.grant(SIBLING, username="uwe", want=2)
        own = await world.grant(SESSION, want=1)
        grant = await found(world, SESSION, grants=(foreign,))
        assert grant is not None
        assert grant.uid == own

    async def test_a_login_without_a_session_id_is_found_by_the_device(self, world: World) -> None:
        """As ocserv's: neither Acct-Session-Id in the login nor Class in accounting."""
        await world.fund(1000)
        await world.grant(f"{NAS}|", station="198.51.100.7", want=1)
        assert await found(world, SESSION, station="198.51.100.7") is not None

    async def test_an_open_session_finds_none(self, world: World) -> None:
        await world.fund(1000)
        await world.book(want=1)
        await world.grant(want=1)
        assert await found(world) is None

    def test_a_bar_in_a_name_is_no_border(self) -> None:
        assert grant_pointers("n|a", "", "b", "") != grant_pointers("n", "", "a|b", "")


class TestTheSameDeviceAgain:
    async def test_the_later_login_takes_the_place_of_the_earlier(self, world: World) -> None:
        """As openvpn's, which asks again under another authenticator."""
        await world.fund(1000)
        await world.grant(want=900)
        assert (await world.ask(uid=uid_of(SESSION, 8), want=950, grant=950)).status == 0
        assert await world.money() == (1000, 950)
        grant = await found(world)
        assert grant is not None
        assert grant.uid == uid_of(SESSION, 8)

    async def test_without_a_device_another_session_is_another_login(self, world: World) -> None:
        await world.fund(1000)
        await world.grant(SESSION, station="", want=100)
        await world.grant(SIBLING, station="", want=100)
        assert await world.money() == (1000, 200)


class TestEnd:
    async def test_one_that_is_never_used_gives_its_reservation_back(self, world: World) -> None:
        await world.fund(1000)
        await world.grant(want=300)
        assert await world.logins.expire_grants(10) == (0, world.now_ms + LIFETIME_MS)
        world.pass_ms(LIFETIME_MS)
        assert await world.logins.expire_grants(10) == (1, None)
        assert await world.money() == (1000, 0)
        assert (await world.keeping.books()).totals["EUR"].reserved == 0
        assert await found(world) is None
        assert await world.logins.expire_grants(10) == (0, None)

    async def test_as_many_as_are_asked_for(self, world: World) -> None:
        await world.fund(1000)
        for number in range(3):
            await world.grant(f"{NAS}|{number}", station=f"{number}", want=100)
        world.pass_ms(LIFETIME_MS)
        assert await world.logins.expire_grants(2) == (2, world.now_ms)
        assert await world.money() == (1000, 100)

    async def test_it_can_be_given_back_before(self, world: World) -> None:
        await world.fund(1000)
        uid = await world.grant(want=300)
        assert await world.logins.release_grants([uid, bytes(16)]) == 1
        assert await world.logins.release_grants([uid]) == 0
        assert await world.money() == (1000, 0)

    async def test_a_start_that_comes_too_late_begins_without_it(self, world: World) -> None:
        await world.fund(1000)
        uid = await world.grant(want=300)
        world.pass_ms(LIFETIME_MS)
        await world.logins.expire_grants(10)
        step = await world.step(uid=uid, takes_grant=True)
        assert await world.statuses(step) == [Status.STALE_SESSION]

    async def test_books_that_begin_anew_know_none(self, world: World) -> None:
        await world.fund(1000)
        await world.grant(want=300)
        account = await world.account()
        await world.keeping.fence("rebuilding")
        await world.restoration.restart(2)
        await world.restoration.restore_accounts([account])
        await world.keeping.fence("")
        assert await world.money() == (1000, 0)
        assert await found(world, grants=(UID,)) is None
        assert await world.logins.expire_grants(10) == (0, None)
        await world.grant(want=300)


class TestLimit:
    async def test_grants_take_places(self, world: World) -> None:
        await world.fund(1000)
        uid = await world.grant(SESSION, station="mac1", want=1, session_limit=1)
        second = await world.ask(SIBLING, station="mac2", want=1, session_limit=1)
        assert second.status is LoginStatus.FULL
        assert second.occupants == [Occupant(uid, "")]
        assert await world.money() == (1000, 1)
        other = await world.ask(SIBLING, station="m", username="uwe", want=1, session_limit=1)
        assert other.status is LoginStatus.GRANTED

    async def test_the_device_that_asks_again_is_not_in_its_own_way(self, world: World) -> None:
        await world.fund(1000)
        await world.grant(want=1, session_limit=1)
        again = await world.ask(uid=uid_of(SESSION, 8), want=1, session_limit=1)
        assert again.status is LoginStatus.GRANTED

    async def test_a_session_that_took_a_grant_over_keeps_its_place(self, world: World) -> None:
        """Also when the caller has read before and counts none."""
        await world.fund(1000)
        uid = await world.grant(want=1)
        await world.book(uid=uid, takes_grant=True, grant=0)
        second = await world.ask(SIBLING, station="mac2", session_limit=1)
        assert second.status is LoginStatus.FULL
        assert second.occupants == [Occupant(uid, SESSION)]
        await world.book(open=False)
        assert (await world.ask(SIBLING, station="mac2", session_limit=1)).status == 0

    async def test_sessions_that_no_login_began_are_counted_by_the_caller(
        self, world: World
    ) -> None:
        await world.fund(1000)
        await world.book()
        counted = (Occupant((await world.session()).uid, SESSION),)
        full = await world.ask(SIBLING, station="mac2", session_limit=1, counted=counted)
        assert (full.status, full.occupants) == (LoginStatus.FULL, list(counted))
        await world.jobs.request_disconnect(SESSION)
        ending = await world.ask(SIBLING, station="mac2", session_limit=1, counted=counted)
        assert ending.status is LoginStatus.GRANTED, "it is being cut"

    async def test_what_has_ended_since_it_was_counted_is_not(self, world: World) -> None:
        await world.fund(1000)
        gone = (Occupant(uid_of(SESSION, 3), SESSION),)
        assert (await world.ask(session_limit=1, counted=gone)).status is LoginStatus.GRANTED


class TestWrongPasswords:
    async def test_they_are_counted_until_one_is_right(self, world: World) -> None:
        assert await world.logins.is_held("n|u") == (False, False)
        assert [await world.logins.count_failure("n|u", 60_000) for _ in range(3)] == [1, 2, 3]
        assert await world.logins.count_failure("n|other", 60_000) == 1
        assert await world.logins.is_held("n|u") == (False, True)
        await world.logins.forget_failures("n|u")
        assert await world.logins.is_held("n|u") == (False, False)

    async def test_a_hold_is_for_one_user(self, world: World) -> None:
        await world.logins.hold("n|u", 60_000)
        assert await world.logins.is_held("n|u") == (True, False)
        assert await world.logins.is_held("n|other") == (False, False)


async def test_all_open_sessions_of_an_account_are_found(world: World) -> None:
    await world.fund(100)
    sessions = {f"n|{number}" for number in range(600)}
    steps = [await world.step(session, ALICE) for session in sessions]
    assert set(await world.statuses(*steps)) == {Status.COMMITTED}
    assert {key for key, _ in await world.logins.open_sessions(ALICE, 600)} == sessions


async def test_open_sessions_of_an_account(world: World) -> None:
    await world.fund(1000)
    await world.fund(1000, "other")
    assert await world.logins.open_sessions(ALICE, 10) == []
    await world.book(SESSION)
    await world.book(SIBLING)
    await world.book("n|other", account="other")
    await world.book(SIBLING, open=False)
    [(key, stored)] = await world.logins.open_sessions(ALICE, 10)
    assert (key, stored) == (SESSION, await world.session(SESSION))
