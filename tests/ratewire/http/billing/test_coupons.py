"""Coupons over HTTP."""

from tests.ratewire.http.staff import Staff

COUPONS = "billing/coupons/"


async def test_made_given_taken_back_withdrawn(seller: Staff) -> None:
    new = {"code": "SPRING", "description": "Spring", "percent": "12.5", "cycles": None}
    made = await seller.ok("POST", COUPONS, new)
    assert (made["percent"], made["amount"], made["cycles"]) == ("12.5", None, None)
    fixed = {"code": "FIVE", "description": "Five", "amount": "5.00", "currency": "EUR"}
    assert (await seller.ok("POST", COUPONS, fixed))["amount"] == "5.00"
    assert (await seller.says("POST", COUPONS, fixed)).status == 409
    assert (await seller.says("POST", COUPONS, {**fixed, "percent": "1"})).status == 422
    page = await seller.ok("GET", f"{COUPONS}?limit=1")
    assert ([each["code"] for each in page["data"]], page["next"]) == (["FIVE"], "FIVE")
    given = await seller.ok("POST", f"{COUPONS}SPRING/redeem", {"account": "b1"}, key="c1")
    assert given["redemptions"] == 1
    assert (await seller.says("POST", f"{COUPONS}SPRING/redeem", {"account": "b1"})).status == 409
    assert (await seller.says("POST", f"{COUPONS}SPRING/revoke", {"account": "b1"})).status == 204
    assert (await seller.ok("POST", f"{COUPONS}SPRING/withdraw"))["withdrawn_at"] is not None
    assert (await seller.ok("GET", f"{COUPONS}SPRING"))["withdrawn_at"] is not None
