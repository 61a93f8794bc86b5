"""Operators have sessions cut, changed, and given their plan anew: over the real store."""

import msgspec
import pytest

from balances.connection import Connection
from balances.entries import Closed, Opened
from balances.jobs import Action
from balances.messages import decode_state
from billing.errors import InvalidInput, NotFound
from ratewire.orders import Which, change, chosen, disconnect
from ratewire.wiring import System
from rating.access import Access
from tests.ratewire.office import Office
from tests.ratewire.provider import INTERIM, START, STOP
from tests.ratewire.records import HOURLY, METERED
from tests.ratewire.today import today

MB = 1_000_000


async def test_sessions_are_chosen_by_all_that_is_given(
    system: System, office: Office, connection: Connection
) -> None:
    await office.subscribe(5 * MB)
    provider = today(connection)
    await provider.told(START, session="one")
    await provider.told(START, session="two", nas="pop2/x")
    [one, two] = sorted(await chosen(system, Which(user="bob")), key=lambda each: each.session)
    assert len(await chosen(system, Which(account="acme"))) == 2
    assert await chosen(system, Which(nas="pop2")) == [two]
    assert await chosen(system, Which(nas="pop1/bras", user="bob")) == [one]
    assert await chosen(system, Which(session=one.stored.uid.hex()[:30].upper())) == [one]
    assert await chosen(system, Which(account="acme", user="amy")) == []
    assert await chosen(system, Which(plan="hourly")) == []
    with pytest.raises(InvalidInput, match="session, user, account, nas and plan"):
        await chosen(system, Which())


async def test_all_of_a_user_are_cut(
    system: System, office: Office, connection: Connection
) -> None:
    await office.subscribe(5 * MB)
    provider = today(connection)
    await provider.told(START, session="one")
    await provider.told(START, session="two")
    assert len(await disconnect(system, Which(user="bob"))) == 2
    assert [job.cause for job in await system.housekeeping.live_jobs(9)] == ["operator"] * 2
    with pytest.raises(NotFound, match="no session of user amy is open"):
        await disconnect(system, Which(user="amy"))


@pytest.mark.parametrize(
    ("action", "wanted"),
    [
        (Action.THROTTLE, "fast"),
        (Action.REDIRECT, ""),
        (Action.REDIRECT, "x" * 65),
        (Action.RESTORE, "x"),
        (Action.CUT, ""),
    ],
)
async def test_what_cannot_be_is_refused(system: System, action: Action, wanted: str) -> None:
    with pytest.raises(InvalidInput):
        await change(system, Which(user="bob"), action, wanted)


async def test_a_throttle_is_a_job(system: System, office: Office, connection: Connection) -> None:
    await office.subscribe(5 * MB)
    await today(connection).told(START)
    [uid] = await change(system, Which(user="bob"), Action.THROTTLE, "1000/500")
    [job] = await system.housekeeping.live_jobs(9)
    assert (job.uid, job.action, job.wanted) == (f"{uid}-change", "throttle", "1000/500")


async def test_open_sessions_take_a_new_plan_and_each_part_is_charged_by_its_own(
    system: System, office: Office, connection: Connection
) -> None:
    await office.subscribe(5 * MB)
    provider = today(connection)
    await provider.publish(METERED, HOURLY)
    await provider.told(START)
    await provider.told(INTERIM, 600, 0, 100 * MB)
    before = await provider.session()
    await provider.world.subscribe("bob", "acme", "hourly")
    [uid] = await change(system, Which(user="bob"), Action.PLAN)
    after = await provider.session()
    assert (after.uid.hex(), after.uid != before.uid, after.open) == (uid, True, True)
    state = decode_state(after.state)
    assert (state.plan, state.meter.total_micros) == ("hourly", 0)
    [job] = await provider.jobs()
    assert (job.action, job.uid) == ("plan", f"{uid}-change")
    stopped = provider.clock() // 1000 + 600
    await provider.told(STOP, 1200, 0, 900 * MB, event_time=stopped)
    # 100 MB at 2 a GB, then 600 s at 0.60 an hour.
    assert (await provider.money())[0] == 5 * MB - 200_000 - 100_000
    closed = [each for each in await provider.entries() if isinstance(each, Closed)]
    assert [(each.reason, each.total_micros) for each in closed] == [
        ("plan_changed", 200_000),
        ("stop", 100_000),
    ]
    second = [each for each in await provider.entries() if isinstance(each, Opened)][1]
    assert (second.plan, second.base.octets_out) == ("hourly", 100 * MB)


async def test_who_has_the_plan_already_is_told_its_speed_alone(
    system: System, office: Office, connection: Connection
) -> None:
    await office.subscribe(5 * MB)
    provider = today(connection)
    await provider.publish(METERED)
    await provider.told(START)
    before = (await provider.session()).uid
    assert await change(system, Which(plan="metered"), Action.PLAN) == [before.hex()]
    faster = msgspec.structs.replace(
        METERED, version=2, access=Access(rate_down_kbps=9000, rate_up_kbps=900)
    )
    await provider.publish(METERED, faster)
    [uid] = await change(system, Which(plan="metered"), Action.PLAN)
    assert uid != before.hex()
    assert decode_state((await provider.session()).state).plan_version == 2
