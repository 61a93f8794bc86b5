"""The register of NASes. Each change is mirrored to the store, where the listeners read it."""

from datetime import datetime
from typing import Any

import asyncpg

from billing.database import Connection
from billing.errors import Conflict, NotFound
from billing.nas.client import (
    NasClient,
    NasEntry,
    check_secret,
    check_vendor,
    coa_address,
    encode_client,
    local_address,
    nas_name,
    secret_purpose,
    source_network,
)
from billing.outbox.publication import changed, hold
from billing.sealing.keyring import Keyring
from billing.statements import load

SQL = load(__package__, "queries.sql")


async def add(
    conn: Connection,
    keyring: Keyring,
    name: str,
    *,
    source: str,
    secret: bytes,
    vendor: str = "generic",
    coa_host: str | None = None,
    coa_port: int | None = None,
    coa_bind: str | None = None,
    signs_logins: bool | None = None,
    now: datetime,
) -> NasEntry:
    """Add a NAS. Networks may contain each other (the longest prefix holds), but not be equal.

    Whether the vendor is known is the caller's to check. Raises InvalidInput, or Conflict when
    there is a NAS of that name or source.
    """
    network = source_network(source)
    host, port = coa_address(coa_host, coa_port)
    bind = local_address(coa_bind)
    sealed = keyring.seal(check_secret(secret), secret_purpose(nas_name(name)))
    async with conn.transaction():
        await hold(conn, "nas")
        same = await conn.fetchrow(SQL["same"], name, network)
        if same is not None:
            if same["name"] == name:
                raise Conflict(f"NAS {name} exists already")
            raise Conflict(f"source {network} is that of NAS {same['name']} already")
        await conn.execute(
            SQL["add"],
            *(name, network, sealed, check_vendor(vendor), host, port, now, bind, signs_logins),
        )
        await changed(conn, "nas")
    return NasEntry(name, str(network), vendor, host, port, now, bind, signs_logins)


async def list_(conn: Connection) -> list[NasEntry]:
    """Return all NASes, by name."""
    return [
        NasEntry(**_common(row), created_at=row["created_at"])
        for row in await conn.fetch(SQL["list"])
    ]


async def remove(conn: Connection, name: str) -> None:
    """Remove a NAS: nothing it sends is listened to any more. Raises NotFound."""
    async with conn.transaction():
        if await conn.fetchval(SQL["remove"], name) is None:
            raise NotFound(f"NAS {name} does not exist")
        await changed(conn, "nas")


async def published(conn: Connection) -> dict[str, bytes]:
    """Return what listeners are to know: the JSON of a NasClient for each name."""
    return {
        row["name"]: encode_client(NasClient(**_common(row), secret_sealed=row["secret_sealed"]))
        for row in await conn.fetch(SQL["list"])
    }


def _common(row: asyncpg.Record) -> dict[str, Any]:
    return {
        "name": row["name"],
        "source": str(row["source"]),
        "vendor": row["vendor"],
        "coa_host": _address(row["coa_host"]),
        "coa_port": row["coa_port"],
        "coa_bind": _address(row["coa_bind"]),
        "signs_logins": row["signs_logins"],
    }


def _address(value: object) -> str | None:
    """The text of an address: asyncpg reads inet as an interface, which writes its prefix."""
    return None if value is None else str(value).partition("/")[0]
