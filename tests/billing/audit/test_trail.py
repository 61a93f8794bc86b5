"""Each change of a row that staff can change is on the trail, with who made it, and no secret."""

from datetime import datetime

import asyncpg
import msgspec
import pytest

from billing.accounts import register as accounts
from billing.accounts.account import AccountStatus
from billing.audit.trail import AuditEvent, Origin, list_, set_origin
from billing.database import Connection
from billing.payments.methods import add
from billing.payments.payment import Method
from billing.sealing.keyring import Keyring

ANNA = Origin("staff:anna", "192.0.2.7", "req-1")


def shown(raw: msgspec.Raw | None) -> dict[str, object] | None:
    return None if raw is None else msgspec.json.decode(raw)


async def events(conn: Connection, **what: str) -> list[AuditEvent]:
    return await list_(conn, **what)  # pyright: ignore[reportArgumentType]


async def test_who_from_where_before_and_after(conn: Connection, now: datetime) -> None:
    await accounts.create(conn, "alice", "EUR", now=now)
    async with conn.transaction():
        await set_origin(conn, ANNA)
        await accounts.set_status(conn, "alice", AccountStatus.SUSPENDED, now=now)
    changed, made = await events(conn, subject="customer_billing_accounts", subject_id="alice")
    assert (made.action, made.before, made.actor) == ("insert", None, "database:ratewire")
    assert (changed.actor, changed.source, changed.request_id) == (
        "staff:anna",
        "192.0.2.7",
        "req-1",
    )
    assert shown(changed.before) == {"status": "active"}
    assert shown(changed.after) == {"status": "suspended"}
    assert await events(conn, actor="staff:anna") == [changed]
    assert await events(conn, request_id="req-1") == [changed]
    assert await list_(conn, before=changed.event_id, subject="customer_billing_accounts") == [made]


async def test_the_origin_ends_with_its_transaction(conn: Connection, now: datetime) -> None:
    async with conn.transaction():
        await set_origin(conn, ANNA)
    await accounts.create(conn, "bob", "EUR", now=now)
    assert (await events(conn, subject_id="bob"))[0].actor == "database:ratewire"


async def test_what_did_not_change_is_no_event(conn: Connection, now: datetime) -> None:
    await accounts.create(conn, "alice", "EUR", now=now)
    before = await events(conn)
    await conn.execute("UPDATE customer_billing_accounts SET movement_sequence = 9")
    assert await events(conn) == before


async def test_a_secret_is_not_shown(conn: Connection, now: datetime) -> None:
    await accounts.create(conn, "alice", "EUR", now=now)
    await add(
        conn,
        Keyring([bytes(32)]),
        "alice",
        Method.CARD,
        gateway="stripe",
        token=b"pm_1",
        label="Visa",
        now=now,
    )
    [*_, made] = await events(conn, subject="payment_methods")
    after = shown(made.after)
    assert after is not None
    assert (after["token_sealed"], after["label"]) == ("(not shown)", "Visa")


async def test_nobody_changes_the_trail(conn: Connection, now: datetime) -> None:
    await accounts.create(conn, "alice", "EUR", now=now)
    for statement in ("DELETE FROM audit_events", "UPDATE audit_events SET actor = 'x'"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied"):
            await conn.execute(statement)
