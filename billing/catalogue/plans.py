"""The versions of the plans. A version never changes: a plan that does gets a further one."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from billing.database import Connection
from billing.errors import Conflict, NotFound
from billing.outbox.publication import changed, hold
from billing.statements import load
from rating.plan import Plan

SQL = load(__package__, "queries.sql")

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Plan).decode


class LoadedPlan(msgspec.Struct, frozen=True):
    """What loading a plan did: the version that holds now, and whether it is a new one."""

    name: str
    version: int
    changed: bool


async def load_plans(conn: Connection, plans: Sequence[Plan], now: datetime) -> list[LoadedPlan]:
    """Make each plan the newest version of its name, unless it is that already; all or none.

    No two have the same name. The version that a plan comes with is ignored. Sessions that run go
    on under the version they began with. Raises Conflict if a plan would change its currency:
    accounts hold the old one.
    """
    async with conn.transaction():
        await hold(conn, "plans")
        rows = await conn.fetch(SQL["newest"], [plan.name for plan in plans])
        newest = {row["name"]: _decode(row["definition"]) for row in rows}
        loaded = [await _load(conn, plan, newest.get(plan.name), now) for plan in plans]
        if any(plan.changed for plan in loaded):
            await changed(conn, "plans")
    return loaded


async def list_(conn: Connection) -> list[Plan]:
    """Return the newest version of each plan, by name."""
    return [_decode(row["definition"]) for row in await conn.fetch(SQL["list"])]


async def version_of(conn: Connection, name: str, version: int | None) -> Plan:
    """Return a version of a plan, the newest for None. Raises NotFound."""
    if version is not None and not 0 < version < 2**31:
        raise NotFound(f"version {version} of plan {name} does not exist")
    definition = await conn.fetchval(SQL["version"], name, version)
    if definition is None:
        which = "plan" if version is None else f"version {version} of plan"
        raise NotFound(f"{which} {name} does not exist")
    return _decode(definition)


async def published(conn: Connection) -> dict[str, bytes]:
    """Return what workers are to know: the JSON of each version of each plan, by name@version."""
    return {
        f"{row['name']}@{row['version']}": row["definition"] for row in await conn.fetch(SQL["all"])
    }


async def _load(conn: Connection, plan: Plan, newest: Plan | None, now: datetime) -> LoadedPlan:
    version = 1 if newest is None else newest.version
    made = msgspec.structs.replace(plan, version=version)
    if made == newest:
        return LoadedPlan(plan.name, version, changed=False)
    if newest is not None:
        if newest.tariff.currency != plan.tariff.currency:
            raise Conflict(
                f"plan {plan.name} is in {newest.tariff.currency}, and its accounts are;"
                f" a plan in {plan.tariff.currency} needs a name of its own"
            )
        version += 1
        made = msgspec.structs.replace(plan, version=version)
    await conn.execute(SQL["add_version"], plan.name, version, _encode(made), now)
    return LoadedPlan(plan.name, version, changed=True)
