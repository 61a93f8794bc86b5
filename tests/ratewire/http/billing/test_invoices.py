"""Invoices over HTTP, from draft to paid, with their files."""

import io
from typing import Any

import pytest
from pypdf import PdfReader

from tests.ratewire.http.staff import Staff

INVOICES = "billing/invoices/"


def asked(*amounts: str, **more: Any) -> dict[str, Any]:
    """A draft of fees for account b1."""
    lines = [{"kind": "fee", "description": "Line fee", "unit_price": each} for each in amounts]
    return {"account": "b1", "lines": lines, **more}


@pytest.fixture
async def clerk(issuer: Staff) -> Staff:
    """A member of staff where account b1 is postpaid."""
    new = {"id": "b1", "currency": "EUR", "payment_mode": "postpaid", "customer": "anna"}
    await issuer.ok("POST", "billing/accounts/", new)
    return issuer


async def test_from_preview_to_paid(clerk: Staff) -> None:
    wanted = asked("10.00", reference="PO 7")
    wanted["lines"][0] |= {"quantity": "1.5", "discount": "5.00"}
    shown = await clerk.ok("POST", f"{INVOICES}preview", wanted)
    assert (shown["id"], shown["net"], shown["tax"], shown["total"]) == (
        *(None, "10.00", "1.90", "11.90"),
    )
    draft = await clerk.ok("POST", INVOICES, wanted, key="d1")
    assert (await clerk.ok("POST", INVOICES, wanted, key="d1"))["id"] == draft["id"]
    one = f"{INVOICES}{draft['id']}"
    assert {**draft, "id": None, "revision": 0, "created_at": None} == shown
    wanted["note"] = "Thank you"
    changed = await clerk.says("PUT", one, wanted, if_match='"1"')
    assert (changed.body["note"], changed.headers["ETag"]) == ("Thank you", '"2"')
    assert (await clerk.says("PUT", one, wanted, if_match='"1"')).status == 409
    final = await clerk.ok("POST", f"{one}/finalize", key="f1")
    assert (final["status"], final["number"][:4], final["left"]) == ("open", "INV-", "11.90")
    assert (await clerk.says("PUT", one, wanted)).status == 409
    replayed = await clerk.says("POST", f"{one}/finalize", key="f1")
    assert (replayed.body, replayed.headers["Idempotency-Replayed"]) == (final, "true")
    assert (await clerk.says("POST", f"{one}/finalize")).status == 409
    pay = {"account": "b1", "amount": "11.90", "currency": "EUR", "method": "cash"}
    await clerk.ok("POST", "billing/payments/", pay)
    paid = await clerk.ok("GET", one)
    assert (paid["status"], paid["paid"], paid["left"]) == ("paid", "11.90", "0.00")


async def test_what_becomes_of_them_unpaid(clerk: Staff) -> None:
    ids = [(await clerk.ok("POST", INVOICES, asked("10.00")))["id"] for _ in range(4)]
    gone, voided, reissued, lost = (f"{INVOICES}{each}" for each in ids)
    assert (await clerk.says("DELETE", gone)).status == 204
    assert (await clerk.says("GET", gone)).status == 404
    for one in (voided, reissued, lost):
        await clerk.ok("POST", f"{one}/finalize")
    assert (await clerk.says("DELETE", voided)).status == 204
    assert (await clerk.ok("GET", voided))["status"] == "void"
    assert (await clerk.says("POST", f"{voided}/void")).status == 409
    again = await clerk.ok("POST", f"{reissued}/reissue")
    assert (again["status"], again["replaces"]) == ("draft", ids[2])
    off = await clerk.ok("POST", f"{lost}/mark_uncollectible")
    assert (off["status"], off["written_off"]) == ("uncollectible", "11.90")
    await clerk.ok("POST", "billing/accounts/b1/balance", {"amount": "5.00", "reason": "goodwill"})
    part = await clerk.ok("POST", INVOICES, asked("20.00"))
    first = await clerk.ok("POST", f"{INVOICES}{part['id']}/finalize")
    assert (first["paid"], first["left"]) == ("5.00", "18.80")
    await clerk.ok("POST", "billing/accounts/b1/balance", {"amount": "8.80", "reason": "goodwill"})
    assert (await clerk.ok("POST", f"{INVOICES}{part['id']}/pay"))["left"] == "10.00"


async def test_they_are_found_in_pages(clerk: Staff) -> None:
    ids: list[int] = []
    for days in (30, 10, 20):
        draft = await clerk.ok("POST", INVOICES, asked("10.00", payment_days=days))
        await clerk.ok("POST", f"{INVOICES}{draft['id']}/finalize")
        ids.append(draft["id"])

    async def pages(query: str) -> list[int]:
        found: list[int] = []
        cursor = ""
        while True:
            page = await clerk.ok("GET", f"{INVOICES}?limit=1&account=b1&{query}{cursor}")
            found += [each["id"] for each in page["data"]]
            if page["next"] is None:
                return found
            cursor = f"&cursor={page['next']}"

    assert await pages("status=open") == ids[::-1]
    assert await pages("sort=due") == [ids[1], ids[2], ids[0]]
    assert await pages("overdue=true") == await pages("total_from=11.91") == []
    assert len(await pages("number=INV-&total_to=11.90&partly_paid=false&kind=invoice")) == 3
    for wrong in ("sort=due&cursor=7", "sort=due&cursor=x_7", "cursor=2026-01-01_7", "sort=size"):
        assert (await clerk.says("GET", f"{INVOICES}?{wrong}")).status == 400, wrong


async def test_its_files_and_its_way_to_the_customer(clerk: Staff) -> None:
    draft = await clerk.ok("POST", INVOICES, asked("10.00"))
    one = f"{INVOICES}{draft['id']}"
    assert (await clerk.says("GET", f"{one}/xml")).status == 409
    assert (await clerk.says("POST", f"{one}/send")).status == 409
    final = await clerk.ok("POST", f"{one}/finalize")
    headers = {"Authorization": f"Bearer {clerk.token}"}
    first, again, xml = b"", b"", b""
    async with clerk.client.get(f"/api/v1/{one}/pdf", headers=headers) as answer:
        assert answer.content_type == "application/pdf"
        assert answer.headers["Content-Disposition"] == (
            f'inline; filename="invoice-{draft["id"]}.pdf"'
        )
        first = await answer.read()
    async with clerk.client.get(f"/api/v1/{one}/pdf", headers=headers) as answer:
        again = await answer.read()
    async with clerk.client.get(f"/api/v1/{one}/xml?syntax=cii", headers=headers) as answer:
        assert answer.content_type == "application/xml"
        xml = await answer.read()
    assert first == again
    text = "".join(page.extract_text() for page in PdfReader(io.BytesIO(first)).pages)
    assert final["number"] in text
    assert final["number"].encode() in xml
    queued = await clerk.ok("POST", f"{one}/send", {"kind": "reminder"})
    [message] = (await clerk.ok("GET", "billing/messages/?account=b1"))["data"]
    assert (message["message_id"], message["status"]) == (queued["message"], "queued")


@pytest.mark.parametrize(
    ("change", "status", "detail"),
    [
        ({"lines": [{"description": "x"}]}, 400, "missing required field `unit_price`"),
        ({"account": "nobody"}, 404, "account nobody"),
        ({"kind": "topup"}, 422, "b1 is postpaid"),
        ({"language": "xx"}, 422, "allowed are en"),
        ({"lines": [{"description": "x", "unit_price": "1", "discount": "2"}]}, 422, "line 1"),
        ({"lines": [{"description": "x", "unit_price": "9999999999"}]}, 422, "unit_price"),
        ({"lines": [{"description": "x", "unit_price": "1", "discount": "-1"}]}, 422, "0 or more"),
        (
            {"lines": [{"description": "x", "unit_price": "9e9"}]},
            *(400, "Expected `str` matching regex"),
        ),
    ],
)
async def test_what_cannot_be_a_draft(
    clerk: Staff, change: dict[str, Any], status: int, detail: str
) -> None:
    said = await clerk.says("POST", INVOICES, {**asked("1.00"), **change})
    assert said.status == status
    assert detail in said.body["detail"]
