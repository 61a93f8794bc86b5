"""Bank files over HTTP: an invoice paid by one."""

from base64 import b64encode
from io import BytesIO
from typing import Any

import msgspec

from tests.billing.reconciliation.bank import Booked, camt
from tests.ratewire.http.staff import Staff


def sent(content: bytes, **more: Any) -> dict[str, Any]:
    return {"name": "march.xml", "content": b64encode(content).decode(), **more}


async def test_an_invoice_is_paid_by_a_bank_file(issuer: Staff) -> None:
    new = {"id": "b1", "currency": "EUR", "payment_mode": "postpaid", "customer": "anna"}
    await issuer.ok("POST", "billing/accounts/", new)
    lines = [{"description": "Router", "unit_price": "10.00"}]
    draft = await issuer.ok("POST", "billing/invoices/", {"account": "b1", "lines": lines})
    await issuer.ok("POST", f"billing/invoices/{draft['id']}/finalize")
    where = f"billing/invoices/{draft['id']}"
    number = (await issuer.ok("GET", where))["number"]
    content = camt(Booked("11.90", f"Rechnung {number}", "ANNA WEISS"), Booked("3.00", "?"))
    file = await issuer.ok("POST", "billing/bank-files/", sent(content))
    assert (file["lines"], file["repeated"]) == ({"new": 2}, False)
    again = await issuer.ok("POST", "billing/bank-files/", sent(content))
    assert again == {**file, "repeated": True}
    one = f"billing/bank-files/{file['id']}"
    assert await issuer.ok("GET", one) == file
    assert (await issuer.ok("GET", "billing/bank-files/"))["data"] == [file]
    paid, unknown = (await issuer.ok("GET", f"{one}/preview"))["data"]
    assert (paid["certain"], paid["proposals"][0]["score"]) == ("b1", 100)
    assert (unknown["certain"], unknown["proposals"]) == (None, [])
    done = await issuer.ok("POST", f"{one}/process")
    assert (len(done["paired"]), done["left"], done["failed"]) == (1, 1, 0)
    assert (await issuer.ok("POST", f"{one}/process"))["paired"] == []
    assert (await issuer.ok("GET", where))["status"] == "paid"
    part = await issuer.ok("GET", f"{one}/preview?limit=1&threshold=90")
    assert (len(part["data"]), part["next"]) == (1, None)


async def test_a_file_that_is_damaged_is_refused_with_its_faults(admin: Staff) -> None:
    broken = camt(Booked("1.00"), Booked("2.00")).replace(b"CRDT</CdtDbtInd>\n", b"X</CdtDbtInd>\n")
    said = await admin.says("POST", "billing/bank-files/", sent(broken))
    assert said.status == 422
    assert "entry 1" in said.body["detail"]
    assert "entry 2" in said.body["detail"]
    assert (await admin.ok("GET", "billing/bank-files/"))["data"] == []
    table = b"date,amount,currency,payer,reference\n2026-03-02,1.00,EUR,,\n"
    assert (await admin.says("POST", "billing/bank-files/", sent(table))).status == 422
    assert (await admin.ok("POST", "billing/bank-files/", sent(table, csv={})))["format"] == "csv"


async def test_a_file_may_be_larger_than_other_bodies_and_comes_back_as_it_was(
    admin: Staff,
) -> None:
    content = camt(Booked("1.00", "x" * 400)) + b" " * 2_000_000
    headers = {"Authorization": f"Bearer {admin.token}", "Content-Type": "application/json"}

    async def post(path: str, body: Any) -> tuple[int, Any]:
        large = BytesIO(msgspec.json.encode(body))
        url = f"/api/v1/billing/{path}/"
        async with admin.client.post(url, data=large, headers=headers) as answer:
            return answer.status, await answer.json()

    status, file = await post("bank-files", sent(content))
    assert status == 201
    path = f"/api/v1/billing/bank-files/{file['id']}/content"
    async with admin.client.get(path, headers=headers) as answer:
        assert await answer.read() == content
    assert (await post("customers", {"id": "x" * 2_000_000}))[0] == 413
