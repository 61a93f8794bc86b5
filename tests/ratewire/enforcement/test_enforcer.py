"""From the exhausting record to the proof, with a NAS on real UDP that answers by pyrad.

The store's clock is the test's, so that minutes of silence pass at once; only retransmissions take
real time, by timers of the RFC's shape a hundred times as fast.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from balances.entries import JOB_FIELD, Closed, decode_job_event
from balances.jobs import Job
from balances.messages import CutCause
from radius.dynauth import Timers
from radius.profiles import builtin_profiles
from ratewire.enforcement.decisions import ALERT_MS, PROOF_WAIT_MS, RETRY_MS
from ratewire.enforcement.enforcer import IN_FLIGHT, LEASE_MS, Enforcer
from ratewire.enforcement.lanes import FIRST_PLACES, LONGEST_WAIT_MS, SHORTEST_WAIT_MS
from ratewire.enforcement.subjects import Subjects
from ratewire.nas import NasDirectory
from ratewire.pipeline.raters import PlanReader
from tests.balances.world import BEGINNING
from tests.ratewire.enforcement.nas import Behaviour, Nas, ack, listening, nak, silence
from tests.ratewire.provider import INTERIM, NAS, START, STOP, Provider
from tests.ratewire.records import HOURLY, METERED

KEY = f"{NAS}|s1"
MB = 1_000_000
FAST = Timers(initial_ms=20, maximum_ms=160, transmissions=5, duration_ms=1000)


@pytest.fixture
def provider(any_provider: Provider) -> Provider:
    return any_provider


@pytest.fixture
async def nas() -> AsyncIterator[Nas]:
    async with listening(ack) as peer:
        yield peer


def enforcer_of(
    provider: Provider, nas: Nas, *, timers: Timers = FAST, directory: NasDirectory | None = None
) -> Enforcer:
    known = directory or nas.directory()
    return Enforcer(
        provider.world.jobs,
        provider.sweeper,
        Subjects(provider.world.hot, PlanReader(provider.world.directory)),
        lambda: known,
        provider.observer,
        clock_ms=provider.clock,
        random=random.Random(7),
        timers=timers,
    )


@pytest.fixture
def enforcer(provider: Provider, nas: Nas) -> Enforcer:
    return enforcer_of(provider, nas)


async def carried_out(enforcer: Enforcer) -> None:
    """Carry out what is due now."""
    await enforcer.step()
    await enforcer.drain()


async def exhausted(provider: Provider) -> None:
    """Bob's credit is used up, and more: his session is to be cut at once."""
    await provider.subscribe(50_000)
    await provider.told(START)
    provider.world.pass_ms(60_000)
    await provider.told(INTERIM, 60, 0, 30 * MB)


async def only_job(provider: Provider) -> Job:
    [job] = await provider.jobs()
    return job


async def events(provider: Provider) -> list[str]:
    """What happened to jobs, in order."""
    found = await provider.world.stream.entries_after(BEGINNING, 1000)
    items = [value for entry in found for field, value in entry.items if field == JOB_FIELD]
    return [decode_job_event(item).event for item in items]


# Proof


async def test_the_stop_that_follows_an_ack_is_the_proof(
    provider: Provider, enforcer: Enforcer, nas: Nas
) -> None:
    await exhausted(provider)
    await carried_out(enforcer)
    [request] = nas.requests
    assert (request["User-Name"], request["Acct-Session-Id"]) == (["bob"], ["s1"])
    assert request["Event-Timestamp"] == [provider.clock() // 1000]
    job = await only_job(provider)
    assert (job.state, job.result, job.attempts) == ("acknowledged", "ack", 1)
    assert (await provider.session()).open, "an ACK is no proof"
    provider.world.pass_ms(500)
    await provider.told(STOP, 61, 0, 31 * MB)
    assert await provider.jobs() == []
    assert await events(provider) == ["acknowledged", "proven"]
    assert await provider.money() == (50_000 - 62_000, 0)


@pytest.mark.parametrize(
    ("behaviour", "state"), [(ack, "acknowledged"), (nak(503), "gone")], ids=["ack", "nak 503"]
)
async def test_silence_is_proof_too_and_closes_the_session(
    provider: Provider, enforcer: Enforcer, nas: Nas, behaviour: Behaviour, state: str
) -> None:
    nas.behaviour = behaviour
    await exhausted(provider)
    await carried_out(enforcer)
    assert (await only_job(provider)).state == state
    interval_ms = 60_000 * 5 // 4
    provider.world.pass_ms(PROOF_WAIT_MS)
    await carried_out(enforcer)
    provider.world.pass_ms(interval_ms - PROOF_WAIT_MS - 1)
    await carried_out(enforcer)
    assert (await provider.session()).open
    provider.world.pass_ms(1)
    await carried_out(enforcer)
    assert not (await provider.session()).open
    closed = (await provider.entries())[-1]
    assert isinstance(closed, Closed)
    assert closed.reason == "lost"
    assert await provider.jobs() == []
    assert (await events(provider))[-1] == "proven"
    assert len(nas.requests) == 1


async def test_a_session_that_goes_on_reporting_is_cut_again(
    provider: Provider, enforcer: Enforcer, nas: Nas
) -> None:
    """Some NASes acknowledge and do nothing; what they report is charged meanwhile."""
    await exhausted(provider)
    await carried_out(enforcer)
    provider.world.pass_ms(60_000)
    await provider.told(INTERIM, 120, 0, 40 * MB)
    await carried_out(enforcer)
    assert len(nas.requests) == 2
    assert nas.requests[1]["Event-Timestamp"] == [provider.clock() // 1000]
    job = await only_job(provider)
    assert (job.state, job.attempts) == ("acknowledged", 2)
    assert (await provider.money())[0] == 50_000 - 80_000


async def test_a_report_between_the_look_and_the_closing_keeps_the_session(
    provider: Provider, enforcer: Enforcer, nas: Nas
) -> None:
    """It was silent when the job was claimed, and reports before it is closed."""
    await exhausted(provider)
    await carried_out(enforcer)
    provider.world.pass_ms(75_000)
    await enforcer.step()  # claims, and has not looked yet
    await provider.told(INTERIM, 135, 0, 40 * MB)
    await enforcer.drain()
    assert (await provider.session()).open
    provider.world.pass_ms(LEASE_MS)
    await carried_out(enforcer)
    assert len(nas.requests) == 2


# Refusals


async def test_a_nas_that_does_not_take_one_set_of_attributes_is_asked_by_the_next(
    provider: Provider, enforcer: Enforcer, nas: Nas
) -> None:
    def takes_no_user_name(attributes: dict[str, list[Any]], request: bytes) -> bytes:
        return nak(404)(attributes, request) if "User-Name" in attributes else ack({}, request)

    nas.behaviour = takes_no_user_name
    await exhausted(provider)
    await carried_out(enforcer)
    asked = [
        sorted(set(each) - {"Event-Timestamp", "Message-Authenticator"}) for each in nas.requests
    ]
    assert asked == [["Acct-Session-Id", "User-Name"], ["Acct-Session-Id"]]
    assert (await only_job(provider)).state == "acknowledged"


@pytest.mark.parametrize("cause", [404, 501, 9999])
async def test_a_nas_that_refuses_every_set_raises_an_alert(
    provider: Provider, enforcer: Enforcer, nas: Nas, cause: int
) -> None:
    nas.behaviour = nak(cause)
    await exhausted(provider)
    await carried_out(enforcer)
    job = await only_job(provider)
    assert (job.state, job.result, job.error_cause) == ("refused", f"nak {cause}", cause)
    assert job.due_ms == provider.clock() + ALERT_MS
    assert provider.observer.counts["disconnect_alerts"] == 1
    assert len(nas.requests) == (1 if cause == 501 else 3)
    await provider.told(INTERIM, 61, 0, 31 * MB)
    assert (await only_job(provider)).due_ms == job.due_ms, "a report brings no new try"


async def test_a_nas_that_is_not_configured_any_more_raises_an_alert(
    provider: Provider, nas: Nas
) -> None:
    await exhausted(provider)
    await carried_out(enforcer_of(provider, nas, directory=NasDirectory(2, {}, {})))
    job = await only_job(provider)
    assert (job.state, job.result) == ("refused", "no such NAS client")
    assert nas.requests == []


# Silence


async def test_a_silent_nas_is_asked_by_the_schedule_of_the_rfc_and_then_later_and_later(
    provider: Provider, enforcer: Enforcer, nas: Nas
) -> None:
    nas.behaviour = silence
    await exhausted(provider)
    await carried_out(enforcer)
    assert len(nas.datagrams) == 5
    assert len(set(nas.datagrams)) == 1, "retransmissions are the same octets"
    gaps = [later - sooner for sooner, later in zip(nas.times, nas.times[1:], strict=False)]
    for gap, nominal in zip(gaps, (0.02, 0.04, 0.08, 0.16), strict=True):
        assert gap > nominal * 0.75
    job = await only_job(provider)
    assert (job.state, job.result, job.attempts) == ("unanswered", "timed_out", 5)
    assert job.due_ms == provider.clock() + RETRY_MS

    provider.world.pass_ms(RETRY_MS)
    await carried_out(enforcer)
    assert len(nas.datagrams) == 10
    job = await only_job(provider)
    assert job.due_ms == provider.clock() + 2 * RETRY_MS
    assert provider.observer.counts["disconnect_timed_out"] == 2


async def test_a_nas_that_comes_back_is_asked_until_it_obeys(
    provider: Provider, enforcer: Enforcer, nas: Nas
) -> None:
    def wakes_up(_attributes: dict[str, list[Any]], request: bytes) -> bytes | None:
        return ack({}, request) if len(nas.datagrams) == 3 else None

    nas.behaviour = wakes_up
    await exhausted(provider)
    await carried_out(enforcer)
    job = await only_job(provider)
    assert (job.state, job.attempts) == ("acknowledged", 3)
    assert provider.observer.counts["disconnect_ack"] == 1


async def test_a_nas_that_does_not_answer_holds_up_no_other(provider: Provider, nas: Nas) -> None:
    """Its jobs are more than an enforcer carries out at a time, and each takes 30 seconds."""
    await provider.subscribe(0)
    many = [
        provider.report(START, session=f"s{n}", client="pop2", nas="pop2/dead")
        for n in range(IN_FLIGHT + 90)
    ]
    assert all(await provider.say(*many))
    async with listening(silence) as dead:
        directory = NasDirectory(
            1,
            nas.directory().clients | dead.directory("pop2", "10.0.0.2").clients,
            builtin_profiles(),
        )
        enforcer = enforcer_of(provider, nas, timers=Timers(), directory=directory)
        stop = asyncio.Event()
        running = asyncio.create_task(enforcer.run(stop, asyncio.sleep))
        await asyncio.wait_for(dead.asked.wait(), 5)
        provider.world.pass_ms(SHORTEST_WAIT_MS)  # and those put off are due again
        began = time.monotonic()
        await provider.told(START)
        await asyncio.wait_for(nas.asked.wait(), 5)
        assert time.monotonic() - began < 0.5
        assert len(set(dead.datagrams)) == FIRST_PLACES
        stop.set()
        await running


async def test_a_thousand_dead_nases_hold_up_no_other(provider: Provider, nas: Nas) -> None:
    """Neither one that is known to answer nor one of which nothing is known, and which comes last.

    By timers five times as fast as the RFC's an exchange with a dead one takes 12 seconds.
    """
    timers = Timers(initial_ms=400, maximum_ms=16_000, transmissions=5, duration_ms=30_000)
    await provider.subscribe(0)
    await provider.told(START, session="known")
    async with listening(silence) as dead, listening(ack) as other:
        directory = NasDirectory(
            1,
            nas.directory().clients
            | dead.directory("pop2", "10.0.0.2").clients
            | other.directory("pop3", "10.0.0.3").clients,
            builtin_profiles(),
        )
        enforcer = enforcer_of(provider, nas, timers=timers, directory=directory)
        await carried_out(enforcer)
        nas.asked.clear()
        many = [
            provider.report(START, session=f"s{n}", client="pop2", nas=f"pop2/{n}")
            for n in range(1000)
        ]
        assert all(await provider.say(*many))
        last = provider.report(START, session="new", client="pop3", nas="pop3/new")
        assert await provider.say(last) == [True]
        stop = asyncio.Event()
        began = time.monotonic()

        async def wait(seconds: float) -> None:
            provider.world.pass_ms(round(seconds * 1000))
            await asyncio.sleep(seconds)

        running = asyncio.create_task(enforcer.run(stop, wait))
        await asyncio.wait_for(dead.asked.wait(), 5)
        await provider.told(START, session="again")
        await asyncio.wait_for(nas.asked.wait(), 5)
        known = time.monotonic() - began
        await asyncio.wait_for(other.asked.wait(), 20)
        unknown = time.monotonic() - began
        stop.set()
        await running
        assert max(known, unknown) < 9, (known, unknown)


async def test_a_nas_that_was_silent_is_probed_and_then_sent_all_its_jobs(
    provider: Provider, enforcer: Enforcer, nas: Nas
) -> None:
    nas.behaviour = silence
    await provider.subscribe(0)
    count = 40
    starts = [provider.report(START, session=f"s{number}") for number in range(count)]
    assert all(await provider.say(*starts))
    await carried_out(enforcer)
    assert len(set(nas.datagrams)) == FIRST_PLACES
    for _ in range(2):
        nas.datagrams.clear()
        provider.world.pass_ms(LONGEST_WAIT_MS)
        await carried_out(enforcer)
        assert len(set(nas.datagrams)) == 1, "a probe alone"

    nas.behaviour = ack
    for _ in range(10):
        provider.world.pass_ms(LONGEST_WAIT_MS)
        await carried_out(enforcer)
    jobs = await provider.jobs()
    assert [job.state for job in jobs] == ["acknowledged"] * count


# The cause


async def test_a_top_up_before_the_transmission_ends_the_job(
    provider: Provider, enforcer: Enforcer, nas: Nas
) -> None:
    await exhausted(provider)
    await provider.world.top_up(5 * MB, "acme")
    await carried_out(enforcer)
    assert nas.requests == []
    assert await provider.sweeper.sweep() == 0
    assert await provider.jobs() == []
    assert (await events(provider))[-1] == "cancelled"
    assert (await provider.session()).held > 0


async def test_a_top_up_between_two_transmissions_ends_the_retries(
    provider: Provider, enforcer: Enforcer, nas: Nas
) -> None:
    """The NAS is silent; the money comes after the first datagram, and no second one follows."""
    nas.behaviour = silence
    await exhausted(provider)
    await enforcer.step()
    await nas.asked.wait()
    await provider.world.top_up(5 * MB, "acme")
    await enforcer.drain()
    assert len(nas.datagrams) == 1
    assert provider.observer.counts["disconnect_cancelled"] == 1
    while await provider.sweeper.sweep() == 0:
        pass
    assert await provider.jobs() == []


async def test_a_stop_between_two_transmissions_ends_the_retries(
    provider: Provider, enforcer: Enforcer, nas: Nas
) -> None:
    nas.behaviour = silence
    await exhausted(provider)
    await enforcer.step()
    await nas.asked.wait()
    await provider.told(STOP, 61, 0, 30 * MB)
    await enforcer.drain()
    assert len(nas.datagrams) == 1
    assert await provider.jobs() == []


async def test_less_than_the_minimum_credit_ends_nothing(
    provider: Provider, enforcer: Enforcer, nas: Nas
) -> None:
    """Who logs in again and again with too little is cut each time, until there is enough."""
    picky = msgspec.structs.replace(METERED, version=2, minimum_credit_micros=MB)
    await provider.publish(METERED, HOURLY, picky)
    await provider.subscribe(MB - 1)
    await provider.told(START)
    await carried_out(enforcer)
    assert len(nas.requests) == 1
    assert (await provider.money())[1] == 0
    provider.world.pass_ms(PROOF_WAIT_MS)
    await provider.told(INTERIM, 10, 0, 0)
    await carried_out(enforcer)
    await provider.world.top_up(1, "acme")
    while await provider.sweeper.sweep() == 0:
        pass
    assert await provider.jobs() == []
    assert (await provider.session()).held == 40_000


async def test_a_person_s_disconnect_is_not_ended_by_credit(
    provider: Provider, enforcer: Enforcer, nas: Nas
) -> None:
    await provider.subscribe(5 * MB)
    await provider.told(START)
    assert await provider.world.jobs.request_disconnect(KEY) is not None
    await provider.world.top_up(MB, "acme")
    await carried_out(enforcer)
    assert len(nas.requests) == 1
    assert (await only_job(provider)).cause == CutCause.OPERATOR.name.lower()


# Enforcers that die


async def test_the_job_of_a_killed_enforcer_is_taken_after_its_lease(
    provider: Provider, enforcer: Enforcer, nas: Nas
) -> None:
    nas.behaviour = silence
    await exhausted(provider)
    stop = asyncio.Event()
    running = asyncio.create_task(enforcer.run(stop, asyncio.sleep))
    await nas.asked.wait()
    running.cancel()  # nothing is noted: it is as if it had been killed
    await asyncio.gather(running, return_exceptions=True)
    stop.set()
    await asyncio.wait_for(enforcer.run(stop, asyncio.sleep), 5)  # ends its transmissions
    assert (await only_job(provider)).state == "sending"

    nas.behaviour = ack
    sent = len(nas.datagrams)
    other = enforcer_of(provider, nas)
    await carried_out(other)
    provider.world.pass_ms(LEASE_MS - 1)
    await carried_out(other)
    assert len(nas.datagrams) == sent, "while the lease lasts"
    provider.world.pass_ms(1)
    await carried_out(other)
    assert len(nas.datagrams) == sent + 1
    assert (await only_job(provider)).state == "acknowledged"


async def test_two_enforcers_share_the_jobs(provider: Provider, nas: Nas) -> None:
    await provider.subscribe(0)
    starts = [provider.report(START, session=f"s{number}") for number in range(20)]
    assert await provider.say(*starts) == [True] * 20
    both = [enforcer_of(provider, nas) for _ in range(2)]
    for _ in range(20 // FIRST_PLACES):
        await asyncio.gather(*(carried_out(each) for each in both))
        provider.world.pass_ms(SHORTEST_WAIT_MS)
    asked = [request["Acct-Session-Id"][0] for request in nas.requests]
    assert sorted(asked) == sorted(f"s{number}" for number in range(20))


async def test_a_job_that_is_not_understood_leaves_the_others_going(
    provider: Provider, enforcer: Enforcer, nas: Nas
) -> None:
    await exhausted(provider)
    await provider.world.book(f"{NAS}|bad", "acme", nas=NAS, state=b"\xc1", cut_after_ms=0)
    await carried_out(enforcer)
    assert len(nas.requests) == 1
    assert {job.session: job.state for job in await provider.jobs()} == {
        KEY: "acknowledged",
        f"{NAS}|bad": "scheduled",
    }


async def test_it_goes_on_when_the_store_was_away(
    provider: Provider, enforcer: Enforcer, nas: Nas
) -> None:
    await exhausted(provider)
    await provider.world.keeping.fence("the balances are being rebuilt")
    stop = asyncio.Event()
    pauses: list[float] = []

    async def wait(seconds: float) -> None:
        pauses.append(seconds)
        await provider.world.keeping.fence("")
        await asyncio.sleep(0.001)

    running = asyncio.create_task(enforcer.run(stop, wait))
    await asyncio.wait_for(nas.asked.wait(), 5)
    stop.set()
    await running
    assert pauses[0] == 1.0
