"""Messages to customers over HTTP, and their templates."""

from ratewire.wiring import System
from tests.ratewire.http.staff import Staff


async def test_a_message_that_failed_is_sent_again(issuer: Staff, system: System) -> None:
    lines = [{"description": "Router", "unit_price": "100.00"}]
    new = {"id": "b1", "currency": "EUR", "payment_mode": "postpaid", "customer": "anna"}
    await issuer.ok("POST", "billing/accounts/", new)
    draft = await issuer.ok("POST", "billing/invoices/", {"account": "b1", "lines": lines})
    await issuer.ok("POST", f"billing/invoices/{draft['id']}/finalize")
    sent = await issuer.ok("POST", f"billing/invoices/{draft['id']}/send")
    again = f"billing/messages/{sent['message']}/retry"
    assert (await issuer.says("POST", again)).status == 409
    async with (await system.pool()).acquire() as conn:
        await conn.execute("UPDATE mail_messages SET status = 'failed', error = 'no mailbox'")
    [failed] = (await issuer.ok("GET", "billing/messages/?status=failed"))["data"]
    assert failed["error"] == "no mailbox"
    assert (await issuer.says("POST", again)).status == 204
    [queued] = (await issuer.ok("GET", "billing/messages/?status=queued"))["data"]
    assert queued["message_id"] == sent["message"]


async def test_the_templates_are_read(admin: Staff) -> None:
    found = (await admin.ok("GET", "billing/templates/"))["data"]
    assert len({(each["kind"], each["language"]) for each in found}) == len(found) == 20
    assert all("{{" in each["text"] for each in found)
