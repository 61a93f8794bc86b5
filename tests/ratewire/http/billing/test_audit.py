"""The trail over HTTP: who changed what, the newest first."""

from tests.ratewire.http.staff import Staff


async def test_it_is_read_in_pages(admin: Staff) -> None:
    for language in ("de", "fr", "ar"):
        await admin.ok("PATCH", "billing/accounts/a1", {"language": language})
    where = "billing/audit-trail/?subject=customer_billing_accounts&subject_id=a1"
    page = await admin.ok("GET", f"{where}&limit=2")
    assert [each["after"] for each in page["data"]] == [{"language": "ar"}, {"language": "fr"}]
    rest = await admin.ok("GET", f"{where}&cursor={page['next']}")
    assert [each["action"] for each in rest["data"]] == ["update", "insert"]
