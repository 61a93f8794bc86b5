"""Credit notes over HTTP: of a line, of the rest, and never above what is left."""

from tests.ratewire.http.staff import Staff

NOTES = "billing/credit-notes/"


async def test_an_invoice_is_credited(issuer: Staff) -> None:
    lines = [{"description": name, "unit_price": "10.00"} for name in ("Router", "Cable")]
    new = {"id": "b1", "currency": "EUR", "payment_mode": "postpaid", "customer": "anna"}
    await issuer.ok("POST", "billing/accounts/", new)
    draft = await issuer.ok("POST", "billing/invoices/", {"account": "b1", "lines": lines})
    invoice = draft["id"]
    await issuer.ok("POST", f"billing/invoices/{invoice}/finalize")
    pay = {"account": "b1", "amount": "20.00", "currency": "EUR", "method": "cash"}
    await issuer.ok("POST", "billing/payments/", pay)
    part = {"invoice": invoice, "reason": "broken", "lines": [{"line": 1}], "refund": "8.10"}
    note = await issuer.ok("POST", NOTES, part, key="n1")
    amounts = [note[name] for name in ("net", "tax", "total", "offset", "refund", "credit")]
    assert amounts == ["10.00", "1.90", "11.90", "3.80", "8.10", "0.00"]
    assert await issuer.ok("POST", NOTES, part, key="n1") == note
    one = f"{NOTES}{note['id']}"
    assert await issuer.ok("GET", one) == note
    above = {"invoice": invoice, "reason": "x", "lines": [{"line": 2, "amount": "11.91"}]}
    assert (await issuer.says("POST", NOTES, above)).status == 409
    assert (await issuer.says("POST", NOTES, {**part, "refund": "-1"})).status == 422
    rest = await issuer.ok("POST", NOTES, {"invoice": invoice, "reason": "returned"})
    assert (rest["total"], rest["credit"]) == ("11.90", "11.90")
    listed = await issuer.ok("GET", f"{NOTES}?account=b1&limit=1")
    assert [each["number"] for each in listed["data"]] == [rest["number"]]
    older = await issuer.ok("GET", f"{NOTES}?invoice={invoice}&cursor={listed['next']}")
    assert [each["id"] for each in older["data"]] == [note["id"]]
    headers = {"Authorization": f"Bearer {issuer.token}"}
    for kind, begins in (("pdf", b"%PDF"), ("xml", b"<?xml")):
        async with issuer.client.get(f"/api/v1/{one}/{kind}", headers=headers) as answer:
            assert (await answer.read()).startswith(begins)
