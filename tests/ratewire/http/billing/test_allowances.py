"""Allowances over HTTP."""

from ratewire.wiring import System
from tests.ratewire.http.conftest import Client
from tests.ratewire.http.staff import Staff
from tests.ratewire.office import Office


async def test_an_allowance_is_granted_once_and_listed(
    client: Client, system: System, office: Office
) -> None:
    admin = await Staff.hired(client, system)
    await office.subscribe(0)
    path = "billing/accounts/acme/allowances"
    gift = {"name": "gift", "unit": "octets", "amount": "10 GB", "reason": "an outage"}
    granted = await admin.ok("POST", path, gift, key="k")
    assert (granted["amount"], granted["source"]) == (10**10, "promotion")
    assert granted["actor"].startswith("token:")
    assert (await admin.ok("POST", path, gift, key="k"))["grant_id"] == granted["grant_id"]
    await (await system.relay()).drain()
    [listed] = (await admin.ok("GET", path))["data"]
    assert (listed["name"], listed["left"]) == ("gift", 10**10)
    assert (await admin.says("POST", path, {**gift, "amount": "ten"})).status == 422
    assert (await admin.says("GET", "billing/accounts/none/allowances")).status == 404
