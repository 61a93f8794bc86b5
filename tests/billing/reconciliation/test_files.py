"""Files are kept once, whole or not at all."""

import asyncio

import asyncpg
import pytest

from billing.database import Connection, Pool
from billing.errors import InvalidInput, NotFound
from billing.reconciliation import files, line
from billing.reconciliation.line import State
from billing.reconciliation.statement import Unreadable
from tests.billing.reconciliation.bank import Booked, camt
from tests.billing.reconciliation.conftest import bring

pytestmark = pytest.mark.usefixtures("business")

PAID, FEE, COMING = Booked("35.69", "INV-2026-00001"), Booked("-5.00"), Booked("1", status="PDNG")


async def test_a_file_imported_twice_at_once_and_again_is_there_once(
    conn: Connection, pool: Pool
) -> None:
    content = camt(PAID, FEE, COMING)

    async def at_once() -> bool:
        async with pool.acquire() as mine:
            return (await bring(mine, content)).repeated

    repeated = await asyncio.gather(*[at_once() for _ in range(4)])
    assert sorted(repeated) == [False, True, True, True]
    again = await bring(conn, content, "another name.xml")
    assert again.repeated
    [kept] = await files.list_(conn)
    assert kept == again.file
    assert kept.lines == {State.NEW: 1, State.IGNORED: 1, State.PENDING: 1}
    assert await files.content_of(conn, kept.file_id) == ("a.xml", content)
    assert [each.reason for each in await line.list_(conn)] == [
        "",
        "money that went out",
        "the bank has not booked it yet",
    ]
    with pytest.raises(asyncpg.PostgresError, match=r"permission denied|append-only"):
        await conn.execute("UPDATE bank_files SET name = 'x'")


async def test_a_half_corrupt_file_leaves_nothing(conn: Connection) -> None:
    broken = camt(PAID, FEE, PAID).replace(b"<CdtDbtInd>DBIT", b"<CdtDbtInd>?", 1)
    with pytest.raises(Unreadable, match="entry 2"):
        await bring(conn, broken)
    assert await files.list_(conn) == []
    assert await line.list_(conn) == []


async def test_a_line_of_an_earlier_file_is_a_duplicate_in_a_later_one(conn: Connection) -> None:
    await bring(conn, camt(PAID, COMING))
    later = await bring(conn, camt(PAID, Booked("1"), FEE, opening="200.00"), "b.xml")
    assert later.file.lines == {State.DUPLICATE: 1, State.NEW: 1, State.IGNORED: 1}
    duplicate = (await line.list_(conn, file_id=later.file.file_id))[0]
    assert duplicate.reason.startswith("it is line 1, of file 1")


async def test_what_cannot_be_a_file_is_refused(conn: Connection) -> None:
    with pytest.raises(InvalidInput, match="needs a name"):
        await bring(conn, camt(PAID), " ")
    with pytest.raises(InvalidInput, match="0 octets"):
        await bring(conn, b"")
    with pytest.raises(NotFound):
        await files.get(conn, 7)
    with pytest.raises(NotFound):
        await files.content_of(conn, 7)
