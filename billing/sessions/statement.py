"""The sessions of an account or of a subscriber, each with the lines of what it cost."""

from datetime import datetime
from uuid import UUID

import msgspec

from billing.database import Connection
from billing.sessions.archive import figures
from billing.sessions.explain import kept_lines, lines_of, plan_versions
from billing.statements import load
from rating.charge import Line
from rating.quantity import NOTHING

_SQL = load(__package__, "queries.sql")


class StatedSession(msgspec.Struct, frozen=True):
    """A session as it stands: `closed_at` is None while it is open.

    The lines' amounts sum to `charged_micros`.
    """

    session_uid: UUID
    acct_session_id: str
    nas: str
    username: str
    account: str
    plan: str
    plan_version: int
    currency: str
    opened_at: datetime
    closed_at: datetime | None
    close_reason: str | None
    seconds: int
    octets_in: int
    octets_out: int
    charged_micros: int
    lines: tuple[Line, ...]


async def sessions(
    conn: Connection,
    *,
    account: str | None = None,
    username: str | None = None,
    limit: int = 100,
) -> list[StatedSession]:
    """Return the newest `limit` sessions of an account, or of a user name, oldest first."""
    assert account is not None or username is not None
    rows = await conn.fetch(_SQL["sessions_of"], account, username, limit)
    plans = await plan_versions(conn, [(row["plan"], row["plan_version"]) for row in rows])
    told = await kept_lines(conn, [row["session_uid"] for row in rows])
    stated: list[StatedSession] = []
    for row in rows:
        used, charged = figures(row)
        tariff = plans[row["plan"], row["plan_version"]].tariff
        stated.append(
            StatedSession(
                session_uid=row["session_uid"],
                acct_session_id=row["acct_session_id"],
                nas=row["nas"],
                username=row["username"],
                account=row["account_id"],
                plan=row["plan"],
                plan_version=row["plan_version"],
                currency=row["currency"],
                opened_at=row["opened_at"],
                closed_at=row["closed_at"],
                close_reason=row["close_reason"],
                seconds=used.seconds,
                octets_in=used.octets_in,
                octets_out=used.octets_out,
                charged_micros=charged,
                lines=told[row["session_uid"]]
                if row["session_uid"] in told
                else lines_of(tariff, NOTHING, used, charged),
            )
        )
    return stated
