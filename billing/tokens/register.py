"""The register of tokens. A token is shown once, when it is created; only its hash is kept.

SHA-256 without salt is enough: a token is 256 random bits, so nobody guesses or tabulates it.
"""

import enum
import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Final

import asyncpg
import msgspec

from billing.database import Connection
from billing.errors import InvalidInput, NotFound
from billing.statements import load

SQL = load(__package__, "queries.sql")

#: So that a token is recognised where it should not be (a log, a repository).
PREFIX: Final = "ratewire_"

_TOKEN_OCTETS: Final = 32

MAX_LABEL: Final = 100
MAX_GRACE: Final = timedelta(days=30)


class Role(enum.StrEnum):
    """What the holder of a token may do."""

    ADMIN = "admin"
    FINANCE = "finance"
    SUPPORT = "support"
    READ_ONLY = "read-only"


async def create(
    conn: Connection,
    role: Role,
    now: datetime,
    *,
    label: str = "",
    expires_at: datetime | None = None,
) -> str:
    """Create a token for a role and return it; it cannot be read again.

    `label` says to people whose it is. It is valid until `expires_at` (None: until it is revoked).
    Raises InvalidInput.
    """
    if not label.isprintable() or len(label) > MAX_LABEL:
        raise InvalidInput(f"label {label!r}: allowed are up to {MAX_LABEL} printable characters")
    if expires_at is not None and expires_at <= now:
        raise InvalidInput(f"expires_at {expires_at}: allowed is a time to come")
    token = PREFIX + secrets.token_urlsafe(_TOKEN_OCTETS)
    await conn.execute(SQL["create"], _hash(token), role, now, label, expires_at)
    return token


async def role_of(conn: Connection, token: str, now: datetime) -> Role | None:
    """Return the role of a token; None for one that is not known, was revoked, or has ended."""
    role = await conn.fetchval(SQL["role_of"], _hash(token), now)
    return None if role is None else Role(role)


class IssuedToken(msgspec.Struct, frozen=True):
    """A token as staff see it. `token_id` is the beginning of its hash, and gives nothing away."""

    token_id: str
    role: Role
    created_at: datetime
    revoked_at: datetime | None
    label: str
    expires_at: datetime | None


async def list_(conn: Connection) -> list[IssuedToken]:
    """Return all tokens that were ever created, newest first."""
    return [_issued(row) for row in await conn.fetch(SQL["list"])]


async def revoke_by_id(conn: Connection, token_id: str, now: datetime) -> IssuedToken:
    """Make a token invalid, by its id. Raises NotFound if no valid one has it."""
    row = await conn.fetchrow(SQL["revoke_by_id"], token_id, now)
    if row is None:
        raise _not_valid(token_id)
    return _issued(row)


async def rotate(conn: Connection, token_id: str, grace: timedelta, now: datetime) -> str:
    """Return a new token in the place of another one, with its role, label, and time to live.

    The old one is valid for `grace` still, so that its users can change over. Raises NotFound.
    """
    if not timedelta() <= grace <= MAX_GRACE:
        raise InvalidInput(f"a grace of {grace}: allowed is 0 to {MAX_GRACE.days} days")
    async with conn.transaction():
        old = await conn.fetchrow(SQL["hold_by_id"], token_id, now)
        if old is None:
            raise _not_valid(token_id)
        ends = old["expires_at"]
        lives = None if ends is None else now + (ends - old["created_at"])
        await conn.execute(SQL["end"], old["token_hash"], now + grace)
        return await create(conn, Role(old["role"]), now, label=old["label"], expires_at=lives)


def _not_valid(token_id: str) -> NotFound:
    return NotFound(f"no valid token has the id {token_id!r}; 'ratewire token list' shows all")


def _issued(row: asyncpg.Record) -> IssuedToken:
    return IssuedToken(
        row["token_id"],
        Role(row["role"]),
        row["created_at"],
        row["revoked_at"],
        row["label"],
        row["expires_at"],
    )


class Holder(msgspec.Struct, frozen=True):
    """Who has a token: its role, and a name for the books that does not give it away."""

    token_hash: bytes
    role: Role

    @property
    def actor(self) -> str:
        """The name: the beginning of the token's hash."""
        return f"token:{self.token_hash.hex()[:12]}"


async def holder(conn: Connection, token: str, now: datetime) -> Holder | None:
    """Return who has a token; None for one that is not known, was revoked, or has ended."""
    role = await role_of(conn, token, now)
    return None if role is None else Holder(_hash(token), role)


async def revoke(conn: Connection, token: str, now: datetime) -> None:
    """Make a token invalid. Raises NotFound if it is not valid."""
    if await conn.fetchval(SQL["revoke"], _hash(token), now) is None:
        raise NotFound("the token is not valid")


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()
