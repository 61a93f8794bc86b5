"""When an account is billed: its calendar, how far it has come, and when its next bill is due."""

from datetime import date, datetime
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from billing.cycles.calendar import (
    Alignment,
    Calendar,
    Change,
    Unit,
    cycle_for,
    local_day,
    midnight,
)
from billing.database import Connection
from billing.errors import InvalidInput, NotFound
from billing.statements import load

SQL = load(__package__, "queries.sql")

MAX_REVIEW_DAYS: Final = 30

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Calendar).decode


class Schedule(msgspec.Struct, frozen=True):
    """An account's billing. Days are local ones of `zone`.

    `billed_until` is the last day for which a bill was made, `changed_since` the first on which
    services are not as they were then. `next_bill_on` is None if there is nothing to bill.
    `review_days` is how long an invoice stays a draft, unless `needs_approval`: then until it is
    approved.
    """

    account: str
    zone: ZoneInfo
    calendar: Calendar
    alignment: Alignment
    billed_until: date | None
    changed_since: date | None
    next_bill_on: date | None
    review_days: int
    needs_approval: bool

    @property
    def unit(self) -> Unit:
        """How long its billing cycles are from the last change on."""
        return self.calendar.changes[-1].cycle.unit


async def zone_of(conn: Connection, account: str) -> ZoneInfo:
    """Return the time zone of an account. Raises NotFound."""
    name = await conn.fetchval(SQL["zone"], account)
    if name is None:
        raise NotFound(f"account {account} does not exist")
    return ZoneInfo(name)


async def get(conn: Connection, account: str) -> Schedule:
    """Return an account's billing schedule. Raises NotFound."""
    found = await find(conn, account)
    if found is None:
        await zone_of(conn, account)
        raise NotFound(f"account {account} is not billed yet: it has no service and no cycle")
    return found


async def find(conn: Connection, account: str) -> Schedule | None:
    """Return an account's billing schedule; None if it has none."""
    row = await conn.fetchrow(SQL["schedule"], account)
    if row is None:
        return None
    return Schedule(
        account=row["account_id"],
        zone=ZoneInfo(row["time_zone"]),
        calendar=_decode(row["calendar"]),
        alignment=Alignment(row["alignment"]),
        billed_until=row["billed_until"],
        changed_since=row["changed_since"],
        next_bill_on=row["next_bill_on"],
        review_days=row["review_days"],
        needs_approval=row["needs_approval"],
    )


async def set_cycle(
    conn: Connection,
    account: str,
    *,
    unit: Unit = Unit.MONTH,
    alignment: Alignment = Alignment.ANNIVERSARY,
    bill_day: int | None = None,
    review_days: int = 0,
    needs_approval: bool = False,
    now: datetime,
) -> Schedule:
    """Set how an account is billed; in its transaction, with the account's row taken.

    One that is billed already goes on until its running period ends, and then by the new cycle,
    whose first period is a part. Raises NotFound or InvalidInput.
    """
    assert conn.is_in_transaction()
    if not 0 <= review_days <= MAX_REVIEW_DAYS:
        raise InvalidInput(f"review_days is {review_days}, allowed is 0 to {MAX_REVIEW_DAYS}")
    zone = await zone_of(conn, account)
    today = local_day(now, zone)
    before = await find(conn, account)
    cycle = cycle_for(unit, alignment, begun=today, bill_day=bill_day)
    if before is None:
        calendar = Calendar((Change(today, cycle),))
    else:
        since = before.calendar.part_of(max(today, before.billed_until or today)).period.end
        if before.billed_until is None:
            since = before.calendar.changes[0].since
        calendar = before.calendar.changed(since, cycle)
    await conn.execute(
        SQL["set_schedule"], account, _encode(calendar), alignment, review_days, needs_approval
    )
    next_on = calendar.part_of(today).period.end
    if before is not None and before.next_bill_on is not None:
        next_on = min(next_on, before.next_bill_on)
    await set_next(conn, account, zone, next_on)
    return await get(conn, account)


async def note_change(
    conn: Connection, account: str, since: date, today: date, now: datetime
) -> None:
    """Note that services change from a day on: they are billed on that day, or now if it is past.

    An account that was not billed yet gets a schedule of months from that day on. Its row is taken.
    """
    assert conn.is_in_transaction()
    schedule = await find(conn, account)
    if schedule is None:
        await set_cycle(conn, account, now=now)
        cycle = cycle_for(Unit.MONTH, Alignment.ANNIVERSARY, begun=since)
        calendar = Calendar((Change(since, cycle),))
        await conn.execute(SQL["set_calendar"], account, _encode(calendar))
        schedule = await get(conn, account)
    await conn.execute(SQL["note_change"], account, since)
    due = max(since, today)
    if schedule.next_bill_on is None or due < schedule.next_bill_on:
        await set_next(conn, account, schedule.zone, due)


async def set_next(conn: Connection, account: str, zone: ZoneInfo, day: date | None) -> None:
    """Set the local day on which the next bill is due; None if there is nothing to bill."""
    moment = None if day is None else midnight(day, zone)
    await conn.execute(SQL["set_next"], account, day, moment)
