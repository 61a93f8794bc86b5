"""Tokens over HTTP: made, listed, rotated, revoked. A token is told once."""

from datetime import datetime, timedelta
from typing import Annotated

import msgspec
from msgspec import Meta

from billing.tokens import register
from billing.tokens.register import MAX_GRACE, MAX_LABEL, IssuedToken, Role
from ratewire.http.endpoint import ADMIN, Call, Nothing, endpoint

DAY_S = 86_400


class TokenRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A token for a role; `label` says whose it is, `expires_at` null: until it is revoked."""

    role: Role
    label: Annotated[str, Meta(max_length=MAX_LABEL)] = ""
    expires_at: Annotated[datetime, Meta(tz=True)] | None = None


class Rotation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """For how long the old token is valid still."""

    grace_seconds: Annotated[int, Meta(ge=0, le=MAX_GRACE.days * DAY_S)] = DAY_S


class NewToken(msgspec.Struct, frozen=True):
    """A token, which cannot be read again."""

    token: str


class Tokens(msgspec.Struct, frozen=True):
    """All tokens that were ever made, newest first: their ids, and never themselves."""

    data: list[IssuedToken]


async def create(call: Call[Nothing, TokenRequest]) -> NewToken:
    """Make one."""
    new = call.body
    made = await register.create(
        call.conn, new.role, call.now, label=new.label, expires_at=new.expires_at
    )
    return NewToken(made)


async def list_(call: Call[Nothing, Nothing]) -> Tokens:
    """List them."""
    return Tokens(await register.list_(call.conn))


async def rotate(call: Call[Nothing, Rotation]) -> NewToken:
    """Make one in the place of another."""
    grace = timedelta(seconds=call.body.grace_seconds)
    return NewToken(await register.rotate(call.conn, call.path["token"], grace, call.now))


async def revoke(call: Call[Nothing, Nothing]) -> IssuedToken:
    """Make one invalid."""
    return await register.revoke_by_id(call.conn, call.path["token"], call.now)


ENDPOINTS = (
    endpoint("GET", "tokens/", "List the tokens", list_, roles=ADMIN, answer=Tokens),
    endpoint(
        "POST",
        "tokens/",
        "Make a token, which is told once",
        create,
        roles=ADMIN,
        body=TokenRequest,
        answer=NewToken,
        status=201,
        told_once=True,
    ),
    endpoint(
        "POST",
        "tokens/{token}/rotate",
        "Make a token in the place of another one, which is valid for a while still",
        rotate,
        roles=ADMIN,
        body=Rotation,
        answer=NewToken,
        status=201,
        told_once=True,
    ),
    endpoint(
        "DELETE",
        "tokens/{token}",
        "Make a token invalid, at once and for good",
        revoke,
        roles=ADMIN,
        answer=IssuedToken,
    ),
)
