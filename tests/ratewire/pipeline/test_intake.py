"""Batches against both stores: what is answered and booked, and what two at once make of it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, get_type_hints

import msgspec
import pytest
from structlog.testing import capture_logs

from balances.entries import Anomaly, Closed, Opened, Unrated, Used
from balances.errors import StoreUnavailable
from balances.messages import (
    CommitResult,
    Lookup,
    Outcome,
    Snapshot,
    Status,
    Step,
    decode_state,
)
from balances.port import BalanceStore
from config.settings import RadiusSettings
from radius.records import AcctStatus
from ratewire.pipeline import steps
from ratewire.pipeline.intake import Intake
from ratewire.pipeline.plans import encode_plan, published_name
from ratewire.pipeline.progress import stored_from_archive
from ratewire.pipeline.tickets import class_of
from rating.plan import Plan
from rating.quantity import Counters
from rating.reservation import Pace
from rating.session import Rated, price
from rating.usage import Fold, Meter
from tests.ratewire.provider import INTERIM, NAS, START, STOP, Provider
from tests.ratewire.records import HOURLY, METERED
from tests.ratewire.stores import Interrupted, Meeting, Wrapped

MB = 1_000_000
GB = 1000 * MB

#: The most records of a batch that can be set.
[_RULE] = get_type_hints(RadiusSettings, include_extras=True)["batch"].__metadata__
LARGEST: int = _RULE.le


@pytest.fixture
def provider(any_provider: Provider) -> Provider:
    return any_provider


class Doubtful(Wrapped):
    """Books a commit, and then does not answer."""

    def __init__(self, store: BalanceStore) -> None:
        super().__init__(store)
        self.failing = True

    async def commit(self, steps: Sequence[Step], loose: Sequence[bytes] = ()) -> CommitResult:
        result = await super().commit(steps, loose)
        if self.failing:
            raise StoreUnavailable("timed out")
        return result


class Leaving(Wrapped):
    """Books one commit, and is away from then on."""

    def __init__(self, store: BalanceStore) -> None:
        super().__init__(store)
        self._commits = 0

    async def commit(self, steps: Sequence[Step], loose: Sequence[bytes] = ()) -> CommitResult:
        self._commits += 1
        if self._commits > 1:
            raise StoreUnavailable("gone")
        return await super().commit(steps, loose)


class Overtaken(Wrapped):
    """Something happens once, right before the first commit."""

    def __init__(self, store: BalanceStore, meanwhile: Callable[[], Awaitable[object]]) -> None:
        super().__init__(store)
        self._meanwhile: Callable[[], Awaitable[object]] | None = meanwhile

    async def commit(self, steps: Sequence[Step], loose: Sequence[bytes] = ()) -> CommitResult:
        meanwhile, self._meanwhile = self._meanwhile, None
        if meanwhile is not None:
            await meanwhile()
        return await super().commit(steps, loose)


class Grudging(Wrapped):
    """Answers for the steps of one session with a status of its own."""

    def __init__(self, store: BalanceStore, session: str, status: Status) -> None:
        super().__init__(store)
        self._session = session
        self._status = status

    async def commit(self, steps: Sequence[Step], loose: Sequence[bytes] = ()) -> CommitResult:
        booked = [step for step in steps if step.session != self._session]
        result = await super().commit(booked, loose)
        outcomes = iter(result.outcomes)
        refused = Outcome(self._status)
        mixed = [refused if s.session == self._session else next(outcomes) for s in steps]
        return CommitResult(result.now_ms, mixed)


async def used_micros(provider: Provider) -> int:
    """What the stream says was charged."""
    return sum(e.charge_micros for e in await provider.entries() if isinstance(e, Used))


# Once and only once


async def test_a_life_in_three_batches(provider: Provider) -> None:
    await provider.subscribe(5 * MB)
    await provider.told(START)
    provider.world.pass_ms(60_000)
    await provider.told(INTERIM, 60, 10 * MB, 40 * MB)
    provider.world.pass_ms(60_000)
    await provider.told(STOP, 120, 10 * MB, 90 * MB)
    assert await provider.money() == (5 * MB - 200_000, 0)
    kinds = [type(entry) for entry in await provider.entries()]
    assert kinds == [Opened, Used, Used, Closed]
    assert provider.observer.counts == {
        "record_opened": 1,
        "record_advanced": 1,
        "record_closed": 1,
    }
    # What the worker has committed itself it need not read.
    assert provider.observer.stages == {"read": 1, "rate": 3, "commit": 3}


async def test_the_same_record_is_charged_once_however_often_it_comes(provider: Provider) -> None:
    await provider.subscribe(5 * MB)
    await provider.told(START)
    provider.world.pass_ms(60_000)
    interim = provider.report(INTERIM, 60, 0, 100 * MB)
    resent = msgspec.structs.replace(interim, arrived_ms=interim.arrived_ms + 3000)
    assert await provider.say(interim, interim, resent) == [True] * 3
    assert await provider.say(interim, resent, to=provider.worker()) == [True] * 2
    both = [provider.say(interim, to=provider.worker()) for _ in range(2)]
    assert await asyncio.gather(*both) == [[True], [True]]
    balance, _ = await provider.money()
    assert balance == 5 * MB - 200_000
    assert await used_micros(provider) == 200_000


async def test_two_batches_of_one_session_in_flight_charge_their_union(provider: Provider) -> None:
    await provider.subscribe(5 * MB)
    await provider.told(START)
    provider.world.pass_ms(120_000)
    meeting = Meeting(provider.world.hot, 2)
    earlier = provider.report(INTERIM, 60, 0, 100 * MB, event_time=provider.clock() // 1000 - 60)
    later = provider.report(INTERIM, 120, 0, 300 * MB)
    both = [
        provider.say(earlier, to=provider.worker(meeting)),
        provider.say(later, earlier, to=provider.worker(meeting)),
    ]
    assert await asyncio.gather(*both) == [[True], [True, True]]
    assert provider.observer.counts["commit_stale_session"] == 1
    assert (await provider.money())[0] == 5 * MB - 600_000
    assert await used_micros(provider) == 600_000
    state = decode_state((await provider.session()).state)
    assert state.meter.used == Counters(120, 0, 300 * MB)


async def test_an_answer_that_was_lost_costs_nothing(provider: Provider) -> None:
    """The store books the commit, and its answer does not come: the NAS sends again."""
    await provider.subscribe(5 * MB)
    store = Doubtful(provider.world.hot)
    worker = provider.worker(store)
    start, interim = provider.report(START), provider.report(INTERIM, 60, 0, 100 * MB)
    assert await provider.say(start, interim, to=worker) == [False, False]
    assert provider.observer.counts["store_errors"] == 1
    assert provider.observer.counts["unanswered"] == 2
    store.failing = False
    assert await provider.say(start, interim, to=worker) == [True, True]
    assert (await provider.money())[0] == 5 * MB - 200_000


# The last unit


async def test_two_workers_that_race_for_the_last_unit_never_grant_it_twice(
    provider: Provider,
) -> None:
    """Two sessions want 40,000 each, of 50,000: both see all of it, and one has to look again."""
    await provider.subscribe(50_000)
    meeting = Meeting(provider.world.hot, 2)
    both = [
        provider.say(provider.report(START, session=name), to=provider.worker(meeting))
        for name in ("s1", "s2")
    ]
    assert await asyncio.gather(*both) == [[True], [True]]
    held = sorted([(await provider.session(name)).held for name in ("s1", "s2")])
    assert held == [10_000, 40_000]
    assert await provider.money() == (50_000, 50_000)
    assert provider.observer.counts["commit_stale_credit"] == 1


async def test_overspend_is_booked_in_full_and_cuts_whoever_holds_what_is_gone(
    provider: Provider,
) -> None:
    await provider.subscribe(50_000)
    assert await provider.say(
        provider.report(START, session="s1"), provider.report(START, session="s2")
    ) == [True, True]
    provider.world.pass_ms(60_000)
    await provider.told(INTERIM, 60, 0, GB, session="s1")
    balance, reserved = await provider.money()
    assert balance == 50_000 - 2 * MB
    assert reserved == (await provider.session("s2")).held
    assert await used_micros(provider) == 2 * MB
    while await provider.sweeper.sweep() == 0:
        pass
    assert (await provider.money())[1] == 0
    assert sorted(job.session for job in await provider.jobs()) == [f"{NAS}|s1", f"{NAS}|s2"]


async def test_a_batch_of_siblings_is_granted_in_one_go(provider: Provider) -> None:
    """What is predicted for the later ones is what the store finds after the earlier ones."""
    await provider.subscribe(190_000)
    starts = [provider.report(START, session=f"s{number}") for number in range(10)]
    assert await provider.say(*starts) == [True] * 10
    grants = [(await provider.session(f"s{number}")).held for number in range(10)]
    assert grants == [40_000] * 4 + [30_000] + [0] * 5
    assert "retries" not in provider.observer.counts


# Who it is


async def test_a_session_id_that_passes_to_somebody_else_in_one_batch(provider: Provider) -> None:
    """A late copy of Bob's Stop, then Eve's Start under the same Acct-Session-Id."""
    await provider.subscribe(MB, user="bob", account="acme")
    await provider.subscribe(MB, user="eve", account="evil")
    await provider.told(START)
    provider.world.pass_ms(60_000)
    stop = provider.report(STOP, 60, 0, 0)
    assert await provider.say(stop) == [True]
    provider.world.pass_ms(1000)
    start = provider.report(START, user="eve")
    assert await provider.say(stop, start) == [True, True]
    assert (await provider.session()).account == "evil"
    assert await provider.money("acme") == (MB, 0)
    assert await provider.money("evil") == (MB, 40_000)


async def test_what_another_user_uses_is_not_charged_to_whose_session_it_is(
    provider: Provider,
) -> None:
    """The NAS began its ids anew without saying so, and nothing fell."""
    await provider.subscribe(MB, user="bob", account="acme")
    await provider.subscribe(MB, user="eve", account="evil")
    await provider.told(START)
    provider.world.pass_ms(5000)
    await provider.told(INTERIM, 5, 0, 100 * MB, user="eve")  # begun as Bob's was: no evidence
    await provider.told(INTERIM, 5, 0, 100 * MB, user="nobody")
    assert await provider.money("acme") == (MB, 40_000)
    provider.world.pass_ms(60_000)
    eve = provider.report(INTERIM, 30, 0, 100 * MB, user="eve")
    bob = provider.report(INTERIM, 65, 0, 10 * MB)
    assert await provider.say(bob, eve) == [True, True]
    assert (await provider.session()).account == "evil"
    assert (await provider.money("acme"))[0] == MB - 20_000
    assert (await provider.money("evil"))[0] == MB - 200_000
    assert await provider.say(bob) == [True]  # late: it charges nobody
    assert (await provider.session()).account == "evil"
    assert (await provider.money("acme"))[0] == MB - 20_000
    kinds = [e.reason for e in await provider.entries() if isinstance(e, Unrated | Closed)]
    assert kinds == ["other_user", "other_user", "restarted", "other_user"]


async def test_another_name_of_the_same_account_goes_on_with_its_session(
    provider: Provider,
) -> None:
    """Some NASes report under another spelling than they began with."""
    await provider.subscribe(MB, user="bob", account="acme")
    await provider.world.subscribe("bob@isp", "acme", "metered")
    await provider.told(START)
    provider.world.pass_ms(60_000)
    await provider.told(INTERIM, 60, 0, 10 * MB, user="bob@isp")
    await provider.told(STOP, 60, 0, 20 * MB, user="bob@isp")
    assert await provider.money() == (MB - 40_000, 0)


async def test_reports_without_anything_new_are_signs_of_life(provider: Provider) -> None:
    await provider.subscribe(MB)
    await provider.told(START)
    for _ in range(6):
        provider.world.pass_ms(400_000)
        await provider.told(INTERIM, None, 0, 0)
        assert await provider.world.due_sessions() == []
    assert (await provider.session()).seen_ms == provider.world.now_ms
    late = provider.report(INTERIM, None, 0, 0, event_time=provider.world.now_ms // 1000 - 500)
    provider.world.pass_ms(600_000)
    assert await provider.say(late) == [True]
    assert (await provider.session()).seen_ms == provider.world.now_ms - 600_000


async def test_a_record_without_a_name_does_not_hide_the_one_after_it(provider: Provider) -> None:
    await provider.subscribe(MB)
    nameless = provider.report(START, user=None)
    assert await provider.say(nameless, provider.report(INTERIM, 60, 0, 0)) == [True, True]
    assert (await provider.session()).account == "acme"
    unrated, opened, _ = await provider.entries()
    assert isinstance(unrated, Unrated)
    assert unrated.reason == "no_user"
    assert isinstance(opened, Opened)


async def test_a_stranger_is_answered_and_kept_for_staff(provider: Provider) -> None:
    for status in (START, INTERIM, STOP):
        await provider.told(status, 60, 1, 2, user="nobody")
    kept = await provider.entries()
    assert [entry.kind for entry in kept if isinstance(entry, Unrated)] == [1, 3, 2]
    assert len(kept) == 3
    assert provider.archive.asked == []
    assert provider.observer.counts == {"record_unrated_unknown_user": 3}


# The archive


async def test_an_interim_of_a_session_the_store_forgot_goes_on_from_the_archive(
    provider: Provider,
) -> None:
    await provider.subscribe(5 * MB)
    await provider.told(START)
    provider.world.pass_ms(600_000)
    await provider.told(INTERIM, 600, 0, 100 * MB)
    known = await provider.session()
    state = decode_state(known.state)
    provider.archive.sessions[f"{NAS}|s2"] = stored_from_archive(
        known.uid, "acme", state, is_open=True
    )
    provider.world.pass_ms(60_000)
    assert await provider.say(
        provider.report(INTERIM, 660, 0, 150 * MB, session="s2"),
        provider.report(INTERIM, 660, 0, 110 * MB, session="s1"),
    ) == [True, True]
    assert provider.archive.asked == [f"{NAS}|s2"]
    assert (await provider.money())[0] == 5 * MB - 2 * (110 + 50) * 1000
    assert (await provider.session("s2")).uid == known.uid


async def test_an_interim_that_nobody_knows_is_a_lost_start(provider: Provider) -> None:
    await provider.subscribe(5 * MB)
    await provider.told(INTERIM, 600, 0, 100 * MB)
    assert provider.archive.asked == [f"{NAS}|s1"]
    opened, used = await provider.entries()
    assert isinstance(opened, Opened)
    assert opened.started == provider.clock() // 1000 - 600
    assert isinstance(used, Used)
    assert used.charge_micros == 200_000


async def test_without_the_archive_a_lost_start_waits_and_nobody_else_does(
    provider: Provider,
) -> None:
    await provider.subscribe(5 * MB)
    await provider.told(START, session="known")
    provider.archive.away = True
    provider.world.pass_ms(60_000)
    batch = [
        provider.report(INTERIM, 600, 0, 1, session="unknown"),
        provider.report(START, session="new"),
        provider.report(INTERIM, 60, 0, 1, session="known"),
        provider.report(INTERIM, 60, 0, 1, session="stranger", user="nobody"),
    ]
    assert await provider.say(*batch) == [False, True, True, True]
    assert provider.observer.counts["deferred_archive"] == 1
    provider.archive.away = False
    assert await provider.say(*batch) == [True] * 4
    assert provider.observer.counts["record_opened"] == 3


# NAS boots


async def test_a_boot_is_answered_once_marked_and_ends_what_was_before(provider: Provider) -> None:
    await provider.subscribe(5 * MB)
    await provider.told(START)
    provider.world.pass_ms(60_000)
    on = provider.report(AcctStatus.ACCOUNTING_ON, session="", user=None)
    late = provider.report(INTERIM, 30, 0, 10 * MB, event_time=on.event_time - 30)
    again = provider.report(START)
    assert await provider.say(on, late, on, again) == [True] * 4
    assert provider.observer.counts["nas_boot"] == 1
    assert provider.observer.counts["nas_boot_repeated"] == 1
    opened, used, closed, reopened = await provider.entries()
    assert isinstance(used, Used)
    assert used.charge_micros == 20_000
    assert isinstance(closed, Closed)
    assert closed.reason == "restarted"
    assert isinstance(opened, Opened)
    assert isinstance(reopened, Opened)
    assert (opened.epoch, reopened.epoch) == (0, 1)


# What happens between reading and committing


@pytest.mark.parametrize("stale", [False, True])
async def test_an_unrated_record_is_kept_once_however_often_its_session_is_tried(
    provider: Provider, *, stale: bool
) -> None:
    await provider.subscribe(5 * MB)
    await provider.subscribe(MB, user="eve", account="evil")
    await provider.told(START)
    provider.world.pass_ms(60_000)

    async def meanwhile() -> None:
        if stale:
            await provider.told(INTERIM, 50, 0, MB)

    worker = provider.worker(Overtaken(provider.world.hot, meanwhile))
    batch = [
        provider.report(INTERIM, 60, 0, 9, user="eve"),
        provider.report(INTERIM, 60, 0, 2 * MB),
    ]
    assert await provider.say(*batch, to=worker) == [True, True]
    assert provider.observer.counts["commit_stale_session"] == stale
    unrated = [each.reason for each in await provider.entries() if isinstance(each, Unrated)]
    assert unrated == ["other_user"]


async def test_an_unrated_record_of_a_step_that_is_refused_is_not_kept(provider: Provider) -> None:
    """It is not answered, and comes again."""
    await provider.subscribe(5 * MB)
    await provider.subscribe(MB, user="eve", account="evil")
    await provider.told(START)
    provider.world.pass_ms(60_000)
    worker = provider.worker(Grudging(provider.world.hot, f"{NAS}|s1", Status.FAULTY))
    batch = [
        provider.report(INTERIM, 60, 0, 9, user="eve"),
        provider.report(INTERIM, 60, 0, 2 * MB),
    ]
    for _ in range(2):
        assert await provider.say(*batch, to=worker) == [False, False]
    assert not any(isinstance(each, Unrated) for each in await provider.entries())


# Outages


async def test_an_outage_of_the_store_is_told_once_and_so_is_its_end(provider: Provider) -> None:
    await provider.subscribe(5 * MB)
    with capture_logs() as lines:
        await provider.world.keeping.fence("the balances are being rebuilt")
        for _ in range(3):
            assert await provider.say(provider.report(START)) == [False]
        await provider.world.keeping.fence("")
        for _ in range(3):
            assert await provider.say(provider.report(START)) == [True]
    told = [(line["event"], line["what"]) for line in lines]
    assert told == [("failing", "booking accounting"), ("works again", "booking accounting")]
    assert provider.observer.counts["unanswered"] == 3


async def test_a_session_that_cannot_be_rated_keeps_no_other_waiting(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    def faulty(plan: Plan, meter: Meter | None, pace: Pace, folded: Fold, *rest: Any) -> Rated:
        if folded.usage.octets_in == 13:
            raise ZeroDivisionError("a fault of the program")
        return price(plan, meter, pace, folded, *rest)

    monkeypatch.setattr(steps, "price", faulty)
    await provider.subscribe(5 * MB)
    for _ in range(2):  # read, and by the hint
        records = [
            provider.report(INTERIM, 60, 13, 0, session="faulty"),
            provider.report(INTERIM, 60, 0, MB, session="well"),
        ]
        provider.world.pass_ms(60_000)
        with capture_logs() as lines:
            assert await provider.say(*records) == [False, True]
        assert "a session cannot be rated" in {line["event"] for line in lines}
    assert (await provider.session("well")).open


async def test_an_outage_of_the_archive_is_told_once_and_so_is_its_end(provider: Provider) -> None:
    await provider.subscribe(5 * MB)
    with capture_logs() as lines:
        provider.archive.away = True
        for _ in range(3):
            assert await provider.say(provider.report(INTERIM, 60, 0, 1)) == [False]
        provider.archive.away = False
        assert await provider.say(provider.report(INTERIM, 60, 0, 1)) == [True]
    told = [(line["event"], line["what"]) for line in lines]
    what = "looking up sessions in Postgres"
    assert told == [("failing", what), ("works again", what)]


async def test_a_boot_meanwhile_is_heeded(provider: Provider) -> None:
    """The session was open when it was read; its NAS has restarted before it is booked."""
    await provider.subscribe(5 * MB)
    await provider.told(START)
    provider.world.pass_ms(60_000)
    booted = provider.clock() // 1000 - 10
    store = Interrupted(provider.world.hot, lambda: provider.world.hot.mark_boot(NAS, booted))
    again = provider.report(INTERIM, 5, 0, MB)
    assert await provider.say(again, to=provider.worker(store)) == [True]
    assert provider.observer.counts["commit_stale_boot"] == 1
    assert provider.observer.counts["record_restarted"] == 1
    assert decode_state((await provider.session()).state).meter.epoch == 1


async def test_a_suspension_meanwhile_is_heeded(provider: Provider) -> None:
    await provider.subscribe(5 * MB)
    store = Interrupted(provider.world.hot, lambda: provider.world.status("acme", suspended=True))
    assert await provider.say(provider.report(START), to=provider.worker(store)) == [True]
    assert provider.observer.counts["commit_stale_rating"] == 1
    assert await provider.money() == (5 * MB, 0)
    assert [job.cause for job in await provider.jobs()] == ["suspended"]


@pytest.mark.parametrize(("amount", "grant", "stale"), [(MB, 40_000, 0), (-90_000, 10_000, 1)])
async def test_money_meanwhile_is_no_conflict_unless_it_changes_the_grant(
    provider: Provider, amount: int, grant: int, stale: int
) -> None:
    await provider.subscribe(100_000)
    store = Interrupted(provider.world.hot, lambda: provider.world.top_up(amount, "acme"))
    assert await provider.say(provider.report(START), to=provider.worker(store)) == [True]
    assert (await provider.session()).held == grant
    assert provider.observer.counts["commit_stale_credit"] == stale


# Hints


class Reading(Wrapped):
    """Counts the sessions that are read."""

    def __init__(self, store: BalanceStore) -> None:
        super().__init__(store)
        self.sessions = 0

    async def read(self, lookups: Sequence[Lookup]) -> Snapshot:
        self.sessions += len(lookups)
        return await super().read(lookups)


async def two_workers(provider: Provider) -> tuple[Reading, Intake, Intake]:
    """A worker that has begun a session and knows it, and another."""
    await provider.subscribe(5 * MB)
    store = Reading(provider.world.hot)
    worker = provider.worker(store)
    assert await provider.say(provider.report(START), to=worker) == [True]
    assert store.sessions == 1
    provider.world.pass_ms(60_000)
    return store, worker, provider.worker()


async def test_a_worker_does_not_read_what_it_has_committed(provider: Provider) -> None:
    store, worker, _ = await two_workers(provider)
    for minutes in (1, 2, 3):
        provider.world.pass_ms(60_000)
        report = provider.report(INTERIM, 60 * minutes, 0, minutes * 100 * MB)
        assert await provider.say(report, to=worker) == [True]
    assert store.sessions == 1
    assert (await provider.money())[0] == 5 * MB - 600_000
    session = await provider.session()
    assert await provider.money() == (5 * MB - 600_000, session.held)


async def test_a_hint_that_another_worker_has_overtaken_is_read_anew(provider: Provider) -> None:
    store, worker, other = await two_workers(provider)
    assert await provider.say(provider.report(INTERIM, 60, 0, 100 * MB), to=other) == [True]
    provider.world.pass_ms(60_000)
    assert await provider.say(provider.report(INTERIM, 120, 0, 150 * MB), to=worker) == [True]
    assert provider.observer.counts["commit_stale_session"] == 1
    assert store.sessions == 2
    assert await used_micros(provider) == 300_000


async def test_workers_that_a_session_reports_to_in_turn_stop_guessing(provider: Provider) -> None:
    """As by a proxy that sends from many ports. Each wrong guess costs a commit."""
    _, worker, other = await two_workers(provider)
    for minute in range(1, 41):
        provider.world.pass_ms(60_000)
        report = provider.report(INTERIM, 60 * minute, 0, minute * MB)
        assert await provider.say(report, to=(worker, other)[minute % 2]) == [True]
    assert provider.observer.counts["commit_stale_session"] < 5
    assert await used_micros(provider) == 80_000


async def test_records_that_change_nothing_are_judged_by_what_is_there(provider: Provider) -> None:
    """Another worker has begun a new epoch, whose NAS tells no session time: its counters would
    be old ones to the epoch before.
    """
    store, worker, other = await two_workers(provider)
    assert await provider.say(provider.report(INTERIM, None, 0, 100 * MB), to=worker) == [True]
    provider.world.pass_ms(60_000)
    assert await provider.say(provider.report(STOP, None, 0, 100 * MB), to=other) == [True]
    provider.world.pass_ms(60_000)
    assert await provider.say(provider.report(START), to=other) == [True]
    provider.world.pass_ms(60_000)
    assert store.sessions == 1
    assert await provider.say(provider.report(INTERIM, None, 0, 50 * MB), to=worker) == [True]
    assert store.sessions == 2
    assert await used_micros(provider) == 300_000


async def test_a_hint_does_not_hide_a_boot(provider: Provider) -> None:
    _, worker, other = await two_workers(provider)
    on = provider.report(AcctStatus.ACCOUNTING_ON, session="", user=None)
    assert await provider.say(on, to=other) == [True]
    provider.world.pass_ms(20_000)
    assert await provider.say(provider.report(INTERIM, 5, 0, MB), to=worker) == [True]
    assert provider.observer.counts["commit_stale_boot"] == 1
    assert decode_state((await provider.session()).state).meter.epoch == 1


async def test_a_hint_does_not_hide_a_suspension(provider: Provider) -> None:
    _, worker, _ = await two_workers(provider)
    await provider.world.status("acme", suspended=True)
    assert await provider.say(provider.report(INTERIM, 60, 0, 100 * MB), to=worker) == [True]
    assert await provider.money() == (5 * MB - 200_000, 0)
    assert [job.cause for job in await provider.jobs()] == ["suspended"]


@pytest.mark.parametrize("amount", [50 * MB, -5 * MB])
async def test_a_hint_does_not_hide_money(provider: Provider, amount: int) -> None:
    _, worker, _ = await two_workers(provider)
    await provider.world.top_up(amount, "acme")
    assert await provider.say(provider.report(INTERIM, 60, 0, 2500 * MB), to=worker) == [True]
    balance, reserved = await provider.money()
    assert balance == amount
    assert reserved == (0 if amount < 0 else (await provider.session()).held)
    assert (reserved > 0) is (amount > 0)


async def test_after_a_stop_and_after_a_doubtful_commit_it_is_read(provider: Provider) -> None:
    await provider.subscribe(5 * MB)
    doubtful = Doubtful(provider.world.hot)
    doubtful.failing = False
    store = Reading(doubtful)
    worker = provider.worker(store)
    assert await provider.say(provider.report(START), to=worker) == [True]
    doubtful.failing = True
    provider.world.pass_ms(60_000)
    interim = provider.report(INTERIM, 60, 0, 100 * MB)
    assert await provider.say(interim, to=worker) == [False]
    doubtful.failing = False
    assert await provider.say(interim, to=worker) == [True]
    assert store.sessions == 2
    assert await provider.say(provider.report(STOP, 60, 0, 100 * MB), to=worker) == [True]
    assert await provider.say(provider.report(STOP, 60, 0, 100 * MB), to=worker) == [True]
    assert store.sessions == 4
    assert await used_micros(provider) == 200_000


# What goes wrong


@pytest.mark.parametrize("status", [Status.FAULTY, Status.BEYOND_BOUNDS])
async def test_a_step_that_is_refused_leaves_the_others_going(
    provider: Provider, status: Status
) -> None:
    await provider.subscribe(5 * MB)
    worker = provider.worker(Grudging(provider.world.hot, f"{NAS}|bad", status))
    batch = [provider.report(START, session=name) for name in ("good", "bad", "better")]
    assert await provider.say(*batch, to=worker) == [True, False, True]
    assert provider.observer.counts[f"commit_{status.name.lower()}"] == 1
    assert "retries" not in provider.observer.counts


async def test_what_stays_stale_is_left_to_the_nas(provider: Provider) -> None:
    await provider.subscribe(5 * MB)
    worker = provider.worker(Grudging(provider.world.hot, f"{NAS}|bad", Status.STALE_CREDIT))
    batch = [provider.report(START, session=name) for name in ("good", "bad")]
    assert await provider.say(*batch, to=worker) == [True, False]
    assert provider.observer.counts["commit_stale_credit"] == 8
    assert provider.observer.counts["retries"] == 7
    assert provider.observer.counts["unanswered"] == 1


async def test_a_session_whose_state_nobody_understands_leaves_the_others_going(
    provider: Provider,
) -> None:
    await provider.subscribe(5 * MB)
    await provider.world.book(f"{NAS}|bad", "acme", nas=NAS, want=10, state=b"\xc1 damaged")
    batch = [provider.report(INTERIM, 60, 0, 1, session=name) for name in ("good", "bad")]
    assert await provider.say(*batch) == [True, False]
    assert provider.observer.counts["deferred_state_not_understood"] == 1


async def test_a_plan_that_is_not_understood_leaves_the_others_going(provider: Provider) -> None:
    """Its new sessions wait for a worker that understands it; nobody is called a stranger."""
    await provider.subscribe(5 * MB)
    await provider.subscribe(5 * MB, user="eve", account="evil", plan="hourly")
    await provider.told(START, session="running")
    plans = {published_name(plan): encode_plan(plan) for plan in (METERED, HOURLY)}
    plans["metered@2"] = b'{"news": true}'
    await provider.world.movements.publish("plans", 2, plans)
    provider.world.pass_ms(60_000)
    batch = [
        provider.report(INTERIM, 60, 0, MB, session="running"),
        provider.report(START, session="new"),
        provider.report(START, session="other", user="eve"),
    ]
    assert await provider.say(*batch) == [True, False, True]
    assert provider.observer.counts["deferred_plan_not_understood"] == 1
    assert not any(isinstance(entry, Unrated) for entry in await provider.entries())


async def test_a_batch_of_one_session_alone_is_booked_in_parts(provider: Provider) -> None:
    """A step takes 255 entries."""
    await provider.subscribe(5 * MB)
    begun = provider.clock() // 1000
    provider.world.pass_ms(LARGEST * 1000)
    batch = [
        provider.report(INTERIM, second, 0, second * 1000, event_time=begun + second)
        for second in range(1, LARGEST + 1)
    ]
    assert await provider.say(*batch) == [True] * LARGEST
    assert (await provider.money())[0] == 5 * MB - 2 * LARGEST
    assert sum(isinstance(entry, Used) for entry in await provider.entries()) == LARGEST


async def test_the_worst_batch_there_can_be_is_one_commit(provider: Provider) -> None:
    """A session for each record, which opens, is odd, and closes with it: a commit is bounded."""
    await provider.subscribe(5 * MB)
    broken = 2**64 - 1
    batch = [
        provider.report(STOP, 60, broken, 0, session=f"s{number}", terminate_cause=1)
        for number in range(LARGEST)
    ]
    assert await provider.say(*batch) == [True] * LARGEST
    kinds = {type(entry) for entry in await provider.entries()}
    assert kinds == {Opened, Anomaly, Closed}


async def test_a_store_that_is_away_answers_nothing(provider: Provider) -> None:
    await provider.subscribe(5 * MB)
    await provider.world.keeping.fence("the balances are being rebuilt")
    on = provider.report(AcctStatus.ACCOUNTING_ON, session="", user=None)
    assert await provider.say(provider.report(START), on) == [False, False]
    await provider.world.keeping.fence("")
    assert await provider.say(provider.report(START), on) == [True, True]


async def test_only_what_is_booked_before_the_store_goes_away_is_answered(
    provider: Provider,
) -> None:
    """The first commit closes what was open before a boot; the restart would be the second."""
    await provider.subscribe(5 * MB)
    await provider.told(START, session="again")
    provider.world.pass_ms(60_000)
    await provider.world.hot.mark_boot(NAS, provider.clock() // 1000 - 10)
    batch = [
        provider.report(
            INTERIM, 40, 0, MB, session="again", event_time=provider.clock() // 1000 - 20
        ),
        provider.report(START, session="again"),
        provider.report(START, session="other"),
    ]
    worker = provider.worker(Leaving(provider.world.hot))
    assert await provider.say(*batch, to=worker) == [True, False, True]
    assert provider.observer.counts["unanswered"] == 1
    assert await provider.say(*batch) == [True] * 3


async def test_plans_published_meanwhile_hold_for_the_next_session(provider: Provider) -> None:
    await provider.subscribe(5 * MB)
    await provider.told(START, session="old")
    dearer = msgspec.structs.replace(METERED, version=2, reserve_octets=20 * MB)
    await provider.publish(METERED, HOURLY, dearer)
    await provider.told(START, session="new")
    plans = [
        decode_state((await provider.session(name)).state).plan_version for name in ("old", "new")
    ]
    assert plans == [1, 2]
    assert (await provider.session("new")).held == 80_000


class TestLogins:
    """A session begins with what its login was granted."""

    async def granted(self, provider: Provider, **changes: Any) -> bytes:
        wanted: dict[str, Any] = {"username": "bob", "want": 4_000_000, **changes}
        return await provider.world.grant(f"{NAS}|s1", "acme", **wanted)

    async def test_a_start_takes_over_the_whole_balance_that_its_login_reserved(
        self, provider: Provider
    ) -> None:
        await provider.subscribe(4_000_000)
        uid = await self.granted(provider)
        assert await provider.money() == (4_000_000, 4_000_000)
        await provider.told(START)
        session = await provider.session()
        assert (session.uid, session.held > 0) == (uid, True)
        assert await provider.money() == (4_000_000, session.held)
        assert await provider.jobs() == [], "the login's reservation is not in its own way"

    async def test_by_class_alone(self, provider: Provider) -> None:
        await provider.subscribe(4_000_000)
        uid = await self.granted(provider, station="")
        await provider.told(START, session="other", classes=(b"foreign", class_of(uid)))
        assert (await provider.session("other")).uid == uid

    async def test_by_the_device_alone(self, provider: Provider) -> None:
        """As for ocserv: no Class, and a session id that the login did not have."""
        await provider.subscribe(4_000_000)
        uid = await provider.world.grant(
            f"{NAS}|", "acme", username="bob", station="198.51.100.7", want=9
        )
        start = provider.report(START)
        start = msgspec.structs.replace(
            start, attributes={1: b"bob", 31: b"198.51.100.7", 44: b"s1"}
        )
        assert await provider.say(start) == [True]
        assert (await provider.session()).uid == uid

    async def test_a_lost_start_is_no_loss(self, provider: Provider) -> None:
        await provider.subscribe(4_000_000)
        uid = await self.granted(provider)
        await provider.told(INTERIM, 60, 0, 0)
        assert (await provider.session()).uid == uid

    async def test_two_starts_with_one_class_are_two_sessions(self, provider: Provider) -> None:
        """Multilink, or a NAS that confuses them: one has the grant, both are charged."""
        await provider.subscribe(4_000_000)
        uid = await self.granted(provider)
        starts = [
            provider.report(START, session=each, classes=(class_of(uid),)) for each in ("s1", "s2")
        ]
        assert await provider.say(*starts) == [True, True]
        sessions = [await provider.session(each) for each in ("s1", "s2")]
        assert [session.uid == uid for session in sessions].count(True) == 1
        assert await provider.money() == (4_000_000, sum(session.held for session in sessions))

    async def test_a_session_that_is_over_at_once_gives_it_back(self, provider: Provider) -> None:
        await provider.subscribe(4_000_000)
        await self.granted(provider)
        await provider.told(STOP, 0, 0, 0)
        assert (await provider.money())[1] == 0
