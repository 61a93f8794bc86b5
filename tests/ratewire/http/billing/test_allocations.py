"""Which invoices a payment pays, over HTTP."""

from typing import Any

from tests.ratewire.http.staff import Staff


async def test_a_payment_pays_what_is_due_first_or_what_it_is_told(issuer: Staff) -> None:
    new = {"id": "b1", "currency": "EUR", "payment_mode": "postpaid", "customer": "anna"}
    await issuer.ok("POST", "billing/accounts/", new)
    ids: list[int] = []
    for days in (20, 10):
        lines = [{"description": "Router", "unit_price": "10.00"}]
        asked = {"account": "b1", "lines": lines, "payment_days": days}
        draft = await issuer.ok("POST", "billing/invoices/", asked)
        await issuer.ok("POST", f"billing/invoices/{draft['id']}/finalize")
        ids.append(draft["id"])

    async def left() -> list[str]:
        return [(await issuer.ok("GET", f"billing/invoices/{each}"))["left"] for each in ids]

    pay = {"account": "b1", "amount": "15.00", "currency": "EUR", "method": "cash"}
    paid = await issuer.ok("POST", "billing/payments/", pay)
    assert (paid["allocated"], await left()) == ("15.00", ["8.80", "0.00"])
    where = f"billing/payments/{paid['id']}/allocations"
    first, second = (await issuer.ok("GET", where))["data"]
    assert (first["invoice"], second["invoice"]) == (ids[1], ids[0])
    off = f"billing/allocations/{first['id']}/release"
    part = await issuer.ok("POST", off, {"amount": "1.90"}, key="r1")
    assert await issuer.ok("POST", off, {"amount": "1.90"}, key="r1") == part
    assert (part["released"], await left()) == ("1.90", ["8.80", "1.90"])
    assert (await issuer.ok("POST", off))["released"] == "11.90"
    assert (await issuer.says("POST", off)).status == 409

    async def put(**body: Any) -> Any:
        return await issuer.says("POST", where, body)

    assert (await put(invoice=ids[0], amount="8.81")).status == 409
    assert (await put(invoice=ids[0])).status == 422
    assert (await put(invoice=2**62, amount="1.00")).status == 404
    assert (await put(invoice=ids[0], amount="2.00")).status == 201
    assert [each["amount"] for each in (await put()).body["data"]] == ["9.90"]
    assert await left() == ["6.80", "2.00"]
    pending = await issuer.ok("POST", "billing/payments/", {**pay, "status": "pending"})
    one = f"billing/payments/{pending['id']}"
    kept = await issuer.ok("PATCH", one, {"status": "succeeded", "allocate": "none"})
    assert kept["unallocated"] == "15.00"
    held = (await issuer.ok("GET", f"billing/invoices/{ids[1]}/allocations"))["data"]
    assert sum(float(e["amount"]) - float(e["released"]) for e in held) == 9.9
