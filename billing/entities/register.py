"""The entities in Postgres. Documents keep what stood on them, whatever changes here."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

import msgspec

from billing.database import Connection
from billing.entities.entity import Entity
from billing.errors import NotFound
from billing.statements import load

SQL = load(__package__, "queries.sql")

_decode: Final = msgspec.json.Decoder(Entity).decode
_encode: Final = msgspec.json.Encoder().encode


async def put(conn: Connection, entity: Entity, now: datetime) -> bool:
    """Keep an entity, in the place of one of that name; return whether anything changed."""
    return await conn.fetchval(SQL["put"], entity.entity, _encode(entity), now) is not None


async def get_many(conn: Connection, names: Iterable[str]) -> dict[str, Entity]:
    """Return entities by name. Raises NotFound if one is missing."""
    wanted = sorted(set(names))
    found = {
        row["entity"]: _decode(row["definition"]) for row in await conn.fetch(SQL["get"], wanted)
    }
    for name in wanted:
        if name not in found:
            raise NotFound(f"there is no entity {name}; make it with 'ratewire entity set FILE'")
    return found


async def get(conn: Connection, name: str) -> Entity:
    """Return an entity. Raises NotFound."""
    return (await get_many(conn, [name]))[name]


async def list_(conn: Connection) -> list[Entity]:
    """Return all entities, by name."""
    return [_decode(row["definition"]) for row in await conn.fetch(SQL["list"])]
