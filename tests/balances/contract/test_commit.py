"""commit: each step wholly or not at all, only on what it was computed from."""

import pytest
from msgspec.structs import replace

from balances.errors import StoreEmpty, StoreFenced, StoreRefused
from balances.layout import MAX_ENTRIES, MAX_STEPS
from balances.messages import COMMITTED, CommitResult, CutCause, Lookup, Status, Step
from tests.balances.world import (
    ALICE,
    BEGINNING,
    NAS,
    SESSION,
    SIBLING,
    START_MS,
    World,
    uid_of,
)

# What a step does


async def test_a_charge_leaves_the_balance_and_a_grant_is_reserved(world: World) -> None:
    await world.fund(1000)
    step = await world.step(charge=100, want=300, entries=(b"used",))
    result = await world.hot.commit([step])
    assert (result.now_ms, result.outcomes) == (START_MS, [COMMITTED])
    assert await world.money() == (900, 300)
    session = await world.session()
    assert (session.held, session.version) == (300, result.version)


async def test_a_grant_is_replaced_never_added_up(world: World) -> None:
    await world.fund(1000)
    for want in (300, 500, 200, 200):
        await world.book(want=want)
        assert await world.money() == (1000, want)


async def test_a_grant_is_what_is_available_if_that_is_less(world: World) -> None:
    await world.fund(1000)
    await world.book(want=700)
    await world.book(SIBLING, want=700)
    assert (await world.session(SIBLING)).held == 300
    assert (await world.account()).available == 0
    await world.book("n|3", want=700)
    assert (await world.session("n|3")).held == 0


async def test_what_a_session_holds_itself_is_available_to_it(world: World) -> None:
    await world.fund(1000)
    await world.book(want=1000)
    await world.book(charge=400, want=1000)
    assert await world.money() == (600, 600)


async def test_an_overspend_is_booked_in_full_and_nothing_is_granted(world: World) -> None:
    await world.fund(1000)
    await world.book(want=1000)
    await world.book(charge=1500, want=1000)
    assert await world.money() == (-500, 0)
    assert (await world.account()).available == -500


@pytest.mark.parametrize(
    ("credit_limit", "minimum", "expected"), [(200, 0, 300), (0, 30, 70), (50, 50, 100)]
)
async def test_limit_and_minimum_count_in_what_is_available(
    world: World, credit_limit: int, minimum: int, expected: int
) -> None:
    await world.fund(100, credit_limit=credit_limit, minimum=minimum)
    await world.book(want=10_000)
    assert (await world.session()).held == expected


async def test_unlimited_credit_grants_all_that_is_wanted(world: World) -> None:
    await world.fund(0, credit_limit=None)
    await world.book(charge=5_000, want=10**15)
    account = await world.account()
    assert (account.balance, account.reserved, account.available) == (-5_000, 10**15, None)


async def test_closing_gives_back_what_is_held(world: World) -> None:
    await world.fund(1000)
    await world.book(want=400)
    await world.book(charge=150, open=False)
    assert await world.money() == (850, 0)
    stored = await world.session()
    assert (stored.open, stored.held) == (False, 0)


async def test_a_session_can_be_opened_and_closed_by_one_step(world: World) -> None:
    """A Stop of a session never seen."""
    await world.fund(1000)
    await world.book(charge=20, open=False, entries=(b"opened", b"used", b"closed"))
    assert await world.money() == (980, 0)
    assert not (await world.session()).open
    assert (await world.keeping.books()).open_sessions == 0


async def test_a_closed_session_is_charged_for_a_late_record(world: World) -> None:
    await world.fund(1000)
    await world.book(want=400)
    await world.book(open=False)
    await world.book(charge=70, open=False, state=b"late")
    assert await world.money() == (930, 0)
    assert (await world.session()).state == b"late"


async def test_a_closed_session_can_be_reopened(world: World) -> None:
    await world.fund(1000)
    await world.book(want=400)
    await world.book(open=False)
    await world.book(want=600)
    stored = await world.session()
    assert (stored.open, stored.held) == (True, 600)
    (audit,) = await world.keeping.inspect([ALICE])
    assert audit is not None
    assert (audit.held, audit.sessions) == (600, 1)


async def test_a_session_id_used_again_may_belong_to_another_account(world: World) -> None:
    await world.fund(1000)
    await world.fund(500, "carol")
    await world.book(want=400)
    await world.book(open=False)
    await world.book(SESSION, "carol", want=100, uid=uid_of(SESSION, 1))
    stored = await world.session()
    assert (stored.account, stored.held) == ("carol", 100)
    audits = await world.keeping.inspect([ALICE, "carol"])
    assert [(audit.held, audit.sessions) for audit in audits if audit] == [(0, 0), (100, 1)]


async def test_every_commit_gives_its_sessions_a_new_version(world: World) -> None:
    await world.fund(1000)
    seen: list[int] = []
    for want in (100, 200, 200):
        await world.book(want=want)
        seen.append((await world.session()).version)
    assert seen == sorted(set(seen))
    assert seen[0] > 0


async def test_a_step_without_a_record_leaves_the_silence_as_it_is(world: World) -> None:
    await world.fund(1000)
    await world.book(want=100)
    world.pass_ms(5000)
    await world.book(want=200, report=False)
    assert (await world.session()).seen_ms == START_MS
    await world.book(want=200)
    assert (await world.session()).seen_ms == START_MS + 5000


async def test_a_first_step_without_a_record_is_seen_now(world: World) -> None:
    await world.fund(1000)
    await world.book(want=100, report=False)
    assert (await world.session()).seen_ms == START_MS


# The stream


async def test_entries_are_one_batch_under_the_accounts_charge_sequence(world: World) -> None:
    await world.fund(1000)
    await world.fund(1000, "carol")
    steps = [
        await world.step("n|1", entries=(b"a", b"b")),
        await world.step("n|2", "carol", entries=(b"c",)),
        await world.step("n|3", entries=(b"d",)),
        await world.step("n|4", entries=(b"never",), expected_version=5),
    ]
    await world.commit(*steps, loose=(b"unrated", b"anomaly"))
    (entry,) = await world.stream.entries_after(BEGINNING, 10)
    assert entry.items == [
        (b"1", b"a"),
        (b"2", b"b"),
        (b"1", b"c"),
        (b"3", b"d"),
        (b"0", b"unrated"),
        (b"0", b"anomaly"),
    ]
    assert (await world.account()).charged == 3
    assert (await world.account("carol")).charged == 1


async def test_a_step_may_have_as_many_entries_as_one_octet_counts(world: World) -> None:
    await world.fund(0)
    await world.book(entries=tuple(b"%d" % number for number in range(255)))
    (entry,) = await world.stream.entries_after(BEGINNING, 10)
    assert len(entry.items) == (await world.account()).charged == 255


async def test_loose_entries_alone_are_committed(world: World) -> None:
    assert await world.hot.commit([], [b"unrated"]) == CommitResult(START_MS, [])
    (entry,) = await world.stream.entries_after(BEGINNING, 10)
    assert entry.items == [(b"0", b"unrated")]


async def test_a_commit_of_nothing_is_nothing(world: World) -> None:
    books = await world.keeping.books()
    assert await world.hot.commit([]) == CommitResult(START_MS, [])
    assert await world.keeping.books() == books


async def test_steps_without_entries_leave_no_trace_in_the_stream(world: World) -> None:
    await world.fund(1000)
    await world.book(want=100)
    assert (await world.keeping.books()).position == BEGINNING


# Size


async def many(world: World, count: int, entries: int) -> list[Step]:
    """So many steps for new sessions of two accounts, with so many entries in all."""
    for name in ("a0", "a1"):
        await world.fund(10**9, name)
    steps = [await world.step("n|0", name, want=5, charge=1) for name in ("a0", "a1")]
    return [
        replace(
            steps[number % 2],
            session=f"n|{number}",
            uid=uid_of(f"n|{number}"),
            entries=(b"x",) * (entries // count + (number < entries % count)),
        )
        for number in range(count)
    ]


async def test_a_commit_as_large_as_can_be(world: World) -> None:
    """With a job event each: no command may be given more than the store's language can pass."""
    steps = await many(world, MAX_STEPS, MAX_ENTRIES - 1)
    opening = [replace(step, entries=(), cut_after_ms=0) for step in steps]
    assert set(await world.statuses(*opening)) == {Status.COMMITTED}
    version = (await world.session("n|0")).version
    closing = [
        replace(step, open=False, want=0, grant=0, expected_version=version) for step in steps
    ]
    outcomes = await world.commit(*closing, loose=(b"loose",))
    assert {outcome.status for outcome in outcomes} == {Status.COMMITTED}
    (entry,) = await world.stream.entries_after(BEGINNING, 10)
    assert len(entry.items) == MAX_ENTRIES + MAX_STEPS
    assert (await world.account("a0")).balance == 10**9 - MAX_STEPS


@pytest.mark.parametrize(
    ("count", "entries"), [(MAX_STEPS + 1, 0), (MAX_STEPS, MAX_ENTRIES), (5000, 20_000)]
)
async def test_a_larger_commit_is_refused_as_a_whole(
    world: World, count: int, entries: int
) -> None:
    steps = await many(world, count, entries)
    books = await world.keeping.books()
    with pytest.raises(StoreRefused, match=f"at most {MAX_STEPS} and {MAX_ENTRIES}"):
        await world.commit(*steps, loose=(b"loose",))
    assert await world.keeping.books() == books
    assert (await world.find("n|0")).session is None


# When nothing may be written


async def test_nothing_is_booked_behind_the_fence(world: World) -> None:
    await world.fund(1000)
    await world.book(want=10)
    step = await world.step(charge=10)
    await world.keeping.fence("rebuilding balances: 10 %")
    with pytest.raises(StoreFenced, match=r"^rebuilding balances: 10 %$"):
        await world.commit(step)
    await world.keeping.fence("")
    assert await world.statuses(step) == [Status.COMMITTED]


async def test_nothing_is_booked_in_an_empty_store(empty_world: World) -> None:
    with pytest.raises(StoreEmpty):
        await empty_world.hot.commit([], [b"unrated"])
    with pytest.raises(StoreEmpty):
        await empty_world.hot.mark_boot(NAS, 1)


# Deadlines


async def test_a_deadline_that_has_passed_is_now(world: World) -> None:
    """A session can be read, and rated, later than it should have ended."""
    await world.fund(0)
    uid = await world.cut(after_ms=-5000)
    (job,) = await world.jobs.live_jobs(10)
    assert (job.uid, job.due_ms) == (uid, START_MS)


# Accounting-On and -Off


async def test_a_boot_is_marked_once(world: World) -> None:
    assert await world.hot.mark_boot(NAS, 1_700_000_000)
    assert not await world.hot.mark_boot(NAS, 1_700_000_000)
    assert not await world.hot.mark_boot(NAS, 1_700_000_030)
    assert not await world.hot.mark_boot(NAS, 1_600_000_000)
    read = await world.hot.read([Lookup(SESSION, NAS)])
    assert read.boots == {NAS: 1_700_000_000}
    assert await world.hot.mark_boot(NAS, 1_700_000_031)
    assert (await world.hot.read([Lookup(SESSION, NAS)])).boots == {NAS: 1_700_000_031}


async def test_boots_are_marked_together_in_their_order(world: World) -> None:
    assert await world.hot.mark_boots([]) == []
    marks = [("n1", 1_700_000_000), ("n1", 1_700_000_030), ("n2", 1_700_000_000)]
    assert await world.hot.mark_boots(marks) == [True, False, True]
    many = [(f"m{number}", 1_700_000_000) for number in range(500)]
    assert await world.hot.mark_boots([*many, *marks]) == [True] * 500 + [False] * 3
    read = await world.hot.read([Lookup("n1|1", "n1"), Lookup("n2|1", "n2"), Lookup("m|", "m499")])
    assert set(read.boots) == {"n1", "n2", "m499"}


async def test_the_beginning_of_time_is_a_boot_too(world: World) -> None:
    """A NAS whose clock was never set."""
    assert await world.hot.mark_boot(NAS, 0)
    assert not await world.hot.mark_boot(NAS, 0)
    assert (await world.hot.read([Lookup(SESSION, NAS)])).boots == {NAS: 0}
    step = await world.step(SESSION, "nobody")
    assert await world.statuses(step) == [Status.NO_ACCOUNT]


async def test_a_cause_is_one_of_three(world: World) -> None:
    await world.fund(0)
    for number, cause in enumerate(CutCause):
        await world.cut(f"n|{number}", cut_cause=cause)
    jobs = await world.jobs.live_jobs(10)
    assert sorted(job.cause for job in jobs) == ["exhausted", "operator", "suspended"]
