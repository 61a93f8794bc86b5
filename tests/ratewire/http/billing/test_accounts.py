"""Accounts: opened, changed, adjusted; their money live and as it was posted."""

import asyncio

from ratewire.wiring import System
from tests.ratewire.http.staff import Staff

A1 = "billing/accounts/a1"


async def test_an_account_is_opened_found_and_changed(admin: Staff) -> None:
    read = await admin.ok("GET", A1)
    assert (read["customer"], read["balance"], read["credit_limit"]) == ("anna", "0.00", "0.00")
    new = {"id": "b1", "currency": "JPY", "payment_mode": "postpaid", "credit_limit": "unlimited"}
    made = await admin.ok("POST", "billing/accounts/", new)
    assert (made["credit_limit"], made["payment_mode"]) == (None, "postpaid")
    assert (await admin.says("POST", "billing/accounts/", new)).status == 409
    first = await admin.ok("GET", "billing/accounts/?limit=1")
    assert ([each["id"] for each in first["data"]], first["next"]) == (["a1"], "a1")
    rest = await admin.ok("GET", f"billing/accounts/?cursor={first['next']}")
    assert ([each["id"] for each in rest["data"]], rest["next"]) == (["b1"], None)
    only = await admin.ok("GET", "billing/accounts/?currency=JPY&status=active")
    assert [each["id"] for each in only["data"]] == ["b1"]
    changed = await admin.ok(
        "PATCH", A1, {"credit_limit": "20.00", "time_zone": "Europe/Berlin", "customer": None}
    )
    assert (changed["credit_limit"], changed["customer"]) == ("20.00", None)
    bad = await admin.says("PATCH", A1, {"status": "suspended", "time_zone": "Mars/Crater"})
    assert bad.status == 422
    assert (await admin.ok("GET", A1))["status"] == "active"
    assert (await admin.says("PATCH", A1, {"payer": "b1"})).status == 409


async def test_its_money_is_posted_and_live(admin: Staff, system: System) -> None:
    done = await admin.ok("POST", f"{A1}/balance", {"amount": "10.00", "reason": "goodwill"})
    assert (done["amount"], done["balance"]) == ("10.00", "10.00")
    await admin.ok("POST", f"{A1}/balance", {"amount": "-2.50", "reason": "fee"})
    much = {"amount": "-8.00", "reason": "fee"}
    assert (await admin.says("POST", f"{A1}/balance", much)).status == 409
    listed = await admin.ok("GET", f"{A1}/transactions?limit=1")
    assert [(row["amount"], row["balance"]) for row in listed["data"]] == [("-2.50", "7.50")]
    older = await admin.ok("GET", f"{A1}/transactions?cursor={listed['next']}")
    assert [(row["amount"], row["description"]) for row in older["data"]] == [("10.00", "goodwill")]
    await (await system.relay()).drain()
    async with asyncio.timeout(10):
        live = await admin.ok("GET", f"{A1}/balance")
    assert (live["balance"], live["reserved"], live["available"]) == ("7.50", "0.00", "7.50")
    assert (await admin.says("GET", "billing/accounts/nobody/balance")).status == 404
