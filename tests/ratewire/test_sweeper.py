"""Sessions seen to without a report: silent ones, granted anew, closed by their NAS's boot."""

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from balances.entries import Closed, Opened, Reopened
from balances.messages import CommitResult, Step, decode_state
from balances.port import BalanceStore
from radius.dynauth import Timers
from radius.records import AcctStatus
from ratewire.enforcement.enforcer import Enforcer
from ratewire.enforcement.subjects import Subjects
from ratewire.pipeline.raters import PlanReader
from ratewire.pipeline.steps import Deferred, Rater
from ratewire.sweeper import CHUNK, LEASE_MS, MAX_ATTEMPTS
from rating.usage import Phase
from tests.ratewire.enforcement.nas import ack, listening
from tests.ratewire.provider import INTERIM, NAS, START, STOP, Provider
from tests.ratewire.stores import Interrupted, Wrapped

MB = 1_000_000
QUIET_MS = 900_000


@pytest.fixture
def provider(any_provider: Provider) -> Provider:
    return any_provider


class Measured(Wrapped):
    """Notes how many steps each commit has, and which is the first with a grant."""

    def __init__(self, store: BalanceStore) -> None:
        super().__init__(store)
        self.commits: list[int] = []
        self.granted: int | None = None

    async def commit(self, steps: Sequence[Step], loose: Sequence[bytes] = ()) -> CommitResult:
        if self.granted is None and any(step.open for step in steps):
            self.granted = len(self.commits)
        self.commits.append(len(steps))
        return await super().commit(steps, loose)


class Busy(Wrapped):
    """One session has changed since it was read, the first times that it is to be booked."""

    def __init__(self, store: BalanceStore, session: str) -> None:
        super().__init__(store)
        self._session = session
        self._times = MAX_ATTEMPTS

    async def commit(self, steps: Sequence[Step], loose: Sequence[bytes] = ()) -> CommitResult:
        if self._times and any(step.session == self._session for step in steps):
            self._times -= 1
            steps = [
                msgspec.structs.replace(step, expected_version=1)
                if step.session == self._session
                else step
                for step in steps
            ]
        return await super().commit(steps, loose)


async def swept(provider: Provider) -> None:
    """Sweep until nothing is left to be done now."""
    while await provider.sweeper.sweep() == 0:
        pass


async def closings(provider: Provider) -> list[str]:
    """Why sessions were closed, in order."""
    return [entry.reason for entry in await provider.entries() if isinstance(entry, Closed)]


# Silence


async def test_a_silent_session_is_lost_and_gives_back_what_it_held(provider: Provider) -> None:
    await provider.subscribe(5 * MB)
    await provider.told(START)
    assert (await provider.money())[1] == 40_000
    provider.world.pass_ms(QUIET_MS - 1)
    await swept(provider)
    assert (await provider.session()).open
    provider.world.pass_ms(1)
    await swept(provider)
    assert not (await provider.session()).open
    assert await provider.money() == (5 * MB, 0)
    assert await closings(provider) == ["lost"]
    assert provider.observer.counts["sweep_closed"] == 1


async def test_whoever_reports_in_time_is_left_alone(provider: Provider) -> None:
    """Every interval is a little longer than the one before: the silence allowed goes with it."""
    await provider.subscribe(5 * MB)
    await provider.told(START)
    seconds = 0
    for interval in (300, 600, 900):
        provider.world.pass_ms(interval * 1000)
        seconds += interval
        await swept(provider)
        await provider.told(INTERIM, seconds, 0, seconds)
    assert await closings(provider) == []
    provider.world.pass_ms(3 * 900_000)
    await swept(provider)
    assert await closings(provider) == ["lost"]


async def test_a_lost_session_that_reports_goes_on(provider: Provider) -> None:
    await provider.subscribe(5 * MB)
    await provider.told(START)
    provider.world.pass_ms(QUIET_MS)
    await swept(provider)
    provider.world.pass_ms(60_000)
    await provider.told(INTERIM, 960, 0, 10 * MB)
    session = await provider.session()
    assert session.open
    assert session.held > 0
    assert decode_state(session.state).meter.phase is Phase.OPEN
    assert isinstance((await provider.entries())[-1], Reopened)
    assert (await provider.money())[0] == 5 * MB - 20_000


async def test_a_report_between_the_look_and_the_step_keeps_the_session(
    provider: Provider,
) -> None:
    await provider.subscribe(5 * MB)
    await provider.told(START)
    provider.world.pass_ms(QUIET_MS)
    store = Interrupted(provider.world.hot, lambda: provider.told(INTERIM, 900, 0, MB))
    await provider.sweeping(store).sweep()
    assert (await provider.session()).open
    assert provider.observer.counts["sweep_stale"] == 1
    assert await closings(provider) == []


async def test_what_is_known_to_be_gone_is_closed_unless_it_was_seen_again(
    provider: Provider,
) -> None:
    await provider.subscribe(5 * MB)
    await provider.told(START)
    seen_ms = (await provider.session()).seen_ms
    provider.world.pass_ms(1000)
    await provider.told(INTERIM, 1, 0, 1)
    await provider.sweeper.close_lost(f"{NAS}|s1", seen_ms)
    assert (await provider.session()).open
    await provider.sweeper.close_lost(f"{NAS}|s1", (await provider.session()).seen_ms)
    assert not (await provider.session()).open
    await provider.sweeper.close_lost(f"{NAS}|s1", provider.clock())
    await provider.sweeper.close_lost(f"{NAS}|never", provider.clock())


# Boots of a NAS


async def test_a_boot_closes_what_was_open_before_it_in_chunks(provider: Provider) -> None:
    await provider.subscribe(5 * MB)
    count = 2 * CHUNK + 7
    names = [f"s{number}" for number in range(count)]
    for first in range(0, count, 100):
        some = names[first : first + 100]
        answered = await provider.say(*(provider.report(START, session=name) for name in some))
        assert all(answered)
    await provider.told(START, session="elsewhere", nas="pop1/other")
    provider.world.pass_ms(60_000)
    await provider.told(AcctStatus.ACCOUNTING_ON, session="", user=None)
    provider.world.pass_ms(1000)
    await provider.told(START, session="after")

    store = Measured(provider.world.hot)
    provider.sweeper = provider.sweeping(store)
    await swept(provider)
    assert len(store.commits) >= 3
    assert max(store.commits) <= CHUNK
    assert await closings(provider) == ["nas_down"] * count
    assert await provider.world.sweeps.pending_sweeps() == {}
    assert (await provider.session("after")).open
    assert (await provider.session("elsewhere", nas="pop1/other")).open
    assert (await provider.money())[1] == sum(
        [
            (await provider.session("after")).held,
            (await provider.session("elsewhere", nas="pop1/other")).held,
        ]
    )


async def test_a_top_up_does_not_wait_for_the_end_of_a_sweep(provider: Provider) -> None:
    await provider.subscribe(50 * MB)
    await provider.subscribe(10_000, user="eve", account="evil")
    await provider.told(START, session="eve's", user="eve", nas="pop1/other")
    count = 3 * CHUNK
    for first in range(0, count, 256):
        await provider.say(*(provider.report(START, session=f"s{first + n}") for n in range(256)))
    provider.world.pass_ms(60_000)
    await provider.told(AcctStatus.ACCOUNTING_ON, session="", user=None)
    store = Measured(provider.world.hot)
    await provider.world.top_up(MB, "evil")
    await provider.sweeping(store).sweep()
    assert store.granted is not None
    assert store.granted < len(store.commits) - 1, "among the chunks, not after them"


async def test_a_boot_is_swept_until_nothing_is_left_to_close(provider: Provider) -> None:
    """One session is stale whenever it is tried, the first time round."""
    await provider.subscribe(5 * MB)
    assert await provider.say(
        provider.report(START, session="busy"), provider.report(START, session="idle")
    ) == [True, True]
    provider.world.pass_ms(60_000)
    await provider.told(AcctStatus.ACCOUNTING_ON, session="", user=None)
    sweeper = provider.sweeping(Busy(provider.world.hot, f"{NAS}|busy"))
    assert await sweeper.sweep() == 0
    assert not (await provider.session("idle")).open
    assert (await provider.session("busy")).open
    while await sweeper.sweep() == 0:
        pass
    assert not (await provider.session("busy")).open
    assert await provider.world.sweeps.pending_sweeps() == {}


async def test_a_session_that_survived_the_boot_stays(provider: Provider) -> None:
    """Some NASes send Accounting-On for one of their services only."""
    await provider.subscribe(5 * MB)
    assert await provider.say(
        provider.report(START, session="ended"), provider.report(START, session="survived")
    ) == [True, True]
    provider.world.pass_ms(60_000)
    await provider.told(AcctStatus.ACCOUNTING_ON, session="", user=None)
    provider.world.pass_ms(1000)
    await provider.told(INTERIM, 61, 0, MB, session="survived")
    await swept(provider)
    assert not (await provider.session("ended")).open
    assert (await provider.session("survived")).open
    assert await provider.world.sweeps.pending_sweeps() == {}


async def test_a_late_stop_after_the_boot_still_settles(provider: Provider) -> None:
    await provider.subscribe(5 * MB)
    await provider.told(START)
    provider.world.pass_ms(60_000)
    await provider.told(AcctStatus.ACCOUNTING_ON, session="", user=None)
    await swept(provider)
    before = provider.clock() // 1000 - 10
    await provider.told(STOP, 50, 0, 30 * MB, event_time=before)
    assert await provider.money() == (5 * MB - 60_000, 0)
    assert not (await provider.session()).open


# New grants


async def test_a_top_up_extends_a_running_session_at_once(provider: Provider) -> None:
    await provider.subscribe(10_000)
    await provider.told(START)
    [job] = await provider.jobs()
    assert (await provider.session()).held == 10_000
    provider.world.pass_ms(1000)
    await provider.world.top_up(5 * MB, "acme")
    await swept(provider)
    session = await provider.session()
    assert (session.held, session.cutting, session.regrant) == (40_000, False, False)
    assert await provider.jobs() == []
    assert session.seen_ms < provider.clock(), "its silence goes on"
    assert job.state == "scheduled"


async def test_a_suspension_cuts_and_an_activation_lets_go_on(provider: Provider) -> None:
    await provider.subscribe(5 * MB)
    await provider.told(START)
    await provider.world.status("acme", suspended=True)
    await swept(provider)
    [job] = await provider.jobs()
    assert (job.cause, job.due_ms) == ("suspended", provider.clock())
    assert (await provider.money())[1] == 0
    await provider.world.status("acme")
    await swept(provider)
    assert await provider.jobs() == []
    assert (await provider.money())[1] == 40_000


async def test_the_sessions_of_an_account_share_a_top_up(provider: Provider) -> None:
    await provider.subscribe(0)
    starts = [provider.report(START, session=f"s{number}") for number in range(5)]
    assert await provider.say(*starts) == [True] * 5
    assert len(await provider.jobs()) == 5
    await provider.world.top_up(130_000, "acme")
    await swept(provider)
    held = sorted([(await provider.session(f"s{number}")).held for number in range(5)])
    assert held == [0, 10_000, 40_000, 40_000, 40_000]
    assert len(await provider.jobs()) == 2


# Deadlines


async def test_a_time_tariff_ends_on_the_second_it_is_paid_for(provider: Provider) -> None:
    """EUR 0.60 an hour: 100,000 micros are 600 s. Cut at that moment, whatever was reported."""
    await provider.subscribe(100_000, plan="hourly")
    await provider.told(START)
    provider.world.pass_ms(290_000)
    late = provider.report(
        INTERIM,
        285,
        0,
        0,
        event_time=provider.clock() // 1000 - 5,
        attributes={41: bytes(3) + b"\5"},
    )
    assert await provider.say(late) == [True]
    [job] = await provider.jobs()
    begun_ms = provider.clock() - 290_000
    assert job.due_ms == begun_ms + 600_000
    async with listening(ack) as nas:
        known = nas.directory()
        enforcer = Enforcer(
            provider.world.jobs,
            provider.sweeper,
            Subjects(provider.world.hot, PlanReader(provider.world.directory)),
            lambda: known,
            provider.observer,
            clock_ms=provider.clock,
            random=random.Random(7),
            timers=Timers(initial_ms=20),
        )
        provider.world.pass_ms(job.due_ms - provider.clock() - 1)
        assert await enforcer.step() == 0.001
        await enforcer.drain()
        assert nas.requests == []
        provider.world.pass_ms(1)
        await enforcer.step()
        await enforcer.drain()
        assert len(nas.requests) == 1
    await provider.told(STOP, 600, 0, 0)
    assert await provider.money() == (0, 0)
    assert await provider.jobs() == []


# Going on


async def test_a_session_that_is_not_understood_leaves_the_others_going(
    provider: Provider,
) -> None:
    await provider.subscribe(5 * MB)
    await provider.told(START)
    await provider.world.book(f"{NAS}|bad", "acme", nas=NAS, state=b"\xc1", quiet=1)
    provider.world.pass_ms(QUIET_MS)
    await swept(provider)
    assert not (await provider.session()).open
    assert (await provider.session("bad")).open
    await provider.told(AcctStatus.ACCOUNTING_ON, session="", user=None)
    await swept(provider)
    provider.world.pass_ms(LEASE_MS)
    await swept(provider)
    assert [type(entry) for entry in await provider.entries()] == [Opened, Closed]


async def test_what_a_killed_sweeper_took_comes_up_again(provider: Provider) -> None:
    await provider.subscribe(5 * MB)
    await provider.told(START)
    provider.world.pass_ms(QUIET_MS)
    taken = await provider.world.sweeps.due(CHUNK, LEASE_MS)
    assert [each.session for each in taken.sessions] == [f"{NAS}|s1"]
    await swept(provider)
    assert (await provider.session()).open
    provider.world.pass_ms(LEASE_MS)
    await swept(provider)
    assert not (await provider.session()).open


async def test_it_sleeps_until_the_next_is_due_and_no_longer_than_a_notice_may_take(
    provider: Provider,
) -> None:
    assert await provider.sweeper.sweep() == 0.25
    await provider.subscribe(5 * MB)
    await provider.told(START)
    assert await provider.sweeper.sweep() == 0.25
    provider.world.pass_ms(QUIET_MS - 100)
    assert await provider.sweeper.sweep() == 0.1


async def test_it_goes_on_when_the_store_was_away(provider: Provider) -> None:
    await provider.subscribe(5 * MB)
    await provider.told(START)
    provider.world.pass_ms(QUIET_MS)
    await provider.world.keeping.fence("the balances are being rebuilt")
    stop = asyncio.Event()
    pauses: list[float] = []

    async def wait(seconds: float) -> None:
        pauses.append(seconds)
        await provider.world.keeping.fence("")
        if len(pauses) == 2:
            stop.set()

    await provider.sweeper.run(stop, wait)
    assert pauses == [1.0, 0.25]
    assert await closings(provider) == ["lost"]


async def test_a_session_that_cannot_be_rated_keeps_no_other_waiting(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = Rater.give_up

    def faulty(self: Rater, key: str, *arguments: Any, **named: Any) -> Step | Deferred | None:
        if key.endswith("faulty"):
            raise ZeroDivisionError("a fault of the program")
        return really(self, key, *arguments, **named)

    monkeypatch.setattr(Rater, "give_up", faulty)
    await provider.subscribe(5 * MB)
    for session in ("faulty", "well"):
        await provider.told(START, session=session)
    provider.world.pass_ms(QUIET_MS)
    with capture_logs() as lines:
        await provider.sweeper.sweep()
    assert "a session cannot be rated" in {line["event"] for line in lines}
    assert not (await provider.session("well")).open
    assert (await provider.session("faulty")).open
