"""When records go to the journal, and how they get to the books: once, in order, whatever happens.

That none was overtaken is seen by the findings: a record that comes after a newer one is `nothing`.
"""

import asyncio
import os
import threading
from pathlib import Path

import pytest

from balances.entries import Opened, Used
from balances.errors import (
    StoreEmpty,
    StoreError,
    StoreFenced,
    StoreFull,
    StoreRefused,
    StoreUnavailable,
)
from balances.messages import Status
from ratewire.journal import keeper as module
from tests.balances.world import memory_world
from tests.ratewire.journal.desk import MB, Desk
from tests.ratewire.provider import Provider, begun

AWAY = StoreUnavailable("connection refused")
KEY = "pop1/bras|s1"


@pytest.fixture
async def provider() -> Provider:
    provider = await begun(memory_world())
    await provider.subscribe(5 * MB)
    return provider


async def assert_booked(provider: Provider, last: int, session: str = "s1") -> None:
    """Each interim up to the last was charged, once and in its turn."""
    stored = await provider.session(session)
    assert stored.open
    uses = [e for e in await provider.entries() if isinstance(e, Used) and e.uid == stored.uid]
    assert [use.used.octets_out for use in uses] == [10_000 * n for n in range(1, last)]
    assert sum(use.charge_micros for use in uses) == 20 * (last - 1)
    assert provider.observer.counts["record_nothing"] == 0


async def begin(desk: Desk, interims: int = 4) -> None:
    """A session that has reported some times."""
    assert await desk.say(desk.request(1)) == [True]
    assert all(await desk.report(1, interims))


async def test_while_the_store_works_the_disk_is_not_touched(
    provider: Provider, tmp_path: Path
) -> None:
    desk = Desk(provider, tmp_path)
    await begin(desk)
    await desk.watch()
    assert desk.files() == []
    assert desk.keeper.health == (True, "")
    assert provider.observer.counts["journaled"] == 0


async def test_what_is_kept_is_booked_when_the_store_is_back_and_then_it_goes_directly(
    provider: Provider, tmp_path: Path
) -> None:
    desk = Desk(provider, tmp_path)
    await begin(desk)
    desk.store.away = AWAY
    assert all(await desk.report(4, 20))
    assert provider.observer.counts["journaled"] == 16
    ok, detail = desk.keeper.health
    assert not ok
    assert detail.startswith("journaling since 20")
    assert detail.endswith("UTC: 16 records wait")
    await desk.watch()
    assert desk.keeper.holds, "the store is still away"
    desk.store.away = None
    await desk.watch()
    assert desk.keeper.health == (True, "")
    assert desk.files() == []
    assert all(await desk.report(20, 24))
    await assert_booked(provider, 24)
    assert provider.observer.counts["journaled"] == provider.observer.counts["journal_replayed"]


async def test_nothing_is_kept_or_answered_within_the_grace(
    provider: Provider, tmp_path: Path
) -> None:
    desk = Desk(provider, tmp_path, grace_seconds=0.3)
    await begin(desk)
    desk.store.away = AWAY
    assert not any(await desk.report(4, 6))
    await asyncio.sleep(0.2)
    await desk.watch()
    assert not any(await desk.report(6, 8))
    await asyncio.sleep(0.15)
    assert all(await desk.report(8, 10)), "the grace has passed"


async def test_failures_with_a_store_that_works_in_between_are_not_one(
    provider: Provider, tmp_path: Path
) -> None:
    """By a batch that is booked, or by the look that the watch takes when no record comes."""
    desk = Desk(provider, tmp_path, grace_seconds=0.2)
    await begin(desk)
    for between in (lambda: desk.say(desk.request(1, session="s2")), desk.watch):
        desk.store.away = AWAY
        assert await desk.report(4, 5) == [False]
        desk.store.away = None
        await between()
        await asyncio.sleep(0.25)
        desk.store.away = AWAY
        assert await desk.report(4, 5) == [False]
        desk.store.away = None
        await desk.watch()


async def test_a_store_that_answers_and_takes_nothing_gets_no_new_grace(
    provider: Provider, tmp_path: Path
) -> None:
    """Its disk is full: it ends with each record, is started again, and answers the watch."""
    desk = Desk(provider, tmp_path, grace_seconds=0.2)
    await begin(desk)
    answered: list[bool] = []
    for _ in range(6):
        desk.store.away = AWAY
        answered += await desk.say(desk.request(3, 4, 40_000))
        desk.store.away = None
        if desk.keeper.holds:
            break
        await desk.watch()
        await asyncio.sleep(0.05)
    assert answered.count(False) >= 2
    assert answered[-1]
    await desk.watch()
    assert not desk.keeper.holds
    await assert_booked(provider, 5)


async def test_the_grace_passes_without_any_record_too(provider: Provider, tmp_path: Path) -> None:
    desk = Desk(provider, tmp_path, grace_seconds=0.1)
    await begin(desk)
    desk.store.away = AWAY
    assert await desk.report(4, 5) == [False]
    await asyncio.sleep(0.12)
    await desk.watch()
    assert desk.keeper.holds


@pytest.mark.parametrize("kind", [StoreUnavailable, StoreFenced, StoreFull, StoreEmpty])
async def test_a_store_that_takes_nothing_for_a_while_has_records_kept(
    provider: Provider, tmp_path: Path, kind: type[StoreError]
) -> None:
    desk = Desk(provider, tmp_path)
    await begin(desk)
    desk.store.away = kind("not now")
    assert all(await desk.report(4, 6))
    desk.store.away = None
    await desk.watch()
    await assert_booked(provider, 6)


async def test_what_waiting_does_not_mend_is_not_kept(provider: Provider, tmp_path: Path) -> None:
    """A call that the store refuses as wrong, and a record that it refuses by itself."""
    desk = Desk(provider, tmp_path)
    await begin(desk)
    desk.store.away = StoreRefused("wrong kind of value")
    assert not any(await desk.report(4, 6))
    desk.store.away = None
    desk.store.refused[KEY] = Status.FAULTY
    assert not any(await desk.report(4, 6))
    assert not desk.keeper.holds
    assert desk.files() == []


async def test_it_is_answered_only_once_it_is_durable(
    provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(provider, tmp_path)
    await begin(desk)
    desk.store.away = AWAY
    may_sync = threading.Event()
    really, synced = os.fdatasync, list[int]()

    def slow(descriptor: int) -> None:
        assert may_sync.wait(10)
        really(descriptor)
        synced.append(os.fstat(descriptor).st_size)

    monkeypatch.setattr(os, "fdatasync", slow)
    batch = [desk.request(3, n, n * 10_000) for n in range(4, 8)]
    answer = asyncio.create_task(desk.say(*batch))
    await asyncio.sleep(0.1)
    assert not answer.done()
    may_sync.set()
    assert await answer == [True] * 4
    assert synced == [desk.slot.waiting.octets], "one sync, after all of it was written"


async def test_a_disk_that_fails_answers_nothing_and_loses_nothing(
    provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(provider, tmp_path)
    await begin(desk)
    desk.store.away = AWAY
    assert all(await desk.report(4, 6))
    with monkeypatch.context() as patch:

        def fail(descriptor: int) -> None:
            raise OSError(5, "Input/output error")

        patch.setattr(os, "fdatasync", fail)
        assert await desk.say(desk.request(3, 6, 60_000)) == [False]
    assert provider.observer.counts["journal_failed"] == 1
    assert all(await desk.report(6, 9))
    desk.store.away = None
    await desk.watch()
    await assert_booked(provider, 9)


async def test_a_full_journal_answers_nothing_and_takes_more_after_the_replay(
    provider: Provider, tmp_path: Path
) -> None:
    desk = Desk(provider, tmp_path, max_octets=1000)
    await begin(desk)
    desk.store.away = AWAY
    answered = await desk.report(4, 20)
    kept = answered.index(False)
    assert 4 < kept < 12
    assert not any(answered[kept:])
    assert provider.observer.counts["journal_full"] == len(answered) - kept
    desk.store.away = None
    await desk.watch()
    await assert_booked(provider, 4 + kept)
    desk.store.away = AWAY
    assert await desk.report(4 + kept, 5 + kept) == [True]


async def test_new_records_go_behind_those_that_wait(
    provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The NAS reports all the while: during the long replay, at its end, and after it."""
    monkeypatch.setattr(module, "LAST_RECORDS", 8)
    desk = Desk(provider, tmp_path)
    await begin(desk)
    desk.store.away = AWAY
    assert all(await desk.report(4, 60))
    desk.store.away = None
    desk.store.pause_s = 0.001
    replay = asyncio.create_task(desk.watch())
    last = 60
    while not replay.done():
        assert await desk.report(last, last + 1) == [True]
        last += 1
        await asyncio.sleep(0.002)
    await replay
    assert provider.observer.counts["journaled"] > 56 + 3, "some came during the replay"
    assert not desk.keeper.holds
    assert all(await desk.report(last, last + 4))
    await assert_booked(provider, last + 4)


async def test_batches_that_are_held_back_go_on_in_their_order(
    provider: Provider, tmp_path: Path
) -> None:
    """Also before one that comes in the moment in which the replay ends."""
    desk = Desk(provider, tmp_path)
    await begin(desk)
    desk.store.away = AWAY
    assert all(await desk.report(4, 8))
    desk.store.away = None
    desk.store.pause_s = 0.01
    desk.store.asked.clear()
    batches: list[asyncio.Task[list[bool]]] = []

    def arrive(*_: object) -> None:
        request = desk.request(1, session=f"{len(batches):03d}")
        batches.append(asyncio.create_task(desk.say(request)))

    replay = asyncio.create_task(desk.watch())
    replay.add_done_callback(arrive)
    while not replay.done() or len(batches) < 30:
        arrive()
        await asyncio.sleep(0.002)
    assert all(answered == [True] for answered in await asyncio.gather(*batches))
    assert 0 < provider.observer.counts["journaled"] - 4 < len(batches), "some waited, some not"
    assert desk.store.asked == sorted(desk.store.asked, key=lambda each: (each != KEY, each))


async def test_a_batch_that_was_with_the_store_when_it_froze_is_kept_too(
    provider: Provider, tmp_path: Path
) -> None:
    desk = Desk(provider, tmp_path, grace_seconds=0.05)
    await begin(desk)
    desk.store.pause_s = 0.1
    desk.store.away = StoreUnavailable("timed out")
    assert await desk.report(4, 5) == [True], "it took longer than the grace to find out"
    desk.store.away, desk.store.pause_s = None, 0.0
    await desk.watch()
    await assert_booked(provider, 5)


@pytest.mark.parametrize("commits", range(5))
async def test_a_replay_that_is_killed_is_repeated_without_effect(
    provider: Provider, tmp_path: Path, commits: int
) -> None:
    """After each number of commits; the next process has nothing but the directory."""
    desk = Desk(provider, tmp_path)
    await begin(desk)
    desk.store.away = AWAY
    assert all(await desk.report(4, 24))
    desk.store.away = None
    desk.store.leaves_after = desk.store.commits + commits
    await desk.watch()
    assert desk.files() != []
    desk.keeper.close()
    after = Desk(provider, tmp_path)
    assert after.keeper.holds, "what waits goes first"
    assert all(await after.report(24, 26))
    await after.watch()
    assert after.files() == []
    stored = await provider.session()
    uses = [e for e in await provider.entries() if isinstance(e, Used) and e.uid == stored.uid]
    assert sum(use.charge_micros for use in uses) == 20 * 25
    assert [use.used.octets_out for use in uses] == [10_000 * n for n in range(1, 26)]


async def test_a_record_keeps_the_time_at_which_it_arrived(
    provider: Provider, tmp_path: Path
) -> None:
    desk = Desk(provider, tmp_path)
    desk.store.away = AWAY
    arrived = provider.clock() // 1000
    assert await desk.say(desk.request(1, delay=40)) == [True]
    provider.world.pass_ms(3_600_000)
    desk.store.away = None
    await desk.watch()
    [opened] = [each for each in await provider.entries() if isinstance(each, Opened)]
    assert opened.started == arrived - 40


async def test_what_the_books_do_not_take_is_set_aside_and_tried_again(
    provider: Provider, tmp_path: Path
) -> None:
    """It was answered, so it is kept; and it is in nobody's way."""
    desk = Desk(provider, tmp_path)
    await begin(desk)
    desk.store.away = AWAY
    assert all(await desk.report(4, 6))
    assert await desk.say(desk.request(1, session="s2")) == [True]
    desk.store.away = None
    desk.store.refused[KEY] = Status.FAULTY
    await desk.watch()
    assert not desk.keeper.holds
    assert (await provider.session("s2")).open
    assert (desk.keeper.aside.records, desk.files()) == (2, ["0/aside"])
    assert provider.observer.counts["journal_set_aside"] == 2
    await desk.keeper.retry_aside()
    assert desk.keeper.aside.records == 2
    desk.store.refused.clear()
    await desk.keeper.retry_aside()
    assert desk.files() == []
    await assert_booked(provider, 6)


async def test_damage_costs_its_record_and_is_kept_and_told(
    provider: Provider, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    desk = Desk(provider, tmp_path)
    await begin(desk)
    desk.store.away = AWAY
    for session in ("s2", "s3", "s4"):
        assert await desk.say(desk.request(1, session=session)) == [True]
    [path] = (tmp_path / "0").glob("*.journal")
    octets = path.read_bytes()
    middle = octets.index(b"s3")
    path.write_bytes(octets[:middle] + b"XX" + octets[middle + 2 :] + b"torn")
    desk.store.away = None
    await desk.watch()
    assert not desk.keeper.holds
    assert provider.observer.counts["journal_replayed"] == 2
    assert provider.observer.counts["journal_damages"] == 1
    assert [each.name for each in (tmp_path / "0").glob("*.journal*")] == [f"{path.name}.damaged"]


async def test_what_another_process_has_left_goes_first(provider: Provider, tmp_path: Path) -> None:
    gone = Desk(provider, tmp_path, number=3)
    await begin(gone)
    gone.store.away = AWAY
    assert all(await gone.report(4, 8))
    gone.keeper.close()
    desk = Desk(provider, tmp_path)
    desk.keeper.inherit([])
    assert not desk.keeper.holds
    desk.keeper.inherit([Desk(provider, tmp_path, number=3).slot])
    assert desk.keeper.holds
    assert all(await desk.report(8, 10))
    assert desk.files() == ["0", "3"]
    await desk.watch()
    assert desk.files() == []
    await assert_booked(provider, 10)
    assert Desk(provider, tmp_path, number=3).slot.directory.name == "3", "it is free again"


async def test_a_journal_that_was_turned_off_is_replayed_and_keeps_nothing_new(
    provider: Provider, tmp_path: Path
) -> None:
    desk = Desk(provider, tmp_path)
    await begin(desk)
    desk.store.away = AWAY
    assert all(await desk.report(4, 8))
    desk.keeper.close()
    off = Desk(provider, tmp_path, grace_seconds=None)
    assert await off.report(8, 9) == [False], "it would overtake what waits"
    await off.watch()
    assert all(await off.report(9, 12))
    off.store.away = AWAY
    assert not any(await off.report(12, 14))
    assert off.files() == []
    assert off.keeper.health == (True, "")
    assert provider.observer.counts["record_nothing"] == 0
    last = [each for each in await provider.entries() if isinstance(each, Used)][-1]
    assert (last.used.octets_out, last.total_micros) == (110_000, 220)
