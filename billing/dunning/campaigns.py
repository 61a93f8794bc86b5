"""The versions of the campaigns, and which one each account is under."""

from datetime import datetime
from typing import Final

import asyncpg
import msgspec

from billing.accounts.register import lock
from billing.database import Connection
from billing.dunning.campaign import Campaign
from billing.errors import NotFound
from billing.statements import load

SQL = load(__package__, "queries.sql")

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Campaign).decode


class StoredCampaign(msgspec.Struct, frozen=True):
    """A campaign with its version; `is_default`: for accounts without one of their own."""

    campaign: Campaign
    version: int
    is_default: bool


class AccountDunning(msgspec.Struct, frozen=True):
    """How an account is dunned: the campaign that holds for it (None: none does), whether that is
    its own choice, and whether it is excluded, and why.
    """

    campaign: str | None
    own: bool
    excluded: bool
    reason: str


async def put(
    conn: Connection, campaign: Campaign, *, default: bool = False, now: datetime
) -> StoredCampaign:
    """Make a campaign the newest version of its name; processes that run keep theirs."""
    async with conn.transaction():
        await conn.execute(SQL["hold_campaigns"])
        row = await conn.fetchrow(SQL["newest"], campaign.name)
        version = 1 if row is None else row["version"]
        if row is None or _decode(row["definition"]) != campaign:
            version += row is not None
            await conn.execute(SQL["add_version"], campaign.name, version, _encode(campaign), now)
        if default:
            await conn.execute(SQL["set_default"], campaign.name)
        [stored] = [each for each in await list_(conn) if each.campaign.name == campaign.name]
        return stored


async def get(conn: Connection, name: str) -> StoredCampaign:
    """Return the newest version of a campaign. Raises NotFound."""
    for each in await list_(conn):
        if each.campaign.name == name:
            return each
    raise NotFound(f"campaign {name} does not exist")


async def list_(conn: Connection) -> list[StoredCampaign]:
    """Return the newest version of each campaign, by name."""
    return [
        StoredCampaign(_decode(row["definition"]), row["version"], row["is_default"])
        for row in await conn.fetch(SQL["campaigns"])
    ]


async def at_version(conn: Connection, name: str, version: int) -> Campaign:
    """Return a campaign as it was; it is there."""
    row = await conn.fetchrow(SQL["version"], name, version)
    assert row is not None, (name, version)
    return _decode(row["definition"])


async def of_account(conn: Connection, account: str) -> AccountDunning:
    """Return how an account is dunned; one that says so itself is excluded too. Raises NotFound."""
    row = await conn.fetchrow(SQL["account"], account)
    if row is None:
        raise NotFound(f"account {account} does not exist")
    return AccountDunning(
        row["campaign"], row["own_campaign"] is not None, row["excluded"], row["reason"]
    )


async def set_account(
    conn: Connection, account: str, *, campaign: str | None, excluded: bool, reason: str
) -> AccountDunning:
    """Put an account under a campaign of its own (None: the default), or exclude it.

    What that changes for a process that runs is done when it is next looked at. Raises NotFound.
    """
    async with conn.transaction():
        await lock(conn, account)
        if campaign is not None:
            await get(conn, campaign)
        await conn.execute(SQL["set_account"], account, campaign, excluded, reason)
        return await of_account(conn, account)


def newest_of(row: asyncpg.Record) -> Campaign:
    """Return the campaign of a row that has a definition."""
    return _decode(row["definition"])
