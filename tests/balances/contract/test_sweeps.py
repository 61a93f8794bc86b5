"""Sweeps: sessions that need a look without having reported, and NASes that restarted."""

import pytest
from msgspec.structs import replace

from balances.errors import StoreEmpty, StoreFenced
from balances.messages import Due, Step
from tests.balances.world import LEASE_MS, NAS, QUIET_S, SESSION, SIBLING, START_MS, World, uid_of

QUIET_MS = QUIET_S * 1000


def _moved(step: Step, session: str) -> Step:
    """The same for another session."""
    return replace(step, session=session, uid=uid_of(session))


async def test_nothing_is_due_where_nothing_is(world: World) -> None:
    assert await world.due() == Due(START_MS, None, [])


async def test_a_session_is_due_when_it_was_silent_for_its_longest_silence(world: World) -> None:
    await world.fund(1000)
    await world.book(want=10)
    assert await world.due() == Due(START_MS, START_MS + QUIET_MS, [])
    world.pass_ms(QUIET_MS - 1)
    assert await world.due_sessions() == []
    world.pass_ms(1)
    due = await world.due()
    assert [(one.session, one.stored) for one in due.sessions] == [(SESSION, await world.session())]


async def test_a_report_puts_off_the_look(world: World) -> None:
    await world.fund(1000)
    await world.book()
    world.pass_ms(QUIET_MS - 1)
    await world.book()
    world.pass_ms(QUIET_MS - 1)
    due = await world.due()
    assert due.sessions == []
    assert due.next_ms == due.now_ms + 1
    world.pass_ms(1)
    assert await world.due_sessions() == [SESSION]


async def test_a_step_without_a_record_does_not(world: World) -> None:
    await world.fund(1000)
    await world.book()
    world.pass_ms(QUIET_MS - 1)
    await world.book(report=False)
    world.pass_ms(1)
    assert await world.due_sessions() == [SESSION]


async def test_a_longer_silence_is_waited_for(world: World) -> None:
    await world.fund(1000)
    await world.book()
    await world.book(quiet=2 * QUIET_S)
    world.pass_ms(QUIET_MS)
    assert await world.due_sessions() == []
    world.pass_ms(QUIET_MS)
    assert await world.due_sessions() == [SESSION]


async def test_a_shorter_silence_counts_at_once(world: World) -> None:
    await world.fund(1000)
    await world.book()
    await world.book(quiet=60)
    assert (await world.due()).next_ms == START_MS + 60_000
    world.pass_ms(60_000)
    assert await world.due_sessions() == [SESSION]


async def test_a_shorter_silence_after_a_report_counts_from_it(world: World) -> None:
    await world.fund(1000)
    await world.book()
    world.pass_ms(QUIET_MS - 100_000)
    await world.book(quiet=60)
    world.pass_ms(59_999)
    assert await world.due_sessions() == []
    world.pass_ms(1)
    assert await world.due_sessions() == [SESSION]


async def test_a_session_that_was_taken_is_leased(world: World) -> None:
    """Whoever took it may have died: it comes up again when the lease is over."""
    await world.fund(1000)
    await world.book()
    world.pass_ms(QUIET_MS)
    assert await world.due_sessions() == [SESSION]
    due = await world.due()
    assert due == Due(due.now_ms, due.now_ms + LEASE_MS, [])
    world.pass_ms(LEASE_MS - 1)
    assert await world.due_sessions() == []
    world.pass_ms(1)
    assert await world.due_sessions() == [SESSION]


async def test_a_leased_session_that_reports_lives(world: World) -> None:
    await world.fund(1000)
    await world.book()
    world.pass_ms(QUIET_MS)
    assert await world.due_sessions() == [SESSION]
    await world.book()
    world.pass_ms(LEASE_MS)
    due = await world.due()
    assert due == Due(due.now_ms, due.now_ms + QUIET_MS - LEASE_MS, [])


async def test_a_closed_session_is_never_due(world: World) -> None:
    await world.fund(1000)
    await world.book()
    await world.book(open=False)
    world.pass_ms(QUIET_MS)
    assert await world.due() == Due(world.now_ms, None, [])


async def test_a_session_leased_and_closed_is_never_due(world: World) -> None:
    await world.fund(1000)
    await world.book()
    world.pass_ms(QUIET_MS)
    assert await world.due_sessions() == [SESSION]
    await world.book(open=False)
    world.pass_ms(LEASE_MS)
    assert await world.due() == Due(world.now_ms, None, [])


async def test_a_woken_session_is_due_until_it_is_granted_anew(world: World) -> None:
    await world.fund(1000)
    await world.book(want=10)
    await world.limit(5)
    assert await world.due_sessions() == [SESSION]
    world.pass_ms(LEASE_MS)
    assert await world.due_sessions() == [SESSION]
    await world.book(want=10, report=False)
    world.pass_ms(LEASE_MS)
    assert await world.due_sessions() == []
    assert not (await world.session()).regrant


async def test_a_woken_session_breaks_the_lease(world: World) -> None:
    await world.fund(1000)
    await world.book(want=10)
    world.pass_ms(QUIET_MS)
    assert await world.due_sessions() == [SESSION]
    await world.limit(5)
    assert await world.due_sessions() == [SESSION]


async def test_no_more_than_asked_for_and_all_in_the_end(world: World) -> None:
    """Sessions that reported since may take a place each, so a call may bring fewer."""
    await world.fund(1000)
    for number in range(20):
        await world.book(f"n|{number:02}")
    world.pass_ms(QUIET_MS - 1)
    for number in range(0, 20, 2):
        await world.book(f"n|{number:02}")
    world.pass_ms(1)
    found: list[str] = []
    for _ in range(20):
        due = await world.due(limit=3)
        assert len(due.sessions) <= 3
        found += [one.session for one in due.sessions]
        assert due.next_ms is not None
        if due.next_ms > due.now_ms:
            break
    assert sorted(found) == [f"n|{number:02}" for number in range(1, 20, 2)]


async def test_all_sessions_of_a_large_account_are_woken_in_parts(world: World) -> None:
    await world.fund(10**6)
    step = await world.step("n|000", want=1)
    await world.hot.commit([_moved(step, f"n|{number:03}") for number in range(300)])
    await world.status(suspended=True)
    found: list[str] = []
    for _ in range(100):
        due = await world.due(limit=10)
        assert len(due.sessions) <= 10
        found += [one.session for one in due.sessions]
        assert due.next_ms is not None
        if due.next_ms > due.now_ms:
            break
    assert sorted(found) == [f"n|{number:03}" for number in range(300)]


async def test_nothing_is_taken_behind_the_fence_or_in_an_empty_store(empty_world: World) -> None:
    with pytest.raises(StoreEmpty):
        await empty_world.due()
    await empty_world.keeping.initialise(1)
    await empty_world.keeping.fence("rebuilding")
    with pytest.raises(StoreFenced):
        await empty_world.due()
    with pytest.raises(StoreFenced):
        await empty_world.hot.mark_boot(NAS, 1)


# After a boot


async def test_a_boot_has_the_sessions_of_its_nas_swept(world: World) -> None:
    assert await world.sweeps.pending_sweeps() == {}
    await world.hot.mark_boot("b", 1_700_000_500)
    await world.hot.mark_boot("a", 1_700_000_000)
    assert await world.sweeps.pending_sweeps() == {"a": 1_700_000_000, "b": 1_700_000_500}
    await world.sweeps.swept("a", 1_700_000_000)
    assert await world.sweeps.pending_sweeps() == {"b": 1_700_000_500}


async def test_a_boot_during_the_sweep_has_them_swept_again(world: World) -> None:
    await world.hot.mark_boot(NAS, 1_700_000_000)
    await world.hot.mark_boot(NAS, 1_700_001_000)
    await world.sweeps.swept(NAS, 1_700_000_000)
    assert await world.sweeps.pending_sweeps() == {NAS: 1_700_001_000}


async def test_a_repeated_boot_is_not_swept_again(world: World) -> None:
    await world.hot.mark_boot(NAS, 1_700_000_000)
    await world.sweeps.swept(NAS, 1_700_000_000)
    await world.hot.mark_boot(NAS, 1_700_000_010)
    assert await world.sweeps.pending_sweeps() == {}


async def test_old_boots_are_forgotten_when_another_nas_restarts(world: World) -> None:
    week, now = 7 * 24 * 3600, START_MS // 1000
    marks = {"old": now - week - 1, "kept": now - week, "sweeping": now - 2 * week}
    for nas, mark in marks.items():
        await world.hot.mark_boot(nas, mark)
    await world.sweeps.swept("old", marks["old"])
    await world.sweeps.swept("kept", marks["kept"])
    await world.hot.mark_boot("kept", now)
    assert set(await world.keeping.boots()) == set(marks), "one more of a NAS takes no room"
    await world.hot.mark_boot("new", now)
    assert await world.keeping.boots() == {
        "kept": now,
        "sweeping": marks["sweeping"],
        "new": now,
    }
    assert await world.hot.mark_boot("old", marks["old"])


async def test_there_are_never_many_old_boots(world: World) -> None:
    """A client names a new NAS in each Accounting-On."""
    now = START_MS // 1000
    most = 0
    for number in range(300):
        nas = f"pop1/{number}"
        await world.hot.mark_boot(nas, now)
        await world.sweeps.swept(nas, now)
    world.pass_ms(8 * 24 * 3600 * 1000)
    for number in range(300):
        nas = f"pop1/later {number}"
        await world.hot.mark_boot(nas, world.now_ms // 1000)
        await world.sweeps.swept(nas, world.now_ms // 1000)
        most = max(most, len(await world.keeping.boots()))
    assert most <= 300 + 1
    left = [nas for nas in await world.keeping.boots() if "later" not in nas]
    assert len(left) < 50


async def test_sessions_of_a_nas_are_its_open_ones(world: World) -> None:
    await world.fund(1000)
    assert await world.sweeps.sessions_of_nas(NAS, 0, 10) == (0, [])
    await world.book(SESSION)
    await world.book(SIBLING)
    await world.book("other|1")
    cursor, keys = await world.sweeps.sessions_of_nas(NAS, 0, 10)
    assert (cursor, sorted(keys)) == (0, [SESSION, SIBLING])
    await world.book(SESSION, open=False)
    assert await world.sweeps.sessions_of_nas(NAS, 0, 10) == (0, [SIBLING])


async def test_a_round_meets_all_that_are_there_throughout(world: World) -> None:
    """Although those met before are closed meanwhile, as the sweeper does, and others open."""
    await world.fund(10**6)
    step = await world.step("n|0000")
    await world.hot.commit([_moved(step, f"n|{number:04}") for number in range(900)])
    met: set[str] = set()
    cursor, rounds = 0, 0
    while rounds == 0 or cursor:
        cursor, keys = await world.sweeps.sessions_of_nas("n", cursor, 200)
        fresh = set(keys) - met
        met |= fresh
        for key in sorted(fresh)[::20]:
            await world.book(key, open=False)
        await world.book(f"n|new{rounds}")
        rounds += 1
    assert {f"n|{number:04}" for number in range(900)} <= met
    assert rounds > 1
