"""The versions of the offers. A version never changes: an offer that does gets a further one."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

import msgspec

from billing.database import Connection
from billing.errors import Conflict, NotFound
from billing.offers.offer import Offer
from billing.statements import load

SQL = load(__package__, "queries.sql")

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Offer).decode


class LoadedOffer(msgspec.Struct, frozen=True):
    """What loading an offer did: the version that holds now, and whether it is a new one."""

    name: str
    version: int
    changed: bool


async def load_offers(
    conn: Connection, offers: Sequence[Offer], now: datetime
) -> list[LoadedOffer]:
    """Make each offer the newest version of its name, unless it is that already; all or none.

    No two have the same name. The version that an offer comes with is ignored. Services that are on
    an earlier version stay on it. Raises NotFound for a plan that there is not, Conflict for one
    in another currency, or if an offer would change its own.
    """
    async with conn.transaction():
        await conn.execute(SQL["hold"])
        newest = await _newest(conn, [offer.name for offer in offers])
        return [await _load(conn, offer, newest.get(offer.name), now) for offer in offers]


async def get(conn: Connection, name: str) -> Offer:
    """Return the newest version of an offer. Raises NotFound."""
    offer = (await _newest(conn, [name])).get(name)
    if offer is None:
        raise NotFound(f"offer {name} does not exist")
    return offer


async def list_(conn: Connection) -> list[Offer]:
    """Return the newest version of each offer, by name."""
    return [_decode(row["definition"]) for row in await conn.fetch(SQL["list"])]


async def versions(
    conn: Connection, wanted: Iterable[tuple[str, int]]
) -> dict[tuple[str, int], Offer]:
    """Return offers by name and version; those that there are not are left out."""
    pairs = sorted(set(wanted))
    rows = await conn.fetch(
        SQL["versions"], [name for name, _ in pairs], [version for _, version in pairs]
    )
    return {(row["name"], row["version"]): _decode(row["definition"]) for row in rows}


async def _newest(conn: Connection, names: list[str]) -> dict[str, Offer]:
    rows = await conn.fetch(SQL["newest"], names)
    return {row["name"]: _decode(row["definition"]) for row in rows}


async def _load(conn: Connection, offer: Offer, newest: Offer | None, now: datetime) -> LoadedOffer:
    version = 1 if newest is None else newest.version
    if msgspec.structs.replace(offer, version=version) == newest:
        return LoadedOffer(offer.name, version, changed=False)
    if newest is not None:
        if newest.currency != offer.currency:
            raise Conflict(
                f"offer {offer.name} is in {newest.currency}, and its services are;"
                f" one in {offer.currency} needs a name of its own"
            )
        version += 1
    if offer.plan is not None:
        currency = await conn.fetchval(SQL["plan_currency"], offer.plan)
        if currency is None:
            raise NotFound(f"offer {offer.name}: plan {offer.plan} does not exist")
        if currency != offer.currency:
            raise Conflict(
                f"offer {offer.name} is in {offer.currency}, its plan {offer.plan} in {currency}"
            )
    made = msgspec.structs.replace(offer, version=version)
    await conn.execute(SQL["add_version"], offer.name, version, _encode(made), now)
    return LoadedOffer(offer.name, version, changed=True)
