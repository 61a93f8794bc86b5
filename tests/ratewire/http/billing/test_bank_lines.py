"""Lines of bank files over HTTP: decided by hand."""

from base64 import b64encode
from typing import Any

from tests.billing.reconciliation.bank import Booked, camt
from tests.ratewire.http.staff import Staff


async def test_a_line_is_paired_by_hand_and_undone_and_ignored(admin: Staff) -> None:
    content = b64encode(camt(Booked("5.00", "?"), Booked("-1.00"))).decode()
    sent = {"name": "a.xml", "content": content}
    file = await admin.ok("POST", "billing/bank-files/", sent)
    money, fee = (await admin.ok("GET", f"billing/bank-lines/?file={file['id']}"))["data"]
    one = f"billing/bank-lines/{money['id']}"
    assert (fee["state"], fee["amount"]) == ("ignored", "-1.00")
    paired = await admin.ok("POST", f"{one}/pair", {"account": "a1"})
    assert (paired["state"], paired["account"], paired["score"]) == ("paired", "a1", None)
    payment = await admin.ok("GET", f"billing/payments/{paired['payment']}")
    assert (payment["amount"], payment["method"]) == ("5.00", "bank_transfer")
    undone = await admin.ok("POST", f"{one}/unpair", {"reason": "not hers"})
    assert (undone["state"], undone["payment"]) == ("new", None)

    async def said(verb: str, body: Any) -> int:
        return (await admin.says("POST", f"{one}/{verb}", body)).status

    assert await said("unpair", {"reason": "again"}) == 409
    assert await said("pair", {"account": "nobody"}) == 404
    assert await said("ignore", {"reason": "\n"}) == 422
    assert await said("ignore", {"reason": "a deposit"}) == 200
    assert await said("reopen", {"reason": "no deposit"}) == 200
    [listed] = (await admin.ok("GET", "billing/bank-lines/?state=new&limit=1"))["data"]
    assert (listed["id"], listed["reason"]) == (money["id"], "no deposit")
    trail = await admin.ok(
        "GET", f"billing/audit-trail/?subject=bank_lines&subject_id={money['id']}"
    )
    assert len(trail["data"]) == 4
