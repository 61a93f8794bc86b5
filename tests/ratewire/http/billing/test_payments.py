"""Payments over HTTP, from money in to money out."""

from tests.ratewire.http.staff import Staff

PAYMENTS = "billing/payments/"


def cash(amount: str, **more: str) -> dict[str, str]:
    return {"account": "a1", "amount": amount, "currency": "EUR", "method": "cash", **more}


async def test_received_refunded_disputed(admin: Staff) -> None:
    paid = await admin.ok("POST", PAYMENTS, cash("30.00", reference="RF18"))
    one = f"{PAYMENTS}{paid['id']}"
    assert (paid["status"], paid["refundable"]) == ("succeeded", "30.00")
    back = await admin.ok("POST", f"{one}/refund", {"reason": "moved", "amount": "5.00"})
    assert back["amount"] == "5.00"
    assert (await admin.ok("GET", f"{one}/refunds"))["data"] == [back]
    opened = await admin.ok("POST", f"{one}/chargebacks", {"reference": "cb1", "amount": "20.00"})
    assert (
        await admin.says("POST", f"{one}/refund", {"reason": "x", "amount": "6.00"})
    ).status == 409
    [listed] = (await admin.ok("GET", "billing/chargebacks/?status=open"))["data"]
    assert listed == opened
    ended = await admin.ok(
        "PATCH", f"billing/chargebacks/{opened['id']}", {"status": "lost", "fee": "15.00"}
    )
    assert (ended["status"], ended["fee"]) == ("lost", "15.00")
    read = await admin.ok("GET", one)
    assert (read["refunded"], read["lost"], read["refundable"]) == ("5.00", "20.00", "5.00")
    assert (await admin.ok("GET", "billing/accounts/a1"))["balance"] == "5.00"


async def test_pending_until_something_is_heard(admin: Staff) -> None:
    paid = await admin.ok("POST", PAYMENTS, cash("1.00", status="pending"))
    assert (await admin.ok("GET", "billing/accounts/a1"))["balance"] == "0.00"
    one = f"{PAYMENTS}{paid['id']}"
    assert (await admin.ok("PATCH", one, {"status": "succeeded"}))["settled_at"] is not None
    assert (await admin.says("PATCH", one, {"status": "failed"})).status == 409
    assert (await admin.ok("GET", "billing/accounts/a1"))["balance"] == "1.00"


async def test_they_are_found(admin: Staff) -> None:
    ids = [(await admin.ok("POST", PAYMENTS, cash(f"{n}.00")))["id"] for n in (1, 2, 3)]
    page = await admin.ok("GET", f"{PAYMENTS}?limit=2&method=cash")
    assert [each["id"] for each in page["data"]] == [ids[2], ids[1]]
    rest = await admin.ok("GET", f"{PAYMENTS}?limit=2&cursor={page['next']}")
    assert ([each["id"] for each in rest["data"]], rest["next"]) == ([ids[0]], None)
    assert (await admin.says("GET", f"{PAYMENTS}?cursor=x")).status == 400
    for body, status in (
        (cash("0.001"), 422),
        (cash("ten"), 400),
        (cash("1") | {"account": "z"}, 404),
    ):
        assert (await admin.says("POST", PAYMENTS, body)).status == status
