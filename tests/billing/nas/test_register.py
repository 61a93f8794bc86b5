"""The register of NASes: what is kept, what is refused, and what listeners are told."""

import asyncio
from datetime import datetime

import pytest

from billing.database import Connection, Pool
from billing.errors import Conflict, InvalidInput, NotFound
from billing.nas import register
from billing.nas.client import NasEntry, decode_client, secret_purpose
from billing.sealing.keyring import Keyring

RING = Keyring([b"k" * 32])


async def revision(conn: Connection) -> int:
    return await conn.fetchval("SELECT revision FROM publications WHERE what = 'nas'")


async def test_a_nas_that_is_added_is_listed_and_published(conn: Connection, now: datetime) -> None:
    added = await register.add(
        conn,
        RING,
        "pop1",
        source="192.0.2.0/24",
        secret=b"testing123",
        vendor="mikrotik",
        coa_host="192.0.2.9",
        coa_port=3799,
        coa_bind="192.0.2.5",
        signs_logins=False,
        now=now,
    )
    await register.add(conn, RING, "any", source="::/0", secret=b"s", now=now)
    assert added == NasEntry(
        "pop1", "192.0.2.0/24", "mikrotik", "192.0.2.9", 3799, now, "192.0.2.5", False
    )
    assert await register.list_(conn) == [
        NasEntry("any", "::/0", "generic", None, None, now),
        added,
    ]
    published = await register.published(conn)
    assert set(published) == {"any", "pop1"}
    client = decode_client(published["pop1"])
    assert (client.name, client.source, client.vendor) == ("pop1", "192.0.2.0/24", "mikrotik")
    assert (client.coa_host, client.coa_port) == ("192.0.2.9", 3799)
    assert (client.coa_bind, client.signs_logins) == ("192.0.2.5", False)
    assert decode_client(published["any"]).signs_logins is None
    assert RING.unseal(client.secret_sealed, secret_purpose("pop1")) == b"testing123"
    assert await revision(conn) == 2


async def test_the_secret_is_nowhere_in_the_clear(conn: Connection, now: datetime) -> None:
    await register.add(conn, RING, "pop1", source="192.0.2.1", secret=b"testing123", now=now)
    row = await conn.fetchrow("SELECT nas_clients::text FROM nas_clients")
    assert row is not None
    assert "testing123" not in row[0]
    assert b"testing123".hex() not in row[0]


async def test_the_same_source_or_name_twice_is_refused(conn: Connection, now: datetime) -> None:
    await register.add(conn, RING, "pop1", source="192.0.2.0/24", secret=b"s", now=now)
    with pytest.raises(Conflict, match="NAS pop1 exists already"):
        await register.add(conn, RING, "pop1", source="192.0.2.0/24", secret=b"s", now=now)
    with pytest.raises(Conflict, match=r"source 192\.0\.2\.0/24 is that of NAS pop1"):
        await register.add(conn, RING, "pop2", source="::ffff:192.0.2.0/120", secret=b"s", now=now)
    assert await revision(conn) == 1


async def test_a_network_inside_another_is_fine(conn: Connection, now: datetime) -> None:
    for name, source in (("all", "10.0.0.0/8"), ("some", "10.1.0.0/16"), ("one", "10.1.0.1")):
        await register.add(conn, RING, name, source=source, secret=b"s", now=now)
    assert len(await register.list_(conn)) == 3


async def test_of_several_who_add_the_same_one_succeeds(pool: Pool, now: datetime) -> None:
    async def add(number: int) -> bool:
        async with pool.acquire() as conn:
            try:
                await register.add(
                    conn, RING, f"n{number}", source="192.0.2.1", secret=b"s", now=now
                )
            except Conflict:
                return False
            return True

    assert sorted(await asyncio.gather(*(add(number) for number in range(6)))) == [False] * 5 + [
        True
    ]


async def test_what_cannot_be_is_refused_and_nothing_is_published(
    conn: Connection, now: datetime
) -> None:
    with pytest.raises(InvalidInput):
        await register.add(conn, RING, "a b", source="192.0.2.1", secret=b"s", now=now)
    with pytest.raises(InvalidInput):
        await register.add(conn, RING, "a", source="192.0.2.1", secret=b"s", vendor="", now=now)
    assert await register.list_(conn) == []
    assert await revision(conn) == 0


async def test_a_nas_that_is_removed_is_gone(conn: Connection, now: datetime) -> None:
    await register.add(conn, RING, "pop1", source="192.0.2.1", secret=b"s", now=now)
    await register.remove(conn, "pop1")
    assert await register.published(conn) == {}
    assert await revision(conn) == 2
    with pytest.raises(NotFound, match="pop1"):
        await register.remove(conn, "pop1")
    assert await revision(conn) == 2
