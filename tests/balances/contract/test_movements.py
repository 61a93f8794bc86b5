"""apply and publish: what comes from outside, in each account's own order."""

import pytest

from balances.errors import StoreEmpty, StoreFenced, StoreRefused
from balances.messages import (
    AnyMovement,
    DropSubscriber,
    OpenAccount,
    Post,
    PutSubscriber,
    SetLimits,
    SetStatus,
    Status,
    Totals,
)
from rating.money import MAX_MICROS
from tests.balances.world import ALICE, SESSION, SIBLING, World


async def refused(world: World, *movements: AnyMovement) -> str:
    """Apply movements that must be refused, and leave the books as they are."""
    names = [ALICE, *(movement.account for movement in movements)]
    books, audits = await world.keeping.books(), await world.keeping.inspect(names)
    with pytest.raises(StoreRefused) as caught:
        await world.movements.apply(movements)
    assert await world.keeping.books() == books
    assert await world.keeping.inspect(names) == audits
    return str(caught.value)


async def test_an_account_is_opened_empty(world: World) -> None:
    assert await world.movements.apply([OpenAccount(ALICE, 1, "EUR", 50, 20)]) == [1]
    account = await world.account()
    assert (account.currency, account.balance, account.reserved) == ("EUR", 0, 0)
    assert (account.credit_limit, account.minimum, account.available) == (50, 20, 30)
    assert (account.charged, account.moved) == (0, 1)
    assert not account.suspended
    assert not account.closed
    assert (await world.keeping.books()).accounts == 1


async def test_an_amount_moves_the_balance(world: World) -> None:
    await world.fund(100)
    await world.top_up(-30)
    assert (await world.account()).balance == 70
    await world.top_up(-100)
    assert (await world.account()).available == -30


async def test_limits_are_replaced(world: World) -> None:
    await world.fund(100)
    await world.limit(50, 20)
    assert (await world.account()).available == 130
    for _ in range(2):
        await world.limit(None, 0)
        account = await world.account()
        assert (account.available, account.suspended, account.closed) == (None, False, False)
    await world.limit(0, 0)
    assert (await world.account()).available == 100


async def test_the_status_is_replaced_and_leaves_the_limits(world: World) -> None:
    await world.fund(100, credit_limit=None)
    await world.status(suspended=True)
    account = await world.account()
    assert (account.suspended, account.closed, account.credit_limit) == (True, False, None)
    await world.status(closed=True)
    account = await world.account()
    assert (account.suspended, account.closed, account.credit_limit) == (False, True, None)
    await world.limit(5)
    assert (await world.account()).closed
    await world.status()
    account = await world.account()
    assert (account.suspended, account.closed, account.credit_limit) == (False, False, 5)


async def test_the_rating_version_moves_with_what_rating_reads_and_never_with_money(
    world: World,
) -> None:
    await world.fund(100)
    version = (await world.account()).rating_version
    await world.top_up(5)
    await world.limit(5, 1)
    assert (await world.account()).rating_version == version
    await world.status(suspended=True)
    await world.subscribe("bob")
    await world.move(lambda n: DropSubscriber(ALICE, n, "bob"))
    assert (await world.account()).rating_version == version + 3


# Order


async def test_a_movement_is_applied_once(world: World) -> None:
    await world.fund(0)
    post = Post(ALICE, 2, 100)
    assert await world.movements.apply([post]) == [2]
    assert await world.movements.apply([post]) == [2]
    assert await world.movements.apply([post, post]) == [2, 2]
    assert (await world.account()).balance == 100


async def test_a_movement_after_a_gap_waits(world: World) -> None:
    await world.fund(0)
    assert await world.movements.apply([Post(ALICE, 3, 100)]) == [1]
    assert await world.movements.apply([Post(ALICE, 2, 10), Post(ALICE, 3, 100)]) == [2, 3]
    assert (await world.account()).balance == 110


async def test_movements_of_an_account_that_was_never_opened_wait(world: World) -> None:
    assert await world.movements.apply([Post(ALICE, 2, 100)]) == [0]
    assert await world.keeping.inspect([ALICE]) == [None]


async def test_accounts_are_ordered_each_for_itself(world: World) -> None:
    movements = [
        OpenAccount("a", 1, "EUR"),
        OpenAccount("b", 1, "EUR"),
        Post("b", 2, 5),
        Post("a", 3, 9),
        Post("a", 2, 7),
        Post("a", 1, 9),
    ]
    assert await world.movements.apply(movements) == [1, 1, 2, 1, 2, 2]
    assert (await world.account("a")).balance == 7
    assert (await world.account("b")).balance == 5


async def test_no_movements_are_no_work(world: World) -> None:
    assert await world.movements.apply([]) == []


# What cannot be


async def test_an_account_is_opened_once(world: World) -> None:
    await world.fund(7)
    message = await refused(world, OpenAccount(ALICE, 3, "EUR"))
    assert message == "account alice is open already"


async def test_only_an_open_account_is_moved(world: World) -> None:
    await world.fund(7)
    assert await refused(world, Post("bob", 1, 5)) == "account bob is not open"


async def test_one_that_cannot_be_leaves_all_of_the_call_unapplied(world: World) -> None:
    await world.fund(7)
    await refused(
        world,
        OpenAccount("bob", 1, "EUR", 5, 1),
        PutSubscriber("bob", 2, "bob", "metered"),
        Post(ALICE, 3, 5),
        Post("carol", 1, 5),
    )
    assert (await world.find(username="bob")).subscriber is None


async def test_a_balance_is_exact_at_the_bound_and_refused_beyond(world: World) -> None:
    await world.fund(MAX_MICROS)
    await world.top_up(-1)
    assert (await world.account()).balance == MAX_MICROS - 1
    await world.top_up(1)
    message = await refused(world, Post(ALICE, 5, 1))
    assert message == f"account alice: balance beyond {MAX_MICROS}"
    await refused(world, Post(ALICE, 5, MAX_MICROS))
    await world.top_up(-MAX_MICROS)
    await world.top_up(-MAX_MICROS)
    await refused(world, Post(ALICE, 7, -1))
    assert (await world.account()).balance == -MAX_MICROS


@pytest.mark.parametrize("limit", [-1, MAX_MICROS + 1, MAX_MICROS + 2, 2**62])
async def test_limits_are_bounded_as_amounts_are(world: World, limit: int) -> None:
    await world.fund(7)
    message = await refused(world, SetLimits(ALICE, 3, limit, 0))
    assert message == f"account alice: limits are 0 to {MAX_MICROS}"
    await refused(world, SetLimits(ALICE, 3, 0, limit))
    await refused(world, SetLimits(ALICE, 3, None, limit))
    await refused(world, OpenAccount("bob", 1, "EUR", limit, 0))
    await refused(world, OpenAccount("bob", 1, "EUR", 0, limit))
    await world.limit(MAX_MICROS, MAX_MICROS)
    assert (await world.account()).available == 7


@pytest.mark.parametrize("currency", ["", "EU", "EURO", "eur", "E:R", "é1"])
async def test_a_currency_is_three_letters(world: World, currency: str) -> None:
    """The store has room for three octets; a longer one was cut, and its totals kept apart."""
    await world.fund(7)
    message = await refused(world, OpenAccount("bob", 1, currency))
    assert message == "account bob: currency is three letters A to Z"


async def test_nothing_is_applied_behind_the_fence_or_in_an_empty_store(
    empty_world: World,
) -> None:
    with pytest.raises(StoreEmpty):
        await empty_world.movements.apply([OpenAccount(ALICE, 1, "EUR")])
    await empty_world.keeping.initialise(1)
    await empty_world.keeping.fence("rebuilding")
    with pytest.raises(StoreFenced):
        await empty_world.movements.apply([OpenAccount(ALICE, 1, "EUR")])


# Subscribers


async def test_a_subscriber_is_replaced_and_dropped(world: World) -> None:
    await world.fund(0)
    await world.subscribe("bob", plan="metered")
    await world.subscribe("bob", plan="hourly")
    found = await world.find(username="bob")
    assert found.subscriber is not None
    assert found.subscriber.plan == "hourly"
    await world.move(lambda n: DropSubscriber(ALICE, n, "bob"))
    await world.move(lambda n: DropSubscriber(ALICE, n, "bob"))
    assert (await world.find(username="bob")).subscriber is None


async def test_a_user_name_that_moved_on_is_not_dropped_by_its_old_account(world: World) -> None:
    """The accounts' sequences say nothing of each other: the drop may come after the new put."""
    await world.fund(0)
    await world.fund(0, "carol")
    await world.subscribe("bob")
    await world.subscribe("bob", "carol")
    await world.move(lambda n: DropSubscriber(ALICE, n, "bob"))
    found = await world.find(username="bob")
    assert found.subscriber is not None
    assert found.subscriber.account == "carol"


async def test_movements_of_one_call_see_each_other(world: World) -> None:
    movements = [
        OpenAccount("a", 1, "EUR", 0, 5),
        PutSubscriber("a", 2, "bob", "metered"),
        Post("a", 3, 5),
        DropSubscriber("a", 4, "bob"),
        SetLimits("a", 5, 7, 0),
        SetStatus("a", 6, True, False),
    ]
    assert await world.movements.apply(movements) == [1, 2, 3, 4, 5, 6]
    account = await world.account("a")
    assert (account.balance, account.available, account.suspended) == (5, 12, True)
    assert (await world.find(username="bob")).subscriber is None


# Waking sessions


async def test_a_top_up_wakes_the_sessions_that_are_to_be_cut(world: World) -> None:
    await world.fund(1000)
    await world.book(SIBLING, want=1000)
    await world.cut(want=10)
    await world.top_up(500)
    due = await world.due()
    assert [session.session for session in due.sessions] == [SESSION]
    assert due.sessions[0].stored.regrant
    assert (await world.session()).regrant
    assert not (await world.session(SIBLING)).regrant


async def test_a_top_up_of_an_account_whose_sessions_run_wakes_none(world: World) -> None:
    await world.fund(1000)
    await world.book(want=10)
    await world.top_up(500)
    assert await world.due_sessions() == []


async def test_money_taken_wakes_all_sessions_only_when_it_was_granted_already(
    world: World,
) -> None:
    await world.fund(1000)
    await world.book(SESSION, want=600)
    await world.book(SIBLING, want=300)
    await world.top_up(-100)
    assert await world.due_sessions() == []
    await world.top_up(-1)
    assert await world.due_sessions() == [SESSION, SIBLING]


async def test_limits_and_status_wake_all_sessions(world: World) -> None:
    await world.fund(1000)
    await world.book(SESSION, want=600)
    await world.book(SIBLING)
    await world.limit(5)
    assert await world.due_sessions() == [SESSION, SIBLING]
    for session in (SESSION, SIBLING):
        await world.book(session, report=False)
    await world.status(suspended=True)
    assert await world.due_sessions() == [SESSION, SIBLING]


async def test_a_closed_session_is_not_woken(world: World) -> None:
    await world.fund(1000)
    await world.book(want=600)
    await world.book(open=False)
    await world.limit(5)
    assert await world.due_sessions() == []


async def test_a_woken_session_that_is_booked_meanwhile_keeps_what_it_was_given(
    world: World,
) -> None:
    """Its step was checked against the account as it is after the movement."""
    await world.fund(1000)
    await world.book(want=600)
    await world.limit(5)
    assert await world.due_sessions() == [SESSION]
    before = await world.step(want=500)
    assert await world.statuses(before) == [Status.COMMITTED]
    stored = await world.session()
    assert (stored.regrant, stored.held) == (False, 500)
    world.pass_ms(60_000)
    assert await world.due_sessions() == []


async def test_an_overspend_wakes_the_siblings_that_hold_what_is_gone(world: World) -> None:
    """What is available is negative: who holds money that is not there has to be cut."""
    await world.fund(1000)
    await world.book("n|holder", want=400)
    await world.book("n|broke", want=0)
    await world.book(want=500)
    await world.book(charge=600, want=100)
    assert (await world.account()).available == 0
    assert await world.due_sessions() == []
    await world.book(charge=1, want=100)
    assert (await world.account()).available == -1
    assert await world.due_sessions() == ["n|holder"]
    await world.book("n|holder", want=400, report=False)
    assert (await world.account()).available == 0
    assert (await world.session("n|holder")).held == 399


async def test_an_overspend_of_a_session_alone_wakes_nobody(world: World) -> None:
    await world.fund(1000)
    await world.book(want=500)
    await world.book(charge=1600, want=100)
    assert await world.due_sessions() == []


# Totals


async def test_totals_are_the_sums_by_currency(world: World) -> None:
    assert (await world.keeping.books()).totals == {}
    await world.fund(100, "a", credit_limit=50, minimum=20)
    await world.fund(7, "b", currency="USD")
    await world.fund(10, "c", credit_limit=None, minimum=3)
    await world.book("n|1", "a", charge=30, want=60)
    await world.book("n|2", "b", want=5)
    assert (await world.keeping.books()).totals == {
        "EUR": Totals(80, 60, 27),
        "USD": Totals(7, 5, 0),
    }
    await world.limit(None, 0, "a")
    await world.limit(9, 0, "c")
    await world.book("n|1", "a", open=False)
    assert (await world.keeping.books()).totals["EUR"] == Totals(80, 0, 9)


async def test_a_currency_has_totals_as_soon_as_it_has_an_account(world: World) -> None:
    await world.fund(0)
    assert (await world.keeping.books()).totals == {"EUR": Totals(0, 0, 0)}


async def test_totals_go_beyond_what_a_counter_of_the_store_holds(world: World) -> None:
    """2^63 micros are 1,024 accounts at the bound: limits that mean "as good as unlimited"."""
    count = 1100
    names = [f"a{number}" for number in range(count)]
    await world.movements.apply([OpenAccount(name, 1, "EUR", MAX_MICROS) for name in names])
    await world.movements.apply([Post(name, 2, -MAX_MICROS) for name in names])
    totals = (await world.keeping.books()).totals["EUR"]
    assert totals == Totals(-count * MAX_MICROS, 0, count * MAX_MICROS)
    await world.movements.apply([SetLimits(name, 3, 1, 0) for name in names])
    await world.movements.apply([Post(name, 4, MAX_MICROS) for name in names])
    assert (await world.keeping.books()).totals["EUR"] == Totals(0, 0, count)


# What is published


@pytest.mark.parametrize("what", ["plans", "nas"])
async def test_what_is_published_is_replaced_by_a_newer_revision_only(
    world: World, what: str
) -> None:
    assert await world.directory.published(what) == (0, {})
    assert await world.directory.revision(what) == 0
    await world.movements.publish(what, 3, {"a@1": b"\x00\xff", "é": b""})
    assert await world.directory.published(what) == (3, {"a@1": b"\x00\xff", "é": b""})
    await world.movements.publish(what, 2, {"old": b"x"})
    await world.movements.publish(what, 3, {"same": b"x"})
    assert await world.directory.published(what) == (3, {"a@1": b"\x00\xff", "é": b""})
    await world.movements.publish(what, 4, {"b@1": b"x"})
    assert await world.directory.published(what) == (4, {"b@1": b"x"})
    assert await world.directory.revision(what) == 4
    await world.movements.publish(what, 5, {})
    assert await world.directory.published(what) == (5, {})


async def test_plans_and_nases_are_published_apart(world: World) -> None:
    await world.movements.publish("plans", 3, {"a": b"1"})
    assert await world.directory.published("nas") == (0, {})


async def test_thousands_of_values_are_published_at_once(world: World) -> None:
    values = {f"nas{number}": b"%d" % number for number in range(10_000)}
    await world.movements.publish("nas", 1, values)
    assert await world.directory.published("nas") == (1, values)
    await world.movements.publish("nas", 2, {"nas": b""})
    assert await world.directory.published("nas") == (2, {"nas": b""})


@pytest.mark.parametrize("what", ["meta", "settle", "wake", ""])
async def test_only_plans_and_nases_are_published(world: World, what: str) -> None:
    """Whatever else there is has its own key of such a name."""
    await world.fund(7)
    with pytest.raises(StoreRefused, match="plans"):
        await world.movements.publish(what, 3, {"a": b"1"})
    assert (await world.account()).balance == 7
