"""Sessions rated after all: in full, once, and only when somebody is there to pay."""

import asyncio

import pytest

from balances.connection import Connection
from billing.database import Connection as Database
from billing.errors import Conflict, NotFound
from billing.ledger.statement import balance
from billing.review import listings, resolving
from radius.records import AcctStatus
from ratewire.archive import Archive
from ratewire.rerating import Rerated, rerate, rerate_all
from ratewire.wiring import System, now
from tests.ratewire.office import Office
from tests.ratewire.provider import INTERIM, NAS, START, STOP, Provider
from tests.ratewire.today import today

MB = 1_000_000
#: What 100 MB cost by the plan `metered`.
PRICE = 200_000


async def settled(system: System) -> None:
    settler = await system.settler()
    while await settler.settle_once(100):
        pass


async def strange(
    system: System, connection: Connection, *kinds: AcctStatus, session: str = "s1"
) -> Provider:
    """Bob reports before anybody knows him; the last report is of 60 s and 100 MB."""
    provider = today(connection)
    for kind in kinds:
        counters = (0, 0, 0) if kind is START else (60, 0, 100 * MB)
        await provider.told(kind, *counters, session=session)
        provider.world.pass_ms(60_000)
    await settled(system)
    return provider


async def rated(system: System, conn: Database, session: str = "s1") -> Rerated:
    return await rerate(system, conn, NAS, session, "bob", actor="eve", now=now())


async def test_a_session_of_a_new_subscriber_is_charged_in_full_and_once(
    system: System, office: Office, connection: Connection
) -> None:
    provider = await strange(system, connection, START, STOP)
    async with (await system.pool()).acquire() as conn:
        with pytest.raises(Conflict, match="is not known: add it first"):
            await rated(system, conn)
        await office.subscribe(5 * MB)
        done = await rated(system, conn)
        assert (done.account, done.total_micros, done.currency) == ("acme", PRICE, "EUR")
        assert await provider.money() == (5 * MB - PRICE, 0)
        assert await listings.unrated(conn) == []
        (kept,) = await resolving.resolutions(conn)
        assert (kept.outcome, kept.actor) == ("rerated", "eve")
        with pytest.raises(NotFound):
            await rated(system, conn)
        await settled(system)
        assert await balance(conn, "acme") == 5 * MB - PRICE


async def test_a_session_that_goes_on_is_not_charged_twice(
    system: System, office: Office, connection: Connection
) -> None:
    """Its next report charges everything; rating the old one adds nothing."""
    provider = await strange(system, connection, START, INTERIM)
    await office.subscribe(5 * MB)
    await provider.told(INTERIM, 120, 0, 150 * MB)
    async with (await system.pool()).acquire() as conn:
        assert (await rated(system, conn)).total_micros == PRICE * 3 // 2
        assert await listings.unrated(conn) == []
    assert (await provider.money())[0] == 5 * MB - PRICE * 3 // 2


async def test_killed_before_it_left_the_list_it_is_charged_once_all_the_same(
    system: System, office: Office, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = await strange(system, connection, STOP)
    await office.subscribe(5 * MB)

    async def killed(*_arguments: object, **_named: object) -> None:
        raise asyncio.CancelledError

    async with (await system.pool()).acquire() as conn:
        with monkeypatch.context() as patch:
            patch.setattr("ratewire.rerating.resolve", killed)
            with pytest.raises(asyncio.CancelledError):
                await rated(system, conn)
        assert len(await listings.unrated(conn)) == 1
        assert (await rated(system, conn)).total_micros == PRICE
    assert (await provider.money())[0] == 5 * MB - PRICE


async def test_a_start_of_a_session_that_the_store_forgot_begins_none(
    system: System, office: Office, connection: Connection
) -> None:
    """What is known in Postgres of its end holds: nothing more is charged."""
    await strange(system, connection, START)
    await office.subscribe(5 * MB)
    provider = today(connection)
    worker = provider.worker(archive=Archive(system))
    provider.world.pass_ms(60_000)
    assert await provider.say(provider.report(STOP, 60, 0, 100 * MB), to=worker) == [True]
    await settled(system)
    await connection.command("DEL", f"rw:{{0}}:s:{NAS}|s1")
    async with (await system.pool()).acquire() as conn:
        await rated(system, conn)
        await settled(system)
        assert await balance(conn, "acme") == 5 * MB - PRICE
        assert await conn.fetchval("SELECT count(*) FROM accounting_sessions") == 1


async def test_all_of_a_user_each_for_itself(
    system: System, office: Office, connection: Connection
) -> None:
    for session in ("s1", "s2"):
        await strange(system, connection, STOP, session=session)
    await office.subscribe(5 * MB)
    async with (await system.pool()).acquire() as conn:
        await conn.execute(
            "UPDATE unrated_records SET reason = 'other_user' WHERE acct_session_id = 's1'"
        )
        done = await rerate_all(system, conn, "bob", limit=10, actor="eve", now=now())
        assert {each.acct_session_id: each.total_micros for each in done} == {
            "s1": None,
            "s2": PRICE,
        }
        [refused] = [each.refusal for each in done if each.refusal is not None]
        assert "write it off" in refused
        assert [each.acct_session_id for each in await listings.unrated(conn)] == ["s1"]
