"""The time by which commands of the billing side go: now, or another one that was asked for."""

from datetime import UTC, date, datetime
from typing import Annotated

import typer

from billing.clock import moved
from billing.database import Connection
from billing.partitions.ensure import ensure
from ratewire.cli.running import Refused
from ratewire.wiring import now

AtOption = Annotated[
    str | None,
    typer.Option(
        "--at", help="As if it were then: 2026-02-01T00:00, with an offset such as +01:00 or UTC."
    ),
]


async def billing_time(conn: Connection, at: str | None) -> datetime:
    """Return the time that was asked for, else that of the billing side's clock. Raises Refused."""
    if at is None:
        return await moved.current(conn, now())
    try:
        moment = datetime.fromisoformat(at)
    except ValueError as error:
        raise Refused(f"--at {at}: write for example 2026-02-01T00:00+01:00") from error
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    await ensure(conn, moment, 1)
    return moment


def day(text: str | None, name: str) -> date | None:
    """Return a day that was given as 2026-02-01. Raises Refused."""
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError as error:
        raise Refused(f"{name} {text}: write a day such as 2026-02-01") from error
