"""Services are billed and served from the day that they start to the day that they end."""

import asyncio
from datetime import date, datetime, timedelta
from itertools import pairwise

import pytest

from balances.messages import AnyMovement, DropSubscriber, PutSubscriber, decode_movement
from billing.accounts import register as accounts
from billing.accounts.account import AccountStatus
from billing.coupons import register as coupons
from billing.coupons.discount import Terms
from billing.coupons.register import Coupon
from billing.cycles import schedule
from billing.database import Connection, Pool
from billing.errors import Conflict, InvalidInput, NotFound
from billing.services import listing, provisioning, register
from billing.services.history import OfferVersion, ServiceState, TermOf
from billing.services.register import When

SMALL, LARGE = OfferVersion("small", 1), OfferVersion("large", 1)
TODAY = date(2026, 3, 14)


async def moved(conn: Connection) -> list[AnyMovement]:
    rows = await conn.fetch("SELECT movement FROM store_outbox ORDER BY sequence")
    await conn.execute("DELETE FROM store_outbox")
    return [decode_movement(row[0]) for row in rows]


async def begun(conn: Connection, now: datetime, username: str | None = "al") -> int:
    entry = await register.order(conn, "alice", "small", username=username, actor="staff", now=now)
    await register.start(conn, entry.service, actor="staff", now=now)
    return entry.service


async def test_a_service_that_starts_is_billed_today_and_its_subscriber_on_its_plan(
    world: Connection, now: datetime
) -> None:
    ordered = await register.order(world, "alice", "small", username="al", actor="staff", now=now)
    assert ordered.state_on(TODAY) is ServiceState.ORDERED
    assert await schedule.find(world, "alice") is None
    started = await register.start(world, ordered.service, actor="staff", now=now)
    assert started.terms == (TermOf(TODAY, None, SMALL),)
    assert started.state_on(TODAY) is ServiceState.ACTIVE
    billed = await schedule.get(world, "alice")
    assert (billed.next_bill_on, billed.changed_since) == (TODAY, TODAY)
    [put] = await moved(world)
    assert isinstance(put, PutSubscriber)
    assert (put.username, put.plan) == ("al", "basic")
    assert [(e.event, e.effective_on, e.offer) for e in await listing.events(world, 1)] == [
        ("ordered", None, "small"),
        ("started", TODAY, "small"),
    ]


async def test_an_upgrade_is_now_and_a_downgrade_at_the_end_of_the_cycle(
    world: Connection, now: datetime
) -> None:
    service = await begun(world, now)
    later = now + timedelta(days=10)
    up = await register.change(world, service, "large", actor="staff", now=later)
    assert up.terms[-1] == TermOf(date(2026, 3, 24), None, LARGE)
    await moved(world)
    down = await register.change(world, service, "small", actor="staff", now=later)
    assert down.terms[1:] == (
        TermOf(date(2026, 3, 24), date(2026, 4, 14), LARGE),
        TermOf(date(2026, 4, 14), None, SMALL),
    )
    assert await moved(world) == []
    day = datetime(2026, 4, 14, tzinfo=now.tzinfo)
    assert await provisioning.provision_due(world, day - timedelta(seconds=1)) == 0
    assert await provisioning.provision_due(world, day) == 1
    [put] = await moved(world)
    assert isinstance(put, PutSubscriber)
    assert put.plan == "basic"
    assert await provisioning.provision_due(world, day + timedelta(days=1)) == 0
    kept = await register.change(
        world, service, "large", when=When.PERIOD_END, actor="staff", now=later
    )
    assert kept.terms[1:] == (TermOf(date(2026, 3, 24), None, LARGE),)


async def test_a_pause_takes_the_subscriber_out_and_a_season_brings_it_back(
    world: Connection, now: datetime
) -> None:
    service = await begun(world, now)
    await moved(world)
    with pytest.raises(Conflict, match="begins on 2026-03-14"):
        await register.pause(world, service, reason="at once", actor="staff", now=now)
    until, day = TODAY + timedelta(days=30), now + timedelta(days=1)
    await register.pause(world, service, until=until, reason="winter", actor="staff", now=day)
    assert [type(m) for m in await moved(world)] == [DropSubscriber]
    assert (await listing.get(world, service)).state_on(day.date()) is ServiceState.PAUSED
    assert await provisioning.provision_due(world, now + timedelta(days=30)) == 1
    assert [type(m) for m in await moved(world)] == [PutSubscriber]
    again = now + timedelta(days=31)
    await register.pause(world, service, reason="again", actor="staff", now=again)
    await register.resume(world, service, actor="staff", now=again + timedelta(days=2))
    assert [type(m) for m in await moved(world)] == [DropSubscriber, PutSubscriber]


async def test_a_cancelled_service_is_not_served_and_cannot_be_changed(
    world: Connection, now: datetime
) -> None:
    service = await begun(world, now)
    await moved(world)
    end = now + timedelta(days=5)
    gone = await register.cancel(world, service, reason="moved", actor="staff", now=end)
    assert gone.terms == (TermOf(TODAY, TODAY + timedelta(days=5), SMALL),)
    assert [type(m) for m in await moved(world)] == [DropSubscriber]
    assert (await schedule.get(world, "alice")).next_bill_on == TODAY
    for change in (
        register.change(world, service, "large", actor="s", now=end),
        register.cancel(world, service, reason="", actor="s", now=end),
        register.resume(world, service, actor="s", now=end),
    ):
        with pytest.raises(Conflict, match="was cancelled, from 2026-03-19 on"):
            await change
    # and the user name is free for another service
    await begun(world, end)


async def test_a_service_starts_with_the_first_session_of_its_subscriber(
    world: Connection, now: datetime
) -> None:
    entry = await register.order(
        world, "alice", "small", username="al", activates_by_use=True, actor="staff", now=now
    )
    assert await register.start_used(world, now) == 0
    await world.execute(
        "INSERT INTO accounting_sessions (session_uid, session_key, nas, acct_session_id, epoch,"
        " username, account_id, plan, plan_version, currency, started_at, opened_at, base_seconds,"
        " base_octets_in, base_octets_out, identity) VALUES (gen_random_uuid(), 'n|1', 'n', '1', 0,"
        " 'al', 'alice', 'slow', 1, 'EUR', $1, $1, 0, 0, 0, '')",
        now - timedelta(days=2),
    )
    assert await register.start_used(world, now) == 1
    started = await listing.get(world, entry.service)
    assert started.terms == (TermOf(date(2026, 3, 12), None, SMALL),)
    assert await register.start_used(world, now) == 0


async def test_days_are_those_of_the_accounts_zone(world: Connection) -> None:
    await world.execute("UPDATE customer_billing_accounts SET time_zone = 'Pacific/Auckland'")
    late = datetime.fromisoformat("2026-03-14T11:00:00+00:00")  # midnight there
    for moment, day in ((late - timedelta(seconds=1), 14), (late, 15)):
        entry = await register.order(world, "alice", "tv", actor="staff", now=moment)
        started = await register.start(world, entry.service, actor="staff", now=moment)
        assert started.terms[0].starts_on == date(2026, 3, day)


async def test_throttled_subscribers_are_on_another_plan_until_they_are_not(
    world: Connection, now: datetime
) -> None:
    service = await begun(world, now)
    await moved(world)
    async with world.transaction():
        assert await provisioning.throttle(world, "alice", "slow", now)
        assert not await provisioning.throttle(world, "alice", "slow", now)
    await register.change(world, service, "large", actor="staff", now=now)
    async with world.transaction():
        assert await provisioning.unthrottle(world, "alice", now)
        assert not await provisioning.unthrottle(world, "alice", now)
    plans = [m.plan for m in await moved(world) if isinstance(m, PutSubscriber)]
    assert plans == ["slow", "slow", "fast"]
    with pytest.raises(NotFound, match="plan none"):
        async with world.transaction():
            await provisioning.throttle(world, "alice", "none", now)


async def test_promotions_are_given_to_who_starts_a_service_in_their_scope(
    world: Connection, now: datetime
) -> None:
    for code, offers_, valid_until in (
        ("spring", ("small",), None),
        ("tv-only", ("tv",), None),
        ("over", (), TODAY),
    ):
        terms = Terms(basis_points=1000, offers=offers_)
        coupon = Coupon(
            code=code, description=code, terms=terms, promotion=True, valid_until=valid_until
        )
        await coupons.create(world, coupon, now)
    await begun(world, now)
    [had] = (await coupons.redeemed_by(world, ["alice"]))["alice"]
    assert had.code == "spring"


async def test_what_cannot_be_is_refused(world: Connection, now: datetime) -> None:
    service = await begun(world, now)
    await accounts.create(world, "bob", "USD", now=now)
    refused = [
        (InvalidInput, "quantity is 0", register.order(
            world, "alice", "small", quantity=0, actor="s", now=now)),
        (InvalidInput, "without a subscriber", register.order(
            world, "alice", "small", activates_by_use=True, actor="s", now=now)),
        (NotFound, "offer none", register.order(world, "alice", "none", actor="s", now=now)),
        (NotFound, "subscriber nobody", register.order(
            world, "alice", "small", username="nobody", actor="s", now=now)),
        (Conflict, "has a service already", register.order(
            world, "alice", "small", username="al", actor="s", now=now)),
        (Conflict, "is in EUR, account bob in USD", register.order(
            world, "bob", "small", actor="s", now=now)),
        (NotFound, "service 99", register.start(world, 99, actor="s", now=now)),
        (Conflict, "has begun on", register.start(world, service, actor="s", now=now)),
        (InvalidInput, "can be changed from 2025-03-13 on", register.cancel(
            world, service, on=date(2025, 1, 1), reason="", actor="s", now=now)),
    ]  # fmt: skip
    for kind, message, work in refused:
        with pytest.raises(kind, match=message):
            await work
    assert len(await listing.list_(world, "alice")) == 1
    await accounts.set_status(world, "alice", AccountStatus.CLOSED, now=now)
    with pytest.raises(Conflict, match="is closed"):
        await register.order(world, "alice", "tv", actor="s", now=now)


async def test_two_changes_at_once_come_one_after_the_other(
    world: Connection, pool: Pool, now: datetime
) -> None:
    service = await begun(world, now)

    async def change(days: int) -> None:
        async with pool.acquire() as conn:
            offer = "large" if days % 2 else "small"
            await register.change(
                conn, service, offer, on=TODAY + timedelta(days=days), actor="s", now=now
            )

    await asyncio.gather(*(change(days) for days in range(1, 7)), return_exceptions=True)
    terms = (await listing.get(world, service)).terms
    assert all(a.ends_on == b.starts_on for a, b in pairwise(terms))
