"""The queue: part of the transaction that fills it."""

import pytest

from billing.database import Connection, Pool
from billing.upkeep.jobs import Job, enqueue


async def waiting(conn: Connection) -> list[tuple[str, bytes | None, str | None]]:
    rows = await conn.fetch("SELECT entrypoint, payload, dedupe_key FROM pgqueuer ORDER BY id")
    return [tuple(row) for row in rows]


async def test_a_job_is_enqueued_with_its_transaction(conn: Connection) -> None:
    transaction = conn.transaction()
    await transaction.start()
    assert await enqueue(conn, Job.PARTITIONS, payload=b"rolled back")
    await transaction.rollback()
    async with conn.transaction():
        assert await enqueue(conn, Job.PARTITIONS, payload=b"committed")
    assert await waiting(conn) == [("partitions", b"committed", None)]


async def test_a_key_is_enqueued_once_and_spoils_no_transaction(pool: Pool) -> None:
    async with pool.acquire() as conn, conn.transaction():
        assert await enqueue(conn, Job.PARTITIONS, key="k")
        assert not await enqueue(conn, Job.PARTITIONS, key="k")
        assert await enqueue(conn, Job.PARTITIONS, key="other")
    async with pool.acquire() as conn:
        assert [key for _, _, key in await waiting(conn)] == ["k", "other"]


@pytest.mark.parametrize("name", ["CHANNEL", "FUNCTION", "QUEUE_TABLE", "PGQUEUER_PREFIX"])
async def test_the_environment_does_not_rename_tables(
    conn: Connection, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "somewhere_else")
    assert await enqueue(conn, Job.PARTITIONS)
    assert len(await waiting(conn)) == 1
