"""Dry runs over HTTP."""

from balances.connection import Connection
from ratewire.wiring import System, now
from tests.ratewire.http.conftest import Client
from tests.ratewire.http.staff import Staff
from tests.ratewire.office import Office
from tests.ratewire.provider import START, STOP
from tests.ratewire.today import today

MB = 1_000_000


async def test_what_usage_costs_and_why_is_told(
    client: Client, system: System, office: Office, connection: Connection
) -> None:
    admin = await Staff.hired(client, system)
    await office.subscribe(5 * MB)
    found = await admin.ok("GET", f"rating/price?subscriber=bob&octets_out={100 * MB}")
    assert (found["charge"], found["plan"]) == ("0.20", "metered")
    assert found["lines"][0]["words"].startswith("100,000,000 octets_total")
    good = await admin.ok("GET", "rating/lasting?plan=metered&balance=1.00")
    assert (good["seconds"], good["octets"]) == (None, 500 * MB)

    provider = today(connection)
    await provider.told(START, 0, 0, 0)
    await provider.told(STOP, 60, 0, 100 * MB)
    settler = await system.settler()
    while await settler.settle_once(100):
        pass
    [charge] = (await admin.ok("GET", "rating/charges?account=acme"))["data"]
    assert (charge["charged"], charge["lines"][0]["amount"]) == ("0.20", "0.20")
    day = now().date()
    compared = await admin.ok("GET", f"rating/comparison?day={day}&plan=metered")
    assert compared["total"]["difference"] == "0.00"
    assert (await admin.says("GET", "rating/price?subscriber=nobody")).status == 404
    assert (await admin.says("GET", "rating/price?plan=metered&at=noon")).status == 422
    assert (await admin.says("GET", "rating/charges")).status == 400
