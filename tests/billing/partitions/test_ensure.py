"""Partitions are made ahead, once, by whoever comes first, with the guards of their parents."""

import asyncio
from datetime import UTC, datetime, timedelta, timezone

import asyncpg
import pytest

from billing.database import Connection, Pool
from billing.partitions.ensure import ensure

DECEMBER = datetime(2031, 12, 31, 23, 59, 59, tzinfo=UTC)
NAMES = [
    f"{table}_{month}"
    for table in ("ledger_postings", "usage_records")
    for month in ("2031_12", "2032_01", "2032_02")
]


async def test_the_current_month_and_those_ahead_are_made(conn: Connection) -> None:
    assert await ensure(conn, DECEMBER, ahead=2) == NAMES


async def test_repeating_it_makes_only_what_is_missing(conn: Connection) -> None:
    await ensure(conn, DECEMBER, ahead=2)
    assert await ensure(conn, DECEMBER, ahead=2) == []
    later = await ensure(conn, DECEMBER + timedelta(seconds=1), ahead=2)
    assert later == ["ledger_postings_2032_03", "usage_records_2032_03"]


async def test_several_at_once_make_each_partition_once(pool: Pool) -> None:
    async def one() -> list[str]:
        async with pool.acquire() as conn:
            return await ensure(conn, DECEMBER, ahead=2)

    made = await asyncio.gather(*(one() for _ in range(6)))
    assert sorted(name for names in made for name in names) == sorted(NAMES)


async def test_months_are_those_of_utc(conn: Connection) -> None:
    await conn.execute("SET timezone = 'Pacific/Kiritimati'")
    west = DECEMBER.astimezone(timezone(timedelta(hours=-12)))
    assert await ensure(conn, west, ahead=0) == [NAMES[0], NAMES[3]]
    await conn.execute("SET timezone = 'UTC'")  # how the bounds are shown
    bounds = await conn.fetchval(
        "SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relname = $1", NAMES[0]
    )
    assert bounds == "FOR VALUES FROM ('2031-12-01 00:00:00+00') TO ('2032-01-01 00:00:00+00')"


async def test_nobody_who_writes_is_kept_waiting(pool: Pool, now: datetime) -> None:
    # A settlement that is under way holds its locks on the parent until it commits.
    async with pool.acquire() as writer, pool.acquire() as maker, writer.transaction():
        await writer.execute("LOCK TABLE ledger_postings, usage_records IN ROW EXCLUSIVE MODE")
        assert await asyncio.wait_for(ensure(maker, DECEMBER, ahead=2), 10) == NAMES


@pytest.mark.parametrize("table", [NAMES[0], NAMES[3]])
async def test_a_partition_is_as_append_only_as_its_parent(conn: Connection, table: str) -> None:
    await ensure(conn, DECEMBER, ahead=0)
    for change in (f"DELETE FROM {table}", f"INSERT INTO {table} DEFAULT VALUES"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied"):
            await conn.execute(change)
    await conn.execute("SET ROLE NONE")
    for change in (f"DELETE FROM {table}", f"TRUNCATE {table}"):
        with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="append-only"):
            await conn.execute(change)
