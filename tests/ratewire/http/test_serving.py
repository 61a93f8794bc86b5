"""What is common to all endpoints: what is read, done once, and told."""

import asyncio
import io
from typing import Any

import pytest

from billing.tokens.register import Role
from ratewire.wiring import System
from tests.ratewire.http.conftest import Client
from tests.ratewire.http.staff import Staff

ACCOUNTS = "billing/accounts/"


@pytest.fixture
async def admin(client: Client, system: System) -> Staff:
    """Somebody who may do everything, with an account of name a1 to do it to."""
    staff = await Staff.hired(client, system)
    await staff.ok("POST", ACCOUNTS, {"id": "a1", "currency": "EUR"})
    return staff


async def test_under_a_key_it_is_done_once(admin: Staff) -> None:
    pay = {"account": "a1", "amount": "10.00", "currency": "EUR", "method": "cash"}
    answers = await asyncio.gather(
        *(admin.says("POST", "billing/payments/", pay, key="k1") for _ in range(20))
    )
    assert {said.status for said in answers} == {201}
    assert len({said.body["id"] for said in answers}) == 1
    replayed = [said.headers.get("Idempotency-Replayed") for said in answers]
    assert (replayed.count("true"), replayed.count(None)) == (19, 1)
    other = await admin.says("POST", "billing/payments/", {**pay, "amount": "11.00"}, key="k1")
    assert (other.status, other.body["type"]) == (422, "urn:ratewire:key-reused")
    assert (await admin.ok("GET", f"{ACCOUNTS}a1"))["balance"] == "10.00"


async def test_a_key_is_its_tokens_own_and_free_after_a_failure(
    admin: Staff, client: Client, system: System
) -> None:
    adjust = {"amount": "-1.00", "reason": "fee"}
    path = f"{ACCOUNTS}a1/balance"
    assert (await admin.says("POST", path, adjust, key="k")).status == 409
    await admin.ok("POST", path, {"amount": "5.00", "reason": "goodwill"})
    assert (await admin.says("POST", path, adjust, key="k")).status == 201
    finance = await Staff.hired(client, system, Role.FINANCE)
    assert (await finance.says("POST", path, {"amount": "1", "reason": "r"}, key="f")).status == 201


@pytest.mark.parametrize(
    ("body", "pointer", "detail"),
    [
        ({"id": 7, "currency": "EUR"}, "/id", "Expected `str`, got `int`"),
        ({"id": "a"}, "", "missing required field `currency`"),
        ({"id": "a", "currency": "EUR", "colour": "red"}, "", "unknown field `colour`"),
        ({"id": "a", "currency": "EUR", "payment_mode": "x"}, "/payment_mode", "Invalid enum"),
        ([], "", "Expected `object`, got `array`"),
    ],
)
async def test_a_fault_of_the_body_is_told_with_its_place(
    admin: Staff, body: Any, pointer: str, detail: str
) -> None:
    said = await admin.says("POST", ACCOUNTS, body)
    assert (said.status, said.body["type"]) == (400, "urn:ratewire:bad-request")
    [fault] = said.body["errors"]
    assert fault["pointer"] == pointer
    assert detail in fault["detail"]


async def test_what_is_no_json_or_no_query(admin: Staff, client: Client) -> None:
    headers = {"Authorization": f"Bearer {admin.token}"}
    url = f"/api/v1/{ACCOUNTS}"
    async with client.post(url, data=b"{", headers=headers) as answer:
        assert answer.status == 415
    headers["Content-Type"] = "application/json"
    for octets in (b"{", b"", b'"\xff"', b"1" * 5000):
        async with client.post(url, data=octets, headers=headers) as answer:
            assert answer.status == 400, octets
    async with client.post(url, data=io.BytesIO(b" " * 1_100_000), headers=headers) as answer:
        assert answer.status == 413
    for query in ("limit=0", "limit=1001", "limit=x", "colour=red", "limit=1&limit=2"):
        said = await admin.says("GET", f"{ACCOUNTS}?{query}")
        assert said.status == 400, query
        assert said.body["errors"][0]["pointer"].startswith("?"), said
    assert (await admin.says("GET", "billing/payments/x")).status == 404
    assert (await admin.says("GET", f"billing/payments/{2**63}")).status == 404
    assert (await admin.says("GET", f"{ACCOUNTS}a1", {"a": 1})).status == 400


async def test_a_change_asks_for_what_was_read(admin: Staff) -> None:
    read = await admin.says("GET", f"{ACCOUNTS}a1")
    assert read.headers["ETag"] == '"1"'
    changed = await admin.says(
        "PATCH", f"{ACCOUNTS}a1", {"language": "de"}, if_match=read.headers["ETag"]
    )
    assert (changed.status, changed.headers["ETag"]) == (200, '"2"')
    stale = await admin.says("PATCH", f"{ACCOUNTS}a1", {"language": "fr"}, if_match='"1"')
    assert (stale.status, stale.body["type"]) == (409, "urn:ratewire:conflict")
    assert (await admin.says("PATCH", f"{ACCOUNTS}a1", {}, if_match="x")).status == 400
    assert (await admin.says("PATCH", f"{ACCOUNTS}a1", {}, if_match="*")).status == 200


async def test_a_request_has_a_name_that_is_on_the_trail(admin: Staff) -> None:
    said = await admin.says(
        "PATCH", f"{ACCOUNTS}a1", {"status": "suspended"}, **{"X-Request-Id": "ticket-7"}
    )
    assert said.headers["X-Request-Id"] == "ticket-7"
    [event] = (await admin.ok("GET", "billing/audit-trail/?request_id=ticket-7"))["data"]
    assert (event["before"], event["after"]) == ({"status": "active"}, {"status": "suspended"})
    assert event["actor"].startswith("token:")
    assert event["source"] == "127.0.0.1"
    odd = await admin.says("GET", f"{ACCOUNTS}nobody", **{"X-Request-Id": "x y"})
    assert odd.headers["X-Request-Id"] == odd.body["request_id"] != "x y"
