"""Services as staff see them."""

from datetime import date, datetime
from typing import Final

import asyncpg
import msgspec

from billing.database import Connection
from billing.errors import NotFound
from billing.services.history import ServiceState, TermOf, state_on
from billing.statements import load

SQL = load(__package__, "queries.sql")

_decode_terms: Final = msgspec.json.Decoder(tuple[TermOf, ...]).decode


class ServiceEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A service with its terms, in order, past and planned ones. Days are the account's local ones.

    `username` is the subscriber whose access and usage it is, if any.
    """

    service: int
    account: str
    username: str | None
    description: str
    ordered_offer: str
    ordered_quantity: int
    activates_by_use: bool
    cancelled_on: date | None
    terms: tuple[TermOf, ...]
    created_at: datetime

    def state_on(self, day: date) -> ServiceState:
        """Return what the service is on a day."""
        return state_on(self.terms, self.cancelled_on, day)


class ServiceEvent(msgspec.Struct, frozen=True):
    """What happened to a service: ordered, started, changed, paused, resumed, cancelled."""

    at: datetime
    event: str
    effective_on: date | None
    offer: str | None
    reason: str
    actor: str


async def get(conn: Connection, service: int) -> ServiceEntry:
    """Return a service. Raises NotFound."""
    row = await conn.fetchrow(SQL["get"], service)
    if row is None:
        raise NotFound(f"service {service} does not exist")
    return _entry(row)


async def list_(
    conn: Connection, account: str | None = None, *, after: int = 0, limit: int = 1000
) -> list[ServiceEntry]:
    """Return the first `limit` services after one, of an account or of all, by their numbers."""
    return [_entry(row) for row in await conn.fetch(SQL["list"], account, after, limit)]


async def events(conn: Connection, service: int) -> list[ServiceEvent]:
    """Return what happened to a service, oldest first."""
    return [ServiceEvent(*row) for row in await conn.fetch(SQL["events"], service)]


def _entry(row: asyncpg.Record) -> ServiceEntry:
    return ServiceEntry(
        service=row["service_id"],
        account=row["account_id"],
        username=row["username"],
        description=row["description"],
        ordered_offer=row["ordered_offer"],
        ordered_quantity=row["ordered_quantity"],
        activates_by_use=row["activates_by_use"],
        cancelled_on=row["cancelled_on"],
        terms=_decode_terms(row["terms"]),
        created_at=row["created_at"],
    )
