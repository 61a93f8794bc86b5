"""Figures over HTTP: of all accounts, a customer, and a period."""

from tests.ratewire.http.staff import Staff


async def test_figures_are_those_of_the_ledger(admin: Staff) -> None:
    pay = {"account": "a1", "amount": "30.00", "currency": "EUR", "method": "cash"}
    paid = await admin.ok("POST", "billing/payments/", pay)
    back = {"reason": "moved", "amount": "5.00"}
    await admin.ok("POST", f"billing/payments/{paid['id']}/refund", back)
    whole = await admin.ok("GET", "billing/overview")
    [euro] = whole["currencies"]
    assert (euro["balance"], euro["credit"], euro["receivable"]) == ("25.00", "25.00", "0.00")
    assert euro["today"] == {"succeeded": {"payments": 1, "amount": "30.00"}}
    assert euro["accounts_by_status"] == {"active": 1, "suspended": 0, "closed": 0}
    assert sum(round(float(each) * 100) for each in euro["ledgers"].values()) == 0
    assert whole["review"] == {"unrated": 0, "anomalies": 0, "parked": 0}
    of_anna = await admin.ok("GET", "billing/customers/anna/summary")
    [account] = of_anna["accounts"]
    assert [account[name] for name in ("account", "balance", "paid", "returned")] == (
        ["a1", "25.00", "30.00", "5.00"]
    )
    assert (await admin.says("GET", "billing/customers/nobody/summary")).status == 404
    day = paid["created_at"][:10]
    where = f"billing/statistics?since={day}&step=month&time_zone=Europe/Berlin"
    found = (await admin.ok("GET", f"{where}&until=2099-01-01".replace("2099", "2028")))["data"]
    assert {each["kind"]: each["amount"] for each in found} == {
        "payment": "30.00",
        "refund": "-5.00",
    }
    assert (await admin.says("GET", f"{where}&until={day}")).status == 422
    assert (await admin.says("GET", where)).status == 400
