"""Vouchers over HTTP: their codes are told once."""

from ratewire.wiring import System
from tests.ratewire.http.staff import Staff

BATCHES = "billing/voucher-batches/"


async def test_made_redeemed_withdrawn(admin: Staff, system: System) -> None:
    new = {"currency": "EUR", "amount": "5.00", "vouchers": 2}
    made = await admin.ok("POST", BATCHES, new, key="b1")
    again = await admin.says("POST", BATCHES, new, key="b1")
    assert (again.status, "told once" in again.body["detail"]) == (409, True)
    assert len((await admin.ok("GET", BATCHES))["data"]) == 1
    async with (await system.pool()).acquire() as conn:
        assert [row[0] for row in await conn.fetch("SELECT answer FROM http_requests")] == [b""]
    one = f"{BATCHES}{made['id']}"
    assert "codes" not in await admin.ok("GET", one)
    redeem = {"account": "a1", "code": made["codes"][0].lower()}
    paid = await admin.ok("POST", "billing/vouchers/redemptions", redeem)
    assert (paid["method"], paid["amount"]) == ("voucher", "5.00")
    assert (await admin.ok("GET", BATCHES))["data"][0]["redeemed"] == 1
    assert (await admin.ok("POST", f"{one}/withdrawal"))["withdrawn_at"] is not None
    redeem["code"] = made["codes"][1]
    assert (await admin.says("POST", "billing/vouchers/redemptions", redeem)).status == 409
    redeem["code"] = "2345"
    assert (await admin.says("POST", "billing/vouchers/redemptions", redeem)).status == 422
