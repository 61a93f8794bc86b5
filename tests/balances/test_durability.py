"""What was acknowledged is there after a kill, and a torn log leaves books that are right."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from balances.connection import Connection
from balances.entries import JOB_FIELD
from balances.errors import StoreEmpty, StoreUnavailable
from balances.messages import Post, Status
from tests.balances.server import Server, redis_program, serving, valkey_program
from tests.balances.world import BEGINNING, GENERATION, LEASE_MS, World, store_world

PROGRAMS: dict[str, Callable[[], Path]] = {"valkey": valkey_program, "redis": redis_program}

#: What each account is given at first; each later post is one micro less.
OPENING = 10_000

ACCOUNTS = tuple(f"a{number}" for number in range(4))


async def connected(server: Server) -> tuple[Connection, World]:
    connection = Connection(server.url)
    return connection, store_world(connection)


async def begin(connection: Connection, world: World) -> None:
    await connection.load()
    await world.keeping.initialise(GENERATION)
    for account in ACCOUNTS:
        await world.fund(OPENING, account)


async def check_books(world: World) -> dict[bytes, int]:
    """Check all that hangs together; return how often each entry is in the stream."""
    audits = await world.keeping.inspect(ACCOUNTS)
    books = await world.keeping.books()
    stream = await world.stream.entries_after(BEGINNING, 100_000)
    assert [entry.position.sequence for entry in stream] == list(
        range(1, books.position.sequence + 1)
    )
    spent = dict.fromkeys(ACCOUNTS, 0)
    charges: dict[str, list[int]] = {account: [] for account in ACCOUNTS}
    seen: dict[bytes, int] = {}
    for entry in stream:
        for field, value in entry.items:
            seen[value] = seen.get(value, 0) + 1
            if field != JOB_FIELD:
                account, charge, _ = value.decode().split(":")
                charges[account].append(int(field))
                spent[account] += int(charge)
    live = {job.uid for job in await world.jobs.live_jobs(1000)}
    cutting: set[str] = set()
    for audit in audits:
        if audit is None:
            continue
        account = audit.account
        posted = sum(OPENING - number for number in range(account.moved - 1))
        assert account.balance == posted - spent[account.account]
        assert account.reserved == audit.held
        assert charges[account.account] == list(range(1, account.charged + 1))
        for number in range(3):
            stored = (await world.find(f"n{number}|{account.account}")).session
            if stored is not None and stored.cutting:
                cutting.add(stored.uid.hex())
    assert cutting == live
    there = [audit.account for audit in audits if audit]
    totals = books.totals.get("EUR")
    if totals is not None:
        assert totals.balance == sum(account.balance for account in there)
        assert totals.reserved == sum(account.reserved for account in there)
    assert books.accounts == len(there)
    assert books.open_sessions == sum(audit.sessions for audit in audits if audit)
    return seen


@pytest.mark.parametrize("kind", PROGRAMS)
async def test_what_was_acknowledged_survives_a_kill(tmp_path: Path, kind: str) -> None:
    program = PROGRAMS[kind]()
    acknowledged: list[bytes] = []
    with serving(program, tmp_path) as server:
        connection, world = await connected(server)
        await begin(connection, world)

        async def keep_reporting(session: str, account: str) -> None:
            number = 0
            while True:
                number += 1
                entry = f"{account}:1:{session}/{number}".encode()
                step = await world.step(session, account, charge=1, want=7, entries=(entry,))
                (status,) = await world.statuses(step)
                if status is Status.COMMITTED:
                    acknowledged.append(entry)
                    if len(acknowledged) == 300:
                        server.kill()

        outcomes = await asyncio.gather(
            *(
                keep_reporting(f"n{number}|{account}", account)
                for account in ACCOUNTS
                for number in (0, 1)
            ),
            return_exceptions=True,
        )
        assert {type(outcome) for outcome in outcomes} == {StoreUnavailable}
        await connection.close()
    with serving(program, tmp_path) as server:
        connection, world = await connected(server)
        seen = await check_books(world)
        assert set(acknowledged) <= set(seen)
        assert set(seen.values()) == {1}
        # What was sent and not answered may be there: one a worker at most.
        assert len(seen) <= len(acknowledged) + len(outcomes)
        await connection.close()


async def report(world: World, turn: int, number: int, account: str) -> None:
    """One record: it opens a session, goes on, has it cut, or closes it."""
    charge = 10 * (turn + number)
    closes, is_cut = number == turn - 1, number == turn
    await world.book(
        f"n{number}|{account}",
        account,
        charge=charge,
        want=0 if closes else 900,
        open=not closes,
        cut_after_ms=0 if is_cut else None,
        entries=(f"{account}:{charge}:{turn}".encode(), f"{account}:0:{number}".encode()),
    )


async def a_rich_history(world: World) -> None:
    """Sessions opened, cut, granted anew and closed; money in; jobs through their states."""
    for turn in range(3):
        for account in ACCOUNTS:
            for number in range(3):
                await report(world, turn, number, account)
            moved = (await world.account(account)).moved
            await world.movements.apply([Post(account, moved + 1, OPENING + 1 - moved)])
        for job in (await world.jobs.claim_jobs(2, LEASE_MS)).jobs:
            await world.jobs.may_transmit(job.uid, LEASE_MS)
            await world.jobs.report_job(job.uid, "refused", "", 503, 10)
        await world.jobs.request_disconnect(f"n2|{ACCOUNTS[turn]}")
        world.pass_ms(1000)
        await world.due()


def log_of(directory: Path) -> Path:
    """The part of the append-only file that grows."""
    (path,) = (directory / "appendonlydir").glob("*.incr.aof")
    return path


@pytest.mark.parametrize("kind", PROGRAMS)
async def test_a_log_torn_anywhere_leaves_books_that_are_right(tmp_path: Path, kind: str) -> None:
    """What a function did is one transaction in the log: it is there as a whole or not at all."""
    program = PROGRAMS[kind]()
    with serving(program, tmp_path) as server:
        connection, world = await connected(server)
        await connection.load()
        beginning = log_of(tmp_path).stat().st_size
        await begin(connection, world)
        await a_rich_history(world)
        whole = await check_books(world)
        await connection.close()
        server.stop()
    log = log_of(tmp_path).read_bytes()
    tail = len(log) - beginning
    assert log[beginning:].count(b"MULTI") > 50
    # From the end, so that each cut only shortens what the one before left.
    cuts = sorted({beginning + tail * part // 60 for part in range(1, 60)}, reverse=True)
    found = len(whole)
    for cut in cuts:
        log_of(tmp_path).write_bytes(log[:cut])
        with serving(program, tmp_path) as server:
            connection, world = await connected(server)
            seen = await check_books_if_any(world)
            assert len(seen) <= found
            found = len(seen)
            await connection.close()
    assert found < len(whole) // 10


async def check_books_if_any(world: World) -> dict[bytes, int]:
    try:
        return await check_books(world)
    except StoreEmpty:
        return {}
