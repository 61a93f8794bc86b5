"""An account is suspended as long as one cause of it holds."""

from datetime import datetime

import pytest

from billing.accounts import register as accounts
from billing.accounts.account import AccountStatus
from billing.database import Connection
from billing.errors import Conflict, InvalidInput
from billing.suspensions import register
from billing.suspensions.register import Cause


async def status(conn: Connection) -> AccountStatus:
    return (await accounts.get(conn, "alice")).status


@pytest.fixture
async def alice(conn: Connection, now: datetime) -> Connection:
    await accounts.create(conn, "alice", "EUR", now=now)
    return conn


async def test_it_runs_again_when_the_last_cause_is_lifted(
    alice: Connection, now: datetime
) -> None:
    for cause in Cause:
        assert await register.suspend(alice, "alice", cause, reason="why", actor="eve", now=now)
        assert not await register.suspend(alice, "alice", cause, reason="?", actor="eve", now=now)
    assert await status(alice) is AccountStatus.SUSPENDED
    staff, dunning = Cause
    assert not await register.lift(alice, "alice", staff, reason="ok", actor="bob", now=now)
    assert await status(alice) is AccountStatus.SUSPENDED
    assert await register.lift(alice, "alice", dunning, reason="paid", actor="bob", now=now)
    assert await status(alice) is AccountStatus.ACTIVE
    listed = await register.list_(alice, "alice")
    assert [(s.cause, s.reason, s.lifted_by, s.lifted_reason) for s in listed] == [
        (staff, "why", "bob", "ok"),
        (dunning, "why", "bob", "paid"),
    ]


async def test_an_account_that_was_suspended_by_its_status_alone_was_by_staff(
    alice: Connection, now: datetime
) -> None:
    await accounts.set_status(alice, "alice", AccountStatus.SUSPENDED, now=now)
    await register.suspend(alice, "alice", Cause.DUNNING, reason="debt", actor="d", now=now)
    await register.lift(alice, "alice", Cause.DUNNING, reason="paid", actor="d", now=now)
    assert await status(alice) is AccountStatus.SUSPENDED
    assert await register.lift(alice, "alice", Cause.STAFF, reason="", actor="eve", now=now)
    await accounts.set_status(alice, "alice", AccountStatus.SUSPENDED, now=now)
    assert await register.lift(alice, "alice", Cause.STAFF, reason="", actor="eve", now=now)
    assert await status(alice) is AccountStatus.ACTIVE


async def test_what_cannot_be_is_refused(alice: Connection, now: datetime) -> None:
    with pytest.raises(InvalidInput, match="needs a reason"):
        await register.suspend(alice, "alice", Cause.STAFF, reason=" ", actor="eve", now=now)
    with pytest.raises(Conflict, match="not suspended by staff"):
        await register.lift(alice, "alice", Cause.STAFF, reason="", actor="eve", now=now)
    await accounts.set_status(alice, "alice", AccountStatus.CLOSED, now=now)
    with pytest.raises(Conflict, match="is closed"):
        await register.suspend(alice, "alice", Cause.STAFF, reason="x", actor="eve", now=now)
