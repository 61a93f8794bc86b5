"""BookKeeping and Restoration: the partition as a whole."""

import pytest
from msgspec.structs import replace

from balances.errors import StoreEmpty, StoreFenced, StoreRefused
from balances.messages import (
    Account,
    AccountAudit,
    Books,
    CutCause,
    Found,
    Position,
    RestoredSession,
    Status,
    StoredSession,
    Subscriber,
    Totals,
)
from tests.balances.world import (
    ALICE,
    BEGINNING,
    GENERATION,
    NAS,
    QUIET_S,
    SESSION,
    SIBLING,
    START_MS,
    World,
    uid_of,
)


async def test_books_begin_once(empty_world: World) -> None:
    keeping = empty_world.keeping
    assert await keeping.initialise(3) == Position(3, 0)
    await empty_world.hot.commit([], [b"a"])
    assert await keeping.initialise(4) == Position(3, 1)
    assert (await keeping.books()).position == Position(3, 1)


async def test_there_are_no_books_until_then(empty_world: World) -> None:
    with pytest.raises(StoreEmpty):
        await empty_world.keeping.books()


async def test_new_books_are_empty(world: World) -> None:
    assert await world.keeping.books() == Books(BEGINNING, 0, 0, 0, 0, None, {})


async def test_books_count_what_is_there(world: World) -> None:
    await world.fund(1000)
    await world.fund(0, "carol")
    await world.book("n|1", want=5, entries=(b"a",))
    await world.cut("n|2", account="carol")
    await world.book("n|3", want=7)
    await world.book("n|3", open=False)
    assert await world.keeping.books() == Books(
        position=Position(GENERATION, 1),
        settled_lag=1,
        accounts=2,
        open_sessions=2,
        live_jobs=1,
        fence=None,
        totals={"EUR": Totals(1000, 5, 0)},
    )


async def test_an_audit_sums_what_open_sessions_hold(world: World) -> None:
    await world.fund(1000)
    await world.fund(100, "carol")
    for number in range(3):
        await world.book(f"n|{number}", want=100 + number)
    await world.book("n|1", open=False)
    audits = await world.keeping.inspect(["carol", "nobody", ALICE])
    assert audits == [
        AccountAudit(await world.account("carol"), 0, 0),
        None,
        AccountAudit(await world.account(), 202, 2),
    ]
    assert await world.keeping.inspect([]) == []


async def test_an_account_with_thousands_of_sessions_is_audited(world: World) -> None:
    await world.fund(10**6)
    step = await world.step("n|0", want=1)
    sessions = [f"n|{number}" for number in range(900)]
    await world.hot.commit([replace(step, session=one, uid=uid_of(one)) for one in sessions])
    (audit,) = await world.keeping.inspect([ALICE])
    assert audit is not None
    assert (audit.held, audit.sessions) == (900, 900)


@pytest.mark.parametrize("generation", [0, 2**13])
async def test_a_generation_whose_versions_would_not_be_exact_is_refused(
    empty_world: World, generation: int
) -> None:
    with pytest.raises(StoreRefused, match="generations are 1 to 8191"):
        await empty_world.keeping.initialise(generation)
    with pytest.raises(StoreEmpty):
        await empty_world.keeping.books()


async def test_versions_of_the_last_generation_are_exact(empty_world: World) -> None:
    world = empty_world
    await world.keeping.initialise(2**13 - 1)
    await world.fund(100)
    for number in range(4):
        await world.book(want=1)
        assert (await world.session()).version >= (2**13 - 1) * 2**40 + number
    step = await world.step(want=2)
    assert await world.statuses(step) == [Status.COMMITTED]
    assert await world.statuses(step) == [Status.STALE_SESSION]


# The fence


async def test_the_fence_says_why_until_it_is_lifted(world: World) -> None:
    await world.hot.commit([], [b"a"])
    assert await world.keeping.fence("rebuilding: 50 % done") == Position(GENERATION, 1)
    assert (await world.keeping.books()).fence == "rebuilding: 50 % done"
    assert await world.keeping.fence("rebuilding: 60 % done") == Position(GENERATION, 1)
    with pytest.raises(StoreFenced, match=r"^rebuilding: 60 % done$"):
        await world.hot.commit([], [b"a"])
    assert await world.keeping.fence("") == Position(GENERATION, 1)
    assert (await world.keeping.books()).fence is None
    await world.hot.commit([], [b"a"])


async def test_nothing_is_read_behind_the_fence(world: World) -> None:
    """Half restored, the books have no subscribers: a record would be booked as a stranger's."""
    await world.fund(1000)
    await world.keeping.fence("restoring")
    with pytest.raises(StoreFenced, match="restoring"):
        await world.find(username="bob")
    await world.keeping.fence("")
    await world.find(username="bob")


async def test_an_empty_store_can_be_fenced_before_its_books_begin(empty_world: World) -> None:
    keeping = empty_world.keeping
    assert await keeping.fence("restoring") == Position(0, 0)
    with pytest.raises(StoreEmpty):
        await keeping.books()
    await keeping.initialise(1)
    with pytest.raises(StoreFenced):
        await empty_world.hot.commit([], [b"a"])
    assert (await keeping.books()).fence == "restoring"


# Restoration


def restored(session: str, *, is_open: bool = True, account: str = ALICE) -> RestoredSession:
    return RestoredSession(session, NAS, account, uid_of(session), is_open, QUIET_S, b"state")


async def test_restoring_is_refused_without_the_fence(world: World) -> None:
    """All of it, and nothing is lost: not even of the sessions."""
    await world.fund(1000)
    await world.subscribe("bob")
    await world.book(want=300)
    account, session, books = (
        await world.account(),
        await world.session(),
        await world.keeping.books(),
    )
    subscriber, restoration = Subscriber(ALICE, "x"), world.restoration
    with pytest.raises(StoreRefused, match="fence"):
        await restoration.restart(2)
    with pytest.raises(StoreRefused, match="fence"):
        await restoration.restore_accounts([replace(account, balance=1)])
    with pytest.raises(StoreRefused, match="fence"):
        await restoration.restore_subscribers([("bob", subscriber), ("eve", subscriber)])
    with pytest.raises(StoreRefused, match="fence"):
        await restoration.restore_sessions([restored(SESSION)])
    assert (await world.account(), await world.session()) == (account, session)
    assert await world.keeping.books() == books
    await world.book(open=False)
    assert (await world.find(username="bob")).subscriber == Subscriber(ALICE, "metered")


async def test_a_restart_keeps_boot_marks_and_what_was_published(world: World) -> None:
    await world.fund(1000)
    await world.subscribe("bob")
    await world.cut(want=300)
    await world.limit(7)  # wakes the session
    await world.hot.commit([], [b"a"])
    await world.hot.mark_boot(NAS, 1_700_000_000)
    await world.movements.publish("plans", 3, {"a": b"1"})
    await world.movements.publish("nas", 4, {"b": b"2"})
    await world.keeping.fence("rebuilding")
    for _ in range(2):  # repeating it is safe
        await world.restoration.restart(2)
        assert await world.keeping.books() == Books(Position(2, 0), 0, 0, 0, 0, "rebuilding", {})
    assert await world.directory.published("plans") == (3, {"a": b"1"})
    assert await world.directory.published("nas") == (4, {"b": b"2"})
    assert await world.sweeps.pending_sweeps() == {NAS: 1_700_000_000}
    assert await world.sweeps.sessions_of_nas(NAS, 0, 10) == (0, [])
    assert await world.jobs.live_jobs(10) == []
    assert await world.keeping.inspect([ALICE]) == [None]
    await world.keeping.fence("")
    assert await world.find(username="bob") == Found(None, None)
    assert (await world.due()).sessions == []
    await world.hot.commit([], [b"b"])
    (entry,) = await world.stream.entries_after(Position(1, 99), 10)
    assert entry.position == Position(2, 1)


async def test_accounts_are_restored_with_nothing_reserved(world: World) -> None:
    await world.keeping.fence("rebuilding")
    await world.restoration.restart(2)
    accounts = [
        Account(ALICE, "EUR", -50, 777, 100, 20, 9, 30, 40),
        Account("bob", "EUR", 2**53 - 1, 0, None, 0, 2, 0, 1, suspended=True),
        Account("carol", "USD", 5, 0, 0, 0, 3, 1, 1, closed=True),
    ]
    await world.restoration.restore_accounts(accounts[:1])
    await world.restoration.restore_accounts(accounts[1:])
    await world.keeping.fence("")
    expected = [replace(account, reserved=0) for account in accounts]
    audits = await world.keeping.inspect([account.account for account in accounts])
    assert [audit.account for audit in audits if audit] == expected
    books = await world.keeping.books()
    assert books.accounts == 3
    assert books.totals == {"EUR": Totals(2**53 - 51, 0, 80), "USD": Totals(5, 0, 0)}
    await world.top_up(50)
    assert (await world.account()).moved == 41


async def test_subscribers_are_restored(world: World) -> None:
    await world.keeping.fence("rebuilding")
    await world.restoration.restart(2)
    await world.restoration.restore_subscribers([])
    await world.restoration.restore_subscribers(
        [("bob", Subscriber(ALICE, "metered")), ("é\0", Subscriber("x", "hourly"))]
    )
    await world.keeping.fence("")
    assert (await world.find(username="bob")).subscriber == Subscriber(ALICE, "metered")
    assert (await world.find(username="é\0")).subscriber == Subscriber("x", "hourly")


async def test_sessions_are_restored_without_a_hold_and_woken(world: World) -> None:
    await world.fund(1000)
    await world.book(want=300)
    version = (await world.session()).version
    account = await world.account()
    await world.keeping.fence("rebuilding")
    await world.restoration.restart(2)
    await world.restoration.restore_accounts([account])
    await world.restoration.restore_sessions([restored(SESSION), restored(SIBLING, is_open=False)])
    await world.restoration.restore_sessions([])
    await world.keeping.fence("")
    stored = await world.session()
    assert stored == StoredSession(
        uid=uid_of(SESSION),
        account=ALICE,
        version=stored.version,
        open=True,
        cutting=False,
        regrant=True,
        held=0,
        seen_ms=START_MS,
        quiet=QUIET_S,
        state=b"state",
    )
    assert stored.version > version
    closed = await world.session(SIBLING)
    assert (closed.open, closed.regrant, closed.held) == (False, False, 0)
    assert await world.sweeps.sessions_of_nas(NAS, 0, 10) == (0, [SESSION])
    assert (await world.keeping.books()).open_sessions == 1
    assert await world.due_sessions() == [SESSION]
    await world.book(want=300, report=False)
    await world.book(SIBLING, charge=5, open=False)
    assert (await world.account()).reserved == 300
    assert (await world.account()).balance == 995


async def test_what_was_read_before_a_restart_is_stale_after_it(world: World) -> None:
    """A worker that slept through the rebuilding."""
    await world.fund(1000)
    await world.book(want=300)
    step, account = await world.step(charge=5), await world.account()
    await world.keeping.fence("rebuilding")
    await world.restoration.restart(2)
    await world.restoration.restore_accounts([account])
    await world.restoration.restore_sessions([restored(SESSION)])
    await world.keeping.fence("")
    assert await world.statuses(step) == [Status.STALE_SESSION]


async def test_a_restored_session_can_be_cut(world: World) -> None:
    await world.keeping.fence("rebuilding")
    await world.restoration.restart(2)
    await world.restoration.restore_accounts([Account(ALICE, "EUR", 0, 0, 0, 0, 1, 0, 1)])
    await world.restoration.restore_sessions([restored(SESSION)])
    await world.keeping.fence("")
    uid = await world.cut(cut_cause=CutCause.EXHAUSTED, report=False)
    (claimed,) = (await world.jobs.claim_jobs(10, 1000)).jobs
    assert claimed.uid == uid


async def test_boot_marks_can_be_read(world: World) -> None:
    assert await world.keeping.boots() == {}
    await world.hot.mark_boot(NAS, 1_800_000_000)
    await world.hot.mark_boot("pop2/10.0.0.2", 1_700_000_000)
    assert await world.keeping.boots() == {NAS: 1_800_000_000, "pop2/10.0.0.2": 1_700_000_000}


async def test_a_fence_can_be_seen_without_books(empty_world: World) -> None:
    restoration = empty_world.restoration
    assert await restoration.fenced() is None
    await empty_world.keeping.fence("restoring")
    assert await restoration.fenced() == "restoring"
    with pytest.raises(StoreEmpty):
        await empty_world.keeping.books()
    await empty_world.keeping.fence("")
    assert await restoration.fenced() is None


async def test_boot_marks_are_restored_unless_there_is_a_later_one(world: World) -> None:
    """The sweeper looks at the sessions of each again: whether it had is not known."""
    older, later = 1_800_000_000, 1_800_009_000
    await world.hot.mark_boot("a", later)
    await world.hot.mark_boot("b", older)
    for nas, mark in (await world.keeping.boots()).items():
        await world.sweeps.swept(nas, mark)
    await world.keeping.fence("restoring")
    await world.restoration.restore_boots({"a": older, "b": later, "c": older})
    await world.restoration.restore_boots({})
    await world.restoration.restart(2)
    await world.keeping.fence("")
    marks = {"a": later, "b": later, "c": older}
    assert await world.keeping.boots() == await world.sweeps.pending_sweeps() == marks


async def test_boot_marks_are_restored_behind_a_fence_only(world: World) -> None:
    with pytest.raises(StoreRefused, match="fence"):
        await world.restoration.restore_boots({NAS: 1})
    assert await world.keeping.boots() == {}
