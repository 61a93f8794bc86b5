"""Services over HTTP, from order to cancellation."""

from datetime import timedelta

from ratewire.wiring import now
from tests.ratewire.http.staff import Staff

SERVICES = "billing/services/"


async def test_the_life_of_a_service(seller: Staff) -> None:
    order = {"account": "b1", "offer": "small"}
    ordered = await seller.ok("POST", SERVICES, order, key="s1")
    assert await seller.ok("POST", SERVICES, order, key="s1") == ordered
    one = f"{SERVICES}{ordered['id']}"
    assert (ordered["state"], ordered["terms"]) == ("ordered", [])
    today = now().date()
    on = [str(today + timedelta(days=days)) for days in (-5, -2, -1, 0, 1)]
    assert (await seller.ok("POST", f"{one}/start", {"on": on[0]}))["state"] == "active"
    assert (await seller.says("POST", f"{one}/start")).status == 409
    assert (await seller.says("POST", f"{one}/start", {"on": "2001-01-01"})).status in (409, 422)
    changed = await seller.ok("POST", f"{one}/change", {"offer": "large", "on": on[1]})
    assert changed["terms"][-1]["offer"] == "large"
    assert (await seller.says("POST", f"{one}/pause", {})).status == 400
    paused = await seller.ok("POST", f"{one}/pause", {"reason": "away", "on": on[2]})
    assert paused["state"] == "paused"
    assert (await seller.ok("POST", f"{one}/resume", {"on": on[3]}))["state"] == "active"
    ended = await seller.ok("POST", f"{one}/cancel", {"reason": "moved", "on": on[4]})
    assert (ended["state"], ended["cancelled_on"]) == ("active", on[4])
    events = (await seller.ok("GET", f"{one}/events"))["data"]
    assert [each["event"] for each in events][:2] == ["ordered", "started"]
    second = await seller.ok("POST", SERVICES, {**order, "start": True})
    page = await seller.ok("GET", f"{SERVICES}?account=b1&limit=1")
    rest = await seller.ok("GET", f"{SERVICES}?account=b1&limit=1&cursor={page['next']}")
    assert [each["id"] for each in (*page["data"], *rest["data"])] == [ordered["id"], second["id"]]
