"""Tokens: what their holders may do, and that the database cannot give them away."""

from datetime import datetime

import pytest

from billing.database import Connection
from billing.errors import NotFound
from billing.tokens.register import PREFIX, Role, create, list_, revoke, revoke_by_id, role_of


@pytest.mark.parametrize("role", list(Role))
async def test_a_token_has_the_role_it_was_created_for(
    conn: Connection, now: datetime, role: Role
) -> None:
    assert await role_of(conn, await create(conn, role, now)) is role


async def test_no_two_tokens_are_the_same(conn: Connection, now: datetime) -> None:
    tokens = {await create(conn, Role.SUPPORT, now) for _ in range(20)}
    assert len(tokens) == 20
    assert all(token.startswith(PREFIX) and len(token) >= 43 for token in tokens)


@pytest.mark.parametrize("token", ["", PREFIX, "x" * 10_000, "\ud800", "' OR 1=1 --", "a\0b"])
async def test_what_is_no_token_has_no_role(conn: Connection, now: datetime, token: str) -> None:
    await create(conn, Role.ADMIN, now)
    assert await role_of(conn, token) is None


async def test_the_database_does_not_hold_tokens(conn: Connection, now: datetime) -> None:
    token = await create(conn, Role.ADMIN, now)
    row = await conn.fetchrow("SELECT api_tokens::text FROM api_tokens")
    assert row is not None
    assert token.removeprefix(PREFIX) not in row[0]
    assert token.encode().hex() not in row[0]


async def test_a_revoked_token_has_no_role(conn: Connection, now: datetime) -> None:
    token, other = [await create(conn, Role.ADMIN, now) for _ in range(2)]
    await revoke(conn, token, now)
    assert await role_of(conn, token) is None
    assert await role_of(conn, other) is Role.ADMIN
    with pytest.raises(NotFound):
        await revoke(conn, token, now)


async def test_a_token_is_revoked_by_its_id_alone(conn: Connection, now: datetime) -> None:
    finance, admin = [await create(conn, role, now) for role in (Role.FINANCE, Role.ADMIN)]
    known = {each.role: each for each in await list_(conn)}
    assert (known[Role.FINANCE].created_at, known[Role.FINANCE].revoked_at) == (now, None)
    revoked = await revoke_by_id(conn, known[Role.FINANCE].token_id, now)
    assert (revoked.role, revoked.revoked_at) == (Role.FINANCE, now)
    assert (await role_of(conn, finance), await role_of(conn, admin)) == (None, Role.ADMIN)
    for token_id in (revoked.token_id, "", known[Role.ADMIN].token_id[:11]):
        with pytest.raises(NotFound, match="no valid token"):
            await revoke_by_id(conn, token_id, now)
