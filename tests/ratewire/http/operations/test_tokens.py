"""Tokens over HTTP: made, rotated, revoked, and nowhere to be read again."""

from ratewire.wiring import System
from tests.ratewire.http.conftest import Client
from tests.ratewire.http.staff import Staff


async def test_from_making_to_revoking(client: Client, system: System) -> None:
    admin = await Staff.hired(client, system)
    wanted = {"role": "finance", "label": "desk 7", "expires_at": "2099-01-01T00:00:00Z"}
    made = await admin.ok("POST", "tokens/", wanted, key="t1")
    again = await admin.says("POST", "tokens/", wanted, key="t1")
    assert (again.status, "told once" in again.body["detail"]) == (409, True)
    holder = Staff(client, made["token"])
    assert (await holder.says("GET", "billing/accounts/")).status == 200
    assert (await holder.says("GET", "tokens/")).status == 403
    known = (await admin.ok("GET", "tokens/"))["data"][0]
    assert (known["label"], known["role"]) == ("desk 7", "finance")
    one = f"tokens/{known['token_id']}"
    rotated = await admin.ok("POST", f"{one}/rotate", {"grace_seconds": 0})
    assert (await holder.says("GET", "billing/accounts/")).status == 401
    successor = Staff(client, rotated["token"])
    assert (await successor.says("GET", "billing/accounts/")).status == 200
    assert (await admin.says("POST", f"{one}/rotate")).status == 404
    newest = (await admin.ok("GET", "tokens/"))["data"][0]
    assert (await admin.ok("DELETE", f"tokens/{newest['token_id']}"))["revoked_at"] is not None
    assert (await successor.says("GET", "billing/accounts/")).status == 401
    assert (await admin.says("POST", "tokens/", {**wanted, "expires_at": None})).status == 201
    past = await admin.says("POST", "tokens/", {**wanted, "expires_at": "2001-01-01T00:00:00Z"})
    assert past.status == 422
    async with (await system.pool()).acquire() as conn:
        kept: list[bytes] = [row[0] for row in await conn.fetch("SELECT answer FROM http_requests")]
    assert kept
    assert not any(made["token"].encode() in answer for answer in kept)
