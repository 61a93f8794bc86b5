"""How an account pays, over HTTP."""

from tests.ratewire.http.staff import Staff


async def test_how_an_account_pays(admin: Staff) -> None:
    methods = "billing/accounts/a1/payment-methods"
    card = {"kind": "card", "gateway": "stripe", "label": "Visa 4242", "token": "pm_1"}
    one = await admin.ok("POST", methods, card)
    two = await admin.ok("POST", methods, card)
    assert (one["is_default"], two["is_default"], "token" in one) == (True, False, False)
    await admin.ok("POST", f"billing/payment-methods/{two['method_id']}/default")
    gone = await admin.says("DELETE", f"billing/payment-methods/{one['method_id']}")
    assert (gone.status, gone.body) == (204, None)
    [left] = (await admin.ok("GET", methods))["data"]
    assert (left["method_id"], left["is_default"]) == (two["method_id"], True)
    bad = card | {"label": "4242 4242 4242 4242"}
    assert (await admin.says("POST", methods, bad)).status == 422
