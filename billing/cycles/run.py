"""Runs: billing all accounts that are due, in chunks, each in one transaction.

What was billed is not due any more, so a run that died is simply gone on with, and any number may
run at once: each takes accounts that no other has taken. An account that cannot be billed is parked
and holds up no other.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import Final

import asyncpg
import msgspec
import structlog

from billing.cycles import parking
from billing.cycles.bill import Bill, bill
from billing.cycles.booking import Made, book
from billing.cycles.calendar import local_day
from billing.cycles.drafting import draft, finalize_reviewed
from billing.cycles.loading import Held, Loaded, OfferCache, held, hold_due, load_accounts
from billing.cycles.proposal import Contradiction
from billing.database import Connection, Pool, refused
from billing.entities import register as entities
from billing.entities.entity import MAIN
from billing.errors import BillingError, NotFound
from billing.invoices import charges
from billing.partitions.ensure import ensure
from billing.statements import load

SQL = load(__package__, "queries.sql")

_log = structlog.get_logger(__name__)

ACTOR: Final = "billing"

#: Accounts that are billed in one transaction.
CHUNK: Final = 200

#: Chunks that are billed at once: Postgres writes one while another is computed.
LANES: Final = 2

#: Told how many bills were made, and how many accounts were due when the run began.
Progress = Callable[[int, int], None]


class RunView(msgspec.Struct, frozen=True, kw_only=True):
    """A run and what came of it so far. `amounts_micros` is by currency, without tax.

    `bills` counts an account once for each day on which a bill was due: after a standstill there
    may be several.
    """

    run: int
    at: datetime
    account: str | None
    actor: str
    began_at: datetime
    ended_at: datetime | None
    approved_at: datetime | None
    approved_by: str | None
    accounts_due: int
    bills: int
    billed: int
    parked: int
    amounts_micros: dict[str, int]


class Outcome(msgspec.Struct, frozen=True):
    """What a run did to an account: billed, nothing (there was nothing to bill), or parked."""

    outcome_id: int
    account: str
    bill_on: date
    outcome: str
    currency: str
    items: int
    amount_micros: int
    invoice: int | None
    detail: str


async def run(
    pool: Pool,
    *,
    at: datetime,
    actor: str,
    now: datetime,
    progress: Progress = lambda _done, _of: None,
) -> RunView:
    """Bill all accounts that are due at `at`; go on with a run that has not ended, if there is one.

    Can be killed anywhere and begun again. Raises NotFound if there is no legal entity that could
    issue invoices, and what `billing.database.unavailable` knows; what was billed stays so.
    """
    async with pool.acquire() as conn:
        await entities.get_many(conn, [MAIN])  # without a seller nothing can be billed
        number, due = await _begin(conn, at, actor, now)
        await ensure(conn, now, 1)
        # Once, by itself: in a chunk it would hold up the settler for as long as that takes.
        async with conn.transaction():
            await charges.cut_off(conn, at)
    done, cache = 0, OfferCache()

    def tell(bills: int) -> None:
        nonlocal done
        done += bills
        progress(done, due)

    lanes = [
        asyncio.create_task(_bill_all(pool, number, at, cache, now, tell)) for _ in range(LANES)
    ]
    try:
        await asyncio.gather(*lanes)
    finally:
        for lane in lanes:
            lane.cancel()
        await asyncio.wait(lanes)
    async with pool.acquire() as conn:
        await conn.execute(SQL["end_run"], number, now)
        return await view(conn, number)


async def is_due(conn: Connection, at: datetime) -> bool:
    """Return whether a run at `at` would have something to do."""
    return await conn.fetchval(SQL["is_due"], at)


async def run_account(conn: Connection, account: str, *, actor: str, now: datetime) -> RunView:
    """Bill an account for what changed until today, whether it is due or not.

    Repeated, it bills nothing. Raises NotFound if it is not there, not billed yet, or parked.
    """
    async with conn.transaction():
        row = await conn.fetchrow(SQL["hold_one"], account)
        if row is None:
            raise NotFound(f"account {account} does not exist, or has no service and no cycle")
        if await conn.fetchval(SQL["is_parked"], account):
            raise NotFound(f"account {account} is parked; release it first")
        number = await conn.fetchval(SQL["begin_run"], now, account, actor, now, 1)
        today = local_day(now, held(row, date.min).zone)
        day = max(today, row["billed_until"] or today)
        while row["next_bill_on"] is not None and row["next_bill_on"] < day:
            await _bill(conn, number, [held(row, row["next_bill_on"])], {}, now)
            if await conn.fetchval(SQL["is_parked"], account):
                break
            row = await conn.fetchrow(SQL["hold_one"], account)
            assert row is not None, "it was there"
        else:
            await _bill(conn, number, [held(row, day)], {}, now)
        await conn.execute(SQL["end_run"], number, now)
        return await view(conn, number)


async def preview(conn: Connection, account: str, now: datetime) -> Bill:
    """Return what `run_account` would bill, by the same code; nothing is written or locked.

    Raises NotFound, and Contradiction.
    """
    row = await conn.fetchrow(SQL["look_at_one"], account)
    if row is None:
        raise NotFound(f"account {account} does not exist, or has no service and no cycle")
    today = local_day(now, held(row, date.min).zone)
    each = held(row, max(today, row["billed_until"] or today))
    [loaded] = await load_accounts(conn, [each], {})
    return bill(loaded.account)


async def view(conn: Connection, number: int) -> RunView:
    """Return a run. Raises NotFound."""
    row = await conn.fetchrow(SQL["run"], number)
    if row is None:
        raise NotFound(f"run {number} does not exist")
    return RunView(
        run=row["run_id"],
        at=row["at"],
        account=row["account_id"],
        actor=row["actor"],
        began_at=row["began_at"],
        ended_at=row["ended_at"],
        approved_at=row["approved_at"],
        approved_by=row["approved_by"],
        accounts_due=row["accounts_due"],
        bills=row["bills"],
        billed=row["billed"],
        parked=row["parked"],
        amounts_micros=msgspec.json.decode(row["amounts"], type=dict[str, int]),
    )


async def list_(conn: Connection, *, before: int | None = None, limit: int = 100) -> list[RunView]:
    """Return the newest `limit` runs before one."""
    rows = await conn.fetch(SQL["runs"], before, limit)
    return [await view(conn, row["run_id"]) for row in rows]


async def outcomes(
    conn: Connection, number: int, *, after: int = 0, limit: int = 1000
) -> list[Outcome]:
    """Return what a run did, in order: the first `limit` outcomes after one, by its number."""
    return [Outcome(*row) for row in await conn.fetch(SQL["outcomes"], number, after, limit)]


async def _begin(conn: Connection, at: datetime, actor: str, now: datetime) -> tuple[int, int]:
    """A run to go on with, or a new one: its number, and how many accounts are due."""
    async with conn.transaction():
        await conn.execute(SQL["hold_runs"])
        due = await conn.fetchval(SQL["count_due"], at)
        row = await conn.fetchrow(SQL["open_run"])
        if row is not None:
            return row["run_id"], due
        return await conn.fetchval(SQL["begin_run"], at, None, actor, now, due), due


async def _bill_all(
    pool: Pool,
    number: int,
    at: datetime,
    cache: OfferCache,
    now: datetime,
    tell: Callable[[int], None],
) -> None:
    """Bill accounts that are due until there are none."""
    last, size = "", CHUNK
    async with pool.acquire() as conn:
        while True:
            chunk = await _bill_chunk(conn, number, at, last, size, cache, now)
            if chunk is None:
                size = max(1, size // 8)  # one of them is not as it should be: closer to it
                continue
            size = min(CHUNK, size * 2)
            if not chunk and not last:
                # What is due still is taken by somebody else: that is waited for.
                one = await _bill_alone(conn, number, at, "", cache, now, wait=True)
                if one is None:
                    return
                chunk = [one]
            # An account that was behind may be due again: so rounds, until there is none.
            last = chunk[-1] if chunk else ""
            tell(len(chunk))


async def _bill_chunk(
    conn: Connection,
    number: int,
    at: datetime,
    after: str,
    size: int,
    cache: OfferCache,
    now: datetime,
) -> list[str] | None:
    """Bill the next accounts after one, and return which; None if that is refused for one of them,
    with nothing written.
    """
    if size == 1:
        one = await _bill_alone(conn, number, at, after, cache, now)
        return [] if one is None else [one]
    try:
        async with conn.transaction():
            taken = await hold_due(conn, at, after, size)
            await _bill(conn, number, taken, cache, now)
            return [each.account for each in taken]
    except BillingError:
        return None
    except asyncpg.PostgresError as error:
        if not refused(error):
            raise
        return None


async def _bill_alone(
    conn: Connection,
    number: int,
    at: datetime,
    after: str,
    cache: OfferCache,
    now: datetime,
    *,
    wait: bool = False,
) -> str | None:
    """Bill the next account after one; one that the database refuses to bill is parked.

    `wait` for one that somebody else has taken, who may just have billed it.
    """
    async with conn.transaction():
        taken = await hold_due(conn, at, after, 1, wait=wait)
        if not taken:
            return None
        try:
            async with conn.transaction():
                await _bill(conn, number, taken, cache, now)
        except BillingError as error:
            await _park(conn, number, taken[0], str(error), now)
        except asyncpg.PostgresError as error:
            if not refused(error):
                raise
            await _park(conn, number, taken[0], f"the database refuses its bill: {error}", now)
        return taken[0].account


async def _bill(
    conn: Connection, number: int, taken: Sequence[Held], cache: OfferCache, now: datetime
) -> None:
    """Bill accounts that are taken, all of them in one transaction."""
    if not taken:
        return
    bills: list[tuple[Loaded, Bill]] = []
    for loaded in await load_accounts(conn, taken, cache):
        try:
            bills.append((loaded, bill(loaded.account)))
        except Contradiction as error:
            await _park(conn, number, loaded.held, str(error), now)
    made: list[Made] = []
    for each in await draft(conn, number, bills, actor=ACTOR, now=now):
        if isinstance(each, Made):
            made.append(each)
        else:
            await _park(conn, number, each.held, str(each.reason), now)
    if made:
        await book(conn, number, made, now)
        await _note(conn, number, made)
        at_once = [each.invoice for each in made if each.invoice and _is_final(each.held)]
        await finalize_reviewed(conn, at_once, ACTOR, now)


def _is_final(held_: Held) -> bool:
    """Whether a draft of the account is finalized at once."""
    return not held_.needs_approval and held_.review_days == 0


async def _park(conn: Connection, number: int, each: Held, reason: str, now: datetime) -> None:
    _log.error("an account is parked", account=each.account, reason=reason)
    await parking.park(conn, each.account, reason, number, now)
    await conn.execute(
        SQL["note_parked"], number, each.account, each.bill_on, each.currency, reason
    )


async def _note(conn: Connection, number: int, made: Sequence[Made]) -> None:
    await conn.copy_records_to_table(
        "billing_run_outcomes",
        columns=[
            *("run_id", "account_id", "bill_on", "outcome", "currency", "items", "amount_micros"),
            *("invoice_id", "detail"),
        ],
        records=[
            (
                number,
                each.held.account,
                each.bill.bill_on,
                "billed" if each.bill.items or each.invoice else "nothing",
                each.held.currency,
                len(each.bill.items),
                each.bill.amount_micros,
                each.invoice,
                "",
            )
            for each in made
        ],
    )
