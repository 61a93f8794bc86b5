"""Subscribers come and go over HTTP."""

from ratewire.wiring import System
from tests.ratewire.http.conftest import Client
from tests.ratewire.http.staff import Staff
from tests.ratewire.office import Office


async def test_a_subscriber_comes_and_goes(client: Client, system: System, office: Office) -> None:
    admin = await Staff.hired(client, system)
    await office.subscribe(5_000_000)
    account = (await admin.ok("GET", "billing/accounts/"))["data"][0]
    plans = (await admin.ok("GET", "plans"))["data"]
    plan = next(p["name"] for p in plans if p["tariff"]["currency"] == account["currency"])
    account = account["id"]
    new = {"username": "carol", "account": account, "plan": plan, "password": "s3cret"}
    made = await admin.ok("POST", "subscribers", new)
    assert (made["has_password"], "password" in made) == (True, False)
    assert await admin.ok("GET", "subscribers/carol") == made
    listed = await admin.ok("GET", f"subscribers?account={account}")
    assert "carol" in [each["username"] for each in listed["data"]]
    assert (await admin.says("POST", "subscribers", new)).status == 409
    assert (await admin.says("DELETE", "subscribers/carol")).status == 204
    assert (await admin.says("GET", "subscribers/carol")).status == 404
