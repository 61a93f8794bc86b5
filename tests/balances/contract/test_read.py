"""read: what is there for each lookup, all at one moment."""

import pytest

from balances.errors import StoreEmpty
from balances.messages import (
    DropSubscriber,
    Found,
    Lookup,
    PutSubscriber,
    Snapshot,
    StoredSession,
    Subscriber,
)
from tests.balances.world import ALICE, NAS, QUIET_S, SESSION, START_MS, World, uid_of


async def test_nothing_is_there_in_new_books(world: World) -> None:
    snapshot = await world.hot.read([Lookup(SESSION, NAS, "bob")])
    assert snapshot == Snapshot(START_MS, 0, {}, [Found(None, None)])


async def test_no_lookups_find_nothing(world: World) -> None:
    assert await world.hot.read([]) == Snapshot(START_MS, 0, {}, [])


async def test_an_empty_store_is_not_taken_for_one_without_subscribers(
    empty_world: World,
) -> None:
    """Else every login would be refused, and every record be unrated, after a loss of the store."""
    with pytest.raises(StoreEmpty):
        await empty_world.hot.read([Lookup(SESSION, NAS, "bob")])


async def test_an_open_session_is_found_with_its_account(world: World) -> None:
    await world.fund(1000)
    await world.book(want=300, state=b"\x00opaque\xff")
    found = await world.find()
    assert found.session is not None
    assert found.session == StoredSession(
        uid=uid_of(SESSION),
        account=ALICE,
        version=found.session.version,
        open=True,
        cutting=False,
        regrant=False,
        held=300,
        seen_ms=START_MS,
        quiet=QUIET_S,
        state=b"\x00opaque\xff",
    )
    assert found.account == await world.account()
    assert (await world.account()).reserved == 300


async def test_a_subscriber_is_looked_up_only_where_there_is_no_open_session(world: World) -> None:
    await world.fund(1000)
    await world.subscribe("bob")
    before = await world.find(username="bob")
    assert before == Found(None, None, Subscriber(ALICE, "metered"), await world.account())
    await world.book()
    assert (await world.find(username="bob")).subscriber is None
    await world.book(open=False)
    closed = await world.find(username="bob")
    assert closed.session is not None
    assert closed.subscriber == Subscriber(ALICE, "metered")
    assert closed.account == closed.subscriber_account == await world.account()


async def test_accounts_of_session_and_subscriber_may_differ(world: World) -> None:
    await world.fund(1000)
    await world.fund(50, "carol")
    await world.book()
    await world.book(open=False)
    await world.subscribe("bob", "carol")
    found = await world.find(username="bob")
    assert found.account == await world.account()
    assert found.subscriber_account == await world.account("carol")


async def test_lookups_are_answered_in_order_and_may_repeat(world: World) -> None:
    await world.fund(1000)
    await world.book()
    lookups = [Lookup("x|1", "x"), Lookup(SESSION, NAS), Lookup("x|2", "x"), Lookup(SESSION, NAS)]
    found = (await world.hot.read(lookups)).found
    assert [one.session is not None for one in found] == [False, True, False, True]
    assert found[1] == found[3]


async def test_thousands_of_lookups_are_one_read(world: World) -> None:
    await world.fund(1000)
    await world.subscribe("bob")
    await world.book("x|7")
    lookups = [Lookup(f"x|{number}", "x", "bob") for number in range(9001)]
    found = (await world.hot.read(lookups)).found
    assert [index for index, one in enumerate(found) if one.session] == [7]
    assert [index for index, one in enumerate(found) if not one.subscriber] == [7]


async def test_boot_marks_are_those_of_the_nases_asked_for(world: World) -> None:
    await world.hot.mark_boot("a", 1_700_000_000)
    await world.hot.mark_boot("b", 1_700_000_500)
    snapshot = await world.hot.read([Lookup("a|1", "a"), Lookup("c|1", "c"), Lookup("a|2", "a")])
    assert snapshot.boots == {"a": 1_700_000_000}


async def test_the_revision_of_the_plans_comes_with_every_read(world: World) -> None:
    await world.movements.publish("plans", 7, {"metered@1": b"plan"})
    await world.movements.publish("nas", 9, {"pop1": b"nas"})
    assert (await world.hot.read([])).plans_revision == 7


@pytest.mark.parametrize(
    "username",
    ["bob smith", "b|o:b{0}", "bob\0", "\N{PILE OF POO}", "josé@isp.example", "x" * 253, "é" * 126],
)
async def test_any_user_name_is_found_as_it_was_put(world: World, username: str) -> None:
    await world.fund(0)
    await world.subscribe(username, plan="plan é")
    found = await world.find(username=username)
    assert found.subscriber == Subscriber(ALICE, "plan é")
    assert (await world.find(username=username + " ")).subscriber is None
    await world.move(lambda n: DropSubscriber(ALICE, n, username))
    assert (await world.find(username=username)).subscriber is None


async def test_the_empty_user_name_is_nobody(world: World) -> None:
    await world.fund(0)
    await world.move(lambda n: PutSubscriber(ALICE, n, "", "metered"))
    assert (await world.find(username="")).subscriber is None


@pytest.mark.parametrize(
    ("session", "account"),
    [
        ("pöp/10.0.0.1|8000001a", "älice"),
        ("n|a|b", "a|b:{c}"),
        ("n|", "a b\0c"),
        ("\N{SATELLITE ANTENNA}|\N{PILE OF POO}", "\N{MONEY BAG}"),
        ("n|" + "x" * 253, "a" * 200),
        ("n|*?[]", ""),
    ],
)
async def test_any_text_names_a_session_and_an_account(
    world: World, session: str, account: str
) -> None:
    await world.fund(500, account)
    await world.book(session, account, want=200)
    found = await world.find(session)
    assert found.session is not None
    assert (found.session.account, found.session.held) == (account, 200)
    assert found.account == await world.account(account)
    assert (await world.account(account)).reserved == 200
    nas = session.partition("|")[0]
    assert await world.sweeps.sessions_of_nas(nas, 0, 10) == (0, [session])
    world.pass_ms(QUIET_S * 1000)
    assert await world.due_sessions() == [session]
    assert await world.jobs.request_disconnect(session) == found.session.uid.hex()
    (claimed,) = (await world.jobs.claim_jobs(10, 1000)).jobs
    assert claimed.session == session
    await world.book(session, account, open=False)
    (audit,) = await world.keeping.inspect([account])
    assert audit is not None
    assert (audit.held, audit.sessions, audit.account.reserved) == (0, 0, 0)


async def test_accounts_are_read_by_their_names(world: World) -> None:
    await world.fund(1000)
    assert await world.hot.accounts([ALICE, "nobody"]) == [await world.account(), None]
    assert await world.hot.accounts([]) == []
