"""Customers: created, found, changed as they were read, exported and erased."""

from tests.ratewire.http.staff import Staff


async def test_from_creation_to_erasure(admin: Staff) -> None:
    anna = "billing/customers/anna"
    read = await admin.says("GET", anna)
    assert (read.body["details"]["name"], read.headers["ETag"]) == ("Anna Weiß", '"1"')
    listed = await admin.ok("GET", "billing/customers/?containing=wei%C3%9F&limit=1")
    assert ([each["id"] for each in listed["data"]], listed["next"]) == (["anna"], None)
    changed = await admin.ok("PUT", f"{anna}/details", {"name": "Anna Roth"}, if_match='"1"')
    assert (changed["revision"], changed["details"]["name"]) == (2, "Anna Roth")
    told = await admin.ok("GET", f"{anna}/export")
    assert [each["account"] for each in told["accounts"]] == ["a1"]
    assert (await admin.says("POST", f"{anna}/erasure")).status == 409
    await admin.ok("PATCH", "billing/accounts/a1", {"status": "closed"})
    erased = await admin.ok("POST", f"{anna}/erasure")
    assert erased["details"] is None
    assert (await admin.says("PUT", f"{anna}/details", {"name": "x"})).status == 409
    assert (await admin.says("GET", "billing/customers/nobody")).status == 404
    bad = {"id": "b", "details": {"country": "Germany"}}
    assert (await admin.says("POST", "billing/customers/", bad)).status == 422
