"""What a change is to each NAS: by CoA with what its profile says, or a cut where it cannot."""

import random
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from balances.entries import JOB_FIELD, Freed, decode_job_event
from balances.jobs import Action, Change
from balances.messages import ClaimedJob, decode_state
from radius.dynauth import Timers
from radius.profiles import builtin_profiles
from ratewire.enforcement.changes import Cannot, SpeedError, attributes_for, speed_of
from ratewire.enforcement.decisions import ALERT_MS
from ratewire.enforcement.enforcer import Enforcer
from ratewire.enforcement.subjects import Subjects
from ratewire.nas import NasDirectory
from ratewire.pipeline.raters import PlanReader
from rating.access import PLAIN, Access
from rating.quantity import Counters
from tests.balances.world import BEGINNING
from tests.ratewire.enforcement.nas import Nas, ack, listening, nak
from tests.ratewire.provider import INTERIM, NAS, START, Provider
from tests.ratewire.records import METERED

PROFILES = builtin_profiles()
KEY = f"{NAS}|s1"
MB = 1_000_000
ADDRESSED = {1: b"bob", 44: b"s1", 32: b"bras", 8: b"\n\0\0\5"}  # MikroTik's hotspot needs it
FAST = Timers(initial_ms=20, maximum_ms=160, transmissions=2, duration_ms=1000)
PORTAL = msgspec.structs.replace(
    METERED,
    version=2,
    access=Access(
        rate_down_kbps=20_000,
        rate_up_kbps=5_000,
        garden="portal",
        garden_plan="metered",
        garden_running=True,
        garden_suspended=True,
    ),
)


def change(treatment: str, pending: str, wanted: str = "", applied: str = "") -> ClaimedJob:
    action = pending.rpartition(",")[2]
    return ClaimedJob(
        "x-change", KEY, "policy", "scheduled", 0, 0, None, action, treatment, wanted, pending,  # pyright: ignore[reportArgumentType]
        applied,
    )  # fmt: skip


def sent(job: ClaimedJob, vendor: str, access: Access = PLAIN) -> list[bytes] | str:
    """The values of what is sent, or why the NAS cannot."""
    found = attributes_for(job, PROFILES[vendor], access, [(27, b"time")], began_in_garden=False)
    return found.why if isinstance(found, Cannot) else [value for _, value in found]


FAST_PLAN = Access(rate_down_kbps=20_000, rate_up_kbps=5_000)


def test_a_throttle_is_the_speed_alone() -> None:
    job = change("throttle", "throttle", "1000/500")
    [value] = sent(job, "mikrotik-ppp")
    assert str(value).endswith("500k/1000k'")


def test_restoring_brings_the_speed_of_the_plan_and_its_limits() -> None:
    job = change("", "restore", applied="throttle")
    rate, limits = sent(job, "mikrotik-ppp", FAST_PLAN)
    assert str(rate).endswith("5000k/20000k'")
    assert limits == b"time"
    lifted, _ = sent(job, "mikrotik-ppp")
    assert str(lifted).endswith("0/0'")


def test_a_nas_that_forgets_is_told_all() -> None:
    """CoovaChilli takes limits off that a CoA-Request does not repeat."""
    up, down, limits = sent(change("throttle", "quota", "1000/500", "throttle"), "coovachilli")
    assert str(up).endswith("\\x07\\xa1 '")  # 500,000 bit/s
    assert (len(down), limits) == (len(up), b"time")


def test_a_redirect_names_the_garden_and_leaving_it_the_profile_of_all() -> None:
    [value] = sent(change("redirect", "redirect", "portal"), "mikrotik-hotspot")
    assert str(value).endswith("portal'")
    values = sent(change("", "restore", applied="redirect"), "mikrotik-hotspot")
    assert str(values[0]).endswith("default'")


def test_a_throttle_ends_a_redirect() -> None:
    job = change("throttle", "throttle", "1000/500", "redirect")
    assert [str(value)[-8:-1] for value in sent(job, "mikrotik-hotspot")] == [
        "default",
        "k/1000k",
    ]


@pytest.mark.parametrize(
    ("job", "vendor"),
    [
        (change("throttle", "throttle", "1000/500"), "generic"),
        (change("throttle", "throttle", "1000/500"), "ocserv"),
        (change("redirect", "redirect", "portal"), "coovachilli"),
        (change("", "restore", applied="redirect"), "mikrotik-ppp"),
        (change("", "restore", applied="throttle"), "accel-ppp"),
        (change("", "plan"), "generic"),
    ],
)
def test_what_a_nas_cannot(job: ClaimedJob, vendor: str) -> None:
    access = FAST_PLAN if "plan" in job.pending else PLAIN
    profile = msgspec.structs.replace(
        PROFILES[vendor],
        rate=msgspec.structs.replace(
            PROFILES[vendor].rate, attributes=PROFILES[vendor].rate.attributes or ("Filter-Id = x",)
        ),
    )
    assert isinstance(attributes_for(job, profile, access, [], began_in_garden=False), Cannot)


def test_limits_alone_are_nothing_to_who_takes_none() -> None:
    assert sent(change("", "quota"), "hostapd") == []


def test_who_began_in_a_garden_logs_in_anew() -> None:
    job = change("", "restore")
    found = attributes_for(job, PROFILES["mikrotik-hotspot"], PLAIN, [], began_in_garden=True)
    assert isinstance(found, Cannot)


def test_speeds() -> None:
    assert speed_of("2000/500") == (2000, 500)
    for wrong in ("", "2000", "2000/", "0/5", "a/b", "-1/5", "1/4294967296"):
        with pytest.raises(SpeedError):
            speed_of(wrong)


# Through the enforcer, to a NAS on real UDP


@pytest.fixture
def provider(any_provider: Provider) -> Provider:
    return any_provider


@pytest.fixture
async def nas() -> AsyncIterator[Nas]:
    async with listening(ack) as peer:
        yield peer


def enforcer_of(provider: Provider, nas: Nas, vendor: str) -> Enforcer:
    known = nas.directory()
    client = msgspec.structs.replace(known.clients["pop1"], vendor=vendor)
    directory = NasDirectory(1, {"pop1": client}, PROFILES)
    return Enforcer(
        provider.world.jobs,
        provider.sweeper,
        Subjects(provider.world.hot, PlanReader(provider.world.directory)),
        lambda: directory,
        provider.observer,
        clock_ms=provider.clock,
        random=random.Random(7),
        timers=FAST,
    )


async def carried_out(enforcer: Enforcer) -> None:
    await enforcer.step()
    await enforcer.drain()


async def events(provider: Provider) -> list[tuple[str, str]]:
    found = await provider.world.stream.entries_after(BEGINNING, 1000)
    items = [value for entry in found for field, value in entry.items if field == JOB_FIELD]
    decoded = [decode_job_event(item) for item in items]
    return [(event.action or "cut", event.event) for event in decoded]


async def ask(provider: Provider, action: Action, wanted: str = "") -> None:
    assert await provider.world.jobs.request_change(KEY, Change(action, wanted))


async def test_throttled_restored_and_proven_by_the_ack(provider: Provider, nas: Nas) -> None:
    enforcer = enforcer_of(provider, nas, "mikrotik-ppp")
    await provider.publish(PORTAL)
    await provider.subscribe(5 * MB)
    await provider.told(START, attributes=ADDRESSED)
    await ask(provider, Action.THROTTLE, "1000/500")
    await carried_out(enforcer)
    await ask(provider, Action.RESTORE)
    await carried_out(enforcer)
    throttle, restore = nas.requests
    assert throttle["Mikrotik-Rate-Limit"] == ["500k/1000k"]
    assert throttle["Acct-Session-Id"] == ["s1"]
    assert restore["Mikrotik-Rate-Limit"] == ["5000k/20000k"]
    # Two a MB each way and 5 EUR: in seconds without a limit.
    assert "Session-Timeout" not in restore
    assert await provider.jobs() == []
    assert await events(provider) == [
        ("throttle", "requested"),
        ("throttle", "in_force"),
        ("restore", "requested"),
        ("restore", "in_force"),
    ]


async def test_a_quota_counts_what_there_is_now(provider: Provider, nas: Nas) -> None:
    """From the start of the session for CoovaChilli: what it has used, and what credit buys."""
    enforcer = enforcer_of(provider, nas, "coovachilli")
    await provider.subscribe(1 * MB)
    await provider.told(START, attributes=ADDRESSED)
    provider.world.pass_ms(60_000)
    await provider.told(INTERIM, 60, 0, 30 * MB)
    await provider.world.top_up(1 * MB, "acme")
    await ask(provider, Action.QUOTA)
    await carried_out(enforcer)
    [request] = nas.requests
    assert request["ChilliSpot-Max-Total-Octets"] == [1000 * MB]


async def test_what_the_nas_cannot_ends_in_a_cut(provider: Provider, nas: Nas) -> None:
    enforcer = enforcer_of(provider, nas, "generic")
    await provider.subscribe(5 * MB)
    await provider.told(START, attributes=ADDRESSED)
    await ask(provider, Action.THROTTLE, "1000/500")
    await carried_out(enforcer)
    assert nas.requests == []
    change_job, cut = sorted(await provider.jobs(), key=lambda job: job.action, reverse=True)
    assert (cut.action, cut.cause) == ("cut", "operator")
    assert change_job.state == "refused"
    assert "cut instead" in change_job.result
    await carried_out(enforcer)
    assert len(nas.requests) == 1


async def test_a_nak_is_kept_and_tried_again(provider: Provider, nas: Nas) -> None:
    nas.behaviour = nak(506)
    enforcer = enforcer_of(provider, nas, "mikrotik-ppp")
    await provider.subscribe(5 * MB)
    await provider.told(START, attributes=ADDRESSED)
    await ask(provider, Action.THROTTLE, "1000/500")
    await carried_out(enforcer)
    [job] = await provider.jobs()
    assert (job.state, job.result, job.error_cause, job.attempts) == (
        "unanswered",
        "nak 506",
        506,
        1,
    )
    nas.behaviour = ack
    provider.world.pass_ms(ALERT_MS)
    await carried_out(enforcer)
    assert await provider.jobs() == []


class TestTheGarden:
    """A plan may have it that who has no credit is redirected, and not cut."""

    async def exhausted(self, provider: Provider) -> None:
        await provider.publish(PORTAL)
        await provider.subscribe(50_000)
        await provider.told(START, attributes=ADDRESSED)
        provider.world.pass_ms(60_000)
        await provider.told(INTERIM, 60, 0, 30 * MB)

    async def test_a_session_without_credit_is_redirected_and_not_charged_there(
        self, provider: Provider, nas: Nas
    ) -> None:
        enforcer = enforcer_of(provider, nas, "mikrotik-hotspot")
        await self.exhausted(provider)
        await carried_out(enforcer)
        [request] = nas.requests
        assert request["Mikrotik-Group"] == ["portal"]
        [job] = await provider.jobs()
        assert (job.action, job.state, job.gardened) == ("cut", "gardened", True)
        balance = (await provider.money())[0]
        provider.world.pass_ms(60_000)
        await provider.told(INTERIM, 120, 0, 31 * MB)
        assert (await provider.money())[0] == balance, "the portal is free"
        [freed] = [each for each in await provider.entries() if isinstance(each, Freed)]
        assert freed.base == Counters(60, 0, MB), "and stays so when the books are rebuilt"
        await carried_out(enforcer)
        assert len(nas.requests) == 1
        await provider.world.top_up(5 * MB, "acme")
        await provider.sweeper.sweep()
        await carried_out(enforcer)
        assert nas.requests[1]["Mikrotik-Group"] == ["default"]
        assert await provider.jobs() == []
        assert not decode_state((await provider.session()).state).garden
        provider.world.pass_ms(60_000)
        await provider.told(INTERIM, 180, 0, 32 * MB)
        assert (await provider.money())[0] == balance + 5 * MB - 2_000
        assert await events(provider) == [
            ("cut", "gardened"),
            ("cut", "cancelled"),
            ("restore", "requested"),
            ("restore", "in_force"),
        ]

    async def test_where_the_nas_refuses_it_is_cut(self, provider: Provider, nas: Nas) -> None:
        def refuse(attributes: dict[str, list[Any]], request: bytes) -> bytes:
            return (nak(405) if "Mikrotik-Group" in attributes else ack)(attributes, request)

        nas.behaviour = refuse
        enforcer = enforcer_of(provider, nas, "mikrotik-hotspot")
        await self.exhausted(provider)
        await carried_out(enforcer)
        assert ["Mikrotik-Group" in request for request in nas.requests] == [True, False]
        [job] = await provider.jobs()
        assert job.state == "acknowledged"

    @pytest.mark.parametrize("vendor", ["generic", "coovachilli"])
    async def test_where_the_nas_cannot_it_is_cut(
        self, provider: Provider, nas: Nas, vendor: str
    ) -> None:
        enforcer = enforcer_of(provider, nas, vendor)
        await self.exhausted(provider)
        await carried_out(enforcer)
        assert len(nas.requests) == 1
        [job] = await provider.jobs()
        assert (job.state, job.gardened) == ("acknowledged", False)

    async def test_so_is_who_is_suspended_until_resumed(self, provider: Provider, nas: Nas) -> None:
        enforcer = enforcer_of(provider, nas, "mikrotik-hotspot")
        await provider.publish(PORTAL)
        await provider.subscribe(5 * MB)
        await provider.told(START, attributes=ADDRESSED)
        await provider.world.status("acme", suspended=True)
        await provider.sweeper.sweep()
        await carried_out(enforcer)
        await provider.world.status("acme", suspended=False)
        await provider.sweeper.sweep()
        await carried_out(enforcer)
        groups = [request["Mikrotik-Group"] for request in nas.requests]
        assert groups == [["portal"], ["default"]]
        assert await provider.jobs() == []
