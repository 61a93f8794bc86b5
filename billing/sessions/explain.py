"""Why a charge is what it is: its lines, computed anew from the plan it was charged under."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg
import msgspec

from billing.database import Connection
from billing.errors import Conflict, InvalidInput, NotFound
from billing.ledger.transaction import Kind
from billing.sessions.archive import figures
from billing.statements import load
from rating.charge import Line, explain_charge
from rating.plan import Plan
from rating.quantity import NOTHING, Counters
from rating.tariff import Tariff

_SQL = load(__package__, "queries.sql")
_decode_lines: Final = msgspec.json.Decoder(tuple[Line, ...]).decode
_decode_plan: Final = msgspec.json.Decoder(Plan).decode

PlanVersion = tuple[str, int]


class ExplainedCharge(msgspec.Struct, frozen=True):
    """One usage record: what it added, what that was charged, and why.

    `total_micros` is what the session was charged up to and with it. The lines' amounts sum to
    `charged_micros`.
    """

    event_at: datetime
    settled_at: datetime
    charge_sequence: int
    seconds: int
    octets_in: int
    octets_out: int
    charged_micros: int
    total_micros: int
    lines: tuple[Line, ...]


class ExplainedSession(msgspec.Struct, frozen=True):
    """A session epoch with all its charges; their sum is `charged_micros`, as is the lines'."""

    session_uid: UUID
    username: str
    account: str
    plan: str
    plan_version: int
    currency: str
    charged_micros: int
    lines: tuple[Line, ...]
    charges: list[ExplainedCharge]


def lines_of(
    tariff: Tariff, before: Counters, after: Counters, charged_micros: int
) -> tuple[Line, ...]:
    """Return the lines of a charge, from the session's counters before and after it.

    A charge that its own tariff does not explain to the micro is a bug: AssertionError.
    """
    lines = explain_charge(tariff, before, after)
    told = sum(line.amount_micros for line in lines)
    assert told == charged_micros, f"charged {charged_micros} micros, the tariff says {told}"
    return lines


async def plan_versions(conn: Connection, wanted: Iterable[PlanVersion]) -> dict[PlanVersion, Plan]:
    """Return plans by name and version. Raises NotFound if one is missing."""
    names = sorted(set(wanted))
    rows = await conn.fetch(
        _SQL["plan_versions"], [name for name, _ in names], [version for _, version in names]
    )
    plans = {(row["name"], row["version"]): _decode_plan(row["definition"]) for row in rows}
    for name, version in names:
        if (name, version) not in plans:
            raise NotFound(f"version {version} of plan {name} does not exist")
    return plans


async def kept_lines(conn: Connection, sessions: Sequence[UUID]) -> dict[UUID, tuple[Line, ...]]:
    """Return the lines of the sessions that keep them: those of all their charges."""
    found: dict[UUID, tuple[Line, ...]] = {}
    for row in await conn.fetch(_SQL["lines_of_sessions"], list(sessions)):
        uid = row["session_uid"]
        found[uid] = found.get(uid, ()) + _decode_lines(row["lines"])
    return found


async def explain(conn: Connection, session_uid: UUID) -> ExplainedSession:
    """Return a session epoch with the reasons of each charge. Raises NotFound."""
    row = await conn.fetchrow(_SQL["session"], session_uid)
    if row is None:
        raise NotFound(f"session {session_uid} does not exist")
    version = (row["plan"], row["plan_version"])
    tariff = (await plan_versions(conn, [version]))[version].tariff
    charges = [
        _charge(record, tariff)
        for record in await conn.fetch(_SQL["records_of_session"], session_uid)
    ]
    used, charged = figures(row)
    told = await kept_lines(conn, [session_uid])
    return ExplainedSession(
        session_uid=session_uid,
        username=row["username"],
        account=row["account_id"],
        plan=row["plan"],
        plan_version=row["plan_version"],
        currency=row["currency"],
        charged_micros=charged,
        lines=told[session_uid]
        if session_uid in told
        else lines_of(tariff, NOTHING, used, charged),
        charges=charges,
    )


class SettledCharge(msgspec.Struct, frozen=True):
    """One settled charge of an account, and whose it is."""

    session_uid: UUID
    username: str
    account: str
    plan: str
    plan_version: int
    currency: str
    charge: ExplainedCharge


async def explain_settled(
    conn: Connection,
    account: str,
    *,
    charge_sequence: int | None = None,
    transaction_id: int | None = None,
    limit: int,
) -> list[SettledCharge]:
    """Return the reasons of an account's charges, the latest first, at most `limit`.

    Those of one charge sequence, or those that a transaction of the ledger sums up; all if neither
    is given. Raises NotFound when there is none, and Conflict for a transaction that is not usage:
    its description is the reason.
    """
    for name, value in (("charge", charge_sequence), ("transaction", transaction_id)):
        if value is not None and not 0 < value < 2**63:
            raise InvalidInput(f"{name} is {value}, allowed is 1 to {2**63 - 1}")
    settled_at = None
    if transaction_id is not None:
        row = await conn.fetchrow(_SQL["settled_with"], transaction_id)
        if row is None:
            raise NotFound(f"transaction {transaction_id} does not exist")
        if row["kind"] != Kind.USAGE:
            raise Conflict(
                f"transaction {transaction_id} is of kind {row['kind']}: its description is the"
                " reason, no usage was charged"
            )
        settled_at = row["posted_at"]
    rows = await conn.fetch(_SQL["charges_of_account"], account, charge_sequence, settled_at, limit)
    if not rows:
        raise NotFound(f"account {account} has no such settled charge")
    plans = await plan_versions(conn, [(row["plan"], row["plan_version"]) for row in rows])
    return [
        SettledCharge(
            session_uid=row["session_uid"],
            username=row["username"],
            account=account,
            plan=row["plan"],
            plan_version=row["plan_version"],
            currency=row["currency"],
            charge=_charge(row, plans[row["plan"], row["plan_version"]].tariff),
        )
        for row in rows
    ]


def _charge(record: asyncpg.Record, tariff: Tariff) -> ExplainedCharge:
    usage = Counters(record["seconds"], record["octets_in"], record["octets_out"])
    after = Counters(record["used_seconds"], record["used_octets_in"], record["used_octets_out"])
    return ExplainedCharge(
        event_at=record["event_at"],
        settled_at=record["settled_at"],
        charge_sequence=record["charge_sequence"],
        seconds=usage.seconds,
        octets_in=usage.octets_in,
        octets_out=usage.octets_out,
        charged_micros=record["charged_micros"],
        total_micros=record["total_micros"],
        lines=lines_of(tariff, after - usage, after, record["charged_micros"])
        if record["lines"] is None
        else _decode_lines(record["lines"]),
    )
