"""Tokens: what their holders may do, and that the database cannot give them away."""

from datetime import datetime, timedelta

import pytest

from billing.database import Connection
from billing.errors import InvalidInput, NotFound
from billing.tokens.register import (
    PREFIX,
    Role,
    create,
    list_,
    revoke,
    revoke_by_id,
    role_of,
    rotate,
)


@pytest.mark.parametrize("role", list(Role))
async def test_a_token_has_the_role_it_was_created_for(
    conn: Connection, now: datetime, role: Role
) -> None:
    assert await role_of(conn, await create(conn, role, now), now) is role


async def test_no_two_tokens_are_the_same(conn: Connection, now: datetime) -> None:
    tokens = {await create(conn, Role.SUPPORT, now) for _ in range(20)}
    assert len(tokens) == 20
    assert all(token.startswith(PREFIX) and len(token) >= 43 for token in tokens)


@pytest.mark.parametrize("token", ["", PREFIX, "x" * 10_000, "\ud800", "' OR 1=1 --", "a\0b"])
async def test_what_is_no_token_has_no_role(conn: Connection, now: datetime, token: str) -> None:
    await create(conn, Role.ADMIN, now)
    assert await role_of(conn, token, now) is None


async def test_the_database_does_not_hold_tokens(conn: Connection, now: datetime) -> None:
    token = await create(conn, Role.ADMIN, now)
    row = await conn.fetchrow("SELECT api_tokens::text FROM api_tokens")
    assert row is not None
    assert token.removeprefix(PREFIX) not in row[0]
    assert token.encode().hex() not in row[0]


async def test_a_revoked_token_has_no_role(conn: Connection, now: datetime) -> None:
    token, other = [await create(conn, Role.ADMIN, now) for _ in range(2)]
    await revoke(conn, token, now)
    assert await role_of(conn, token, now) is None
    assert await role_of(conn, other, now) is Role.ADMIN
    with pytest.raises(NotFound):
        await revoke(conn, token, now)


async def test_a_token_is_revoked_by_its_id_alone(conn: Connection, now: datetime) -> None:
    finance, admin = [await create(conn, role, now) for role in (Role.FINANCE, Role.ADMIN)]
    known = {each.role: each for each in await list_(conn)}
    assert (known[Role.FINANCE].created_at, known[Role.FINANCE].revoked_at) == (now, None)
    revoked = await revoke_by_id(conn, known[Role.FINANCE].token_id, now)
    assert (revoked.role, revoked.revoked_at) == (Role.FINANCE, now)
    assert (await role_of(conn, finance, now), await role_of(conn, admin, now)) == (
        None,
        Role.ADMIN,
    )
    for token_id in (revoked.token_id, "", known[Role.ADMIN].token_id[:11]):
        with pytest.raises(NotFound, match="no valid token"):
            await revoke_by_id(conn, token_id, now)


async def test_a_token_ends_by_itself(conn: Connection, now: datetime) -> None:
    day = timedelta(days=1)
    token = await create(conn, Role.ADMIN, now, label="desk 7", expires_at=now + day)
    assert await role_of(conn, token, now + day - timedelta(seconds=1)) is Role.ADMIN
    assert await role_of(conn, token, now + day) is None
    for label, ends in (("x" * 101, None), ("a\nb", None), ("", now)):
        with pytest.raises(InvalidInput):
            await create(conn, Role.ADMIN, now, label=label, expires_at=ends)


async def test_a_token_is_replaced_and_both_hold_for_a_while(
    conn: Connection, now: datetime
) -> None:
    day = timedelta(days=1)
    old = await create(conn, Role.FINANCE, now, label="desk 7", expires_at=now + 90 * day)
    [known] = await list_(conn)
    later = now + 60 * day
    new = await rotate(conn, known.token_id, day, later)
    assert await role_of(conn, old, later) is await role_of(conn, new, later) is Role.FINANCE
    assert await role_of(conn, old, later + day) is None
    made, ended = await list_(conn)
    assert (made.label, made.expires_at) == ("desk 7", later + 90 * day)
    assert ended.expires_at == later + day
    with pytest.raises(NotFound):
        await rotate(conn, known.token_id, day, later + day)
    with pytest.raises(InvalidInput, match="0 to 30 days"):
        await rotate(conn, made.token_id, 31 * day, later)
