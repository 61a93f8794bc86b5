"""Billing cycles over HTTP: set, previewed, run, watched, approved."""

from billing.cycles import parking
from ratewire.wiring import System, now
from tests.ratewire.http.staff import Staff


async def test_a_run_is_previewed_started_watched_and_approved(seller: Staff) -> None:
    cycle = {"unit": "month", "alignment": "calendar", "bill_day": 1, "needs_approval": True}
    made = await seller.ok("PUT", "billing/accounts/b1/cycle", cycle)
    assert (made["needs_approval"], made["bill_day"]) == (True, 1)
    assert await seller.ok("GET", "billing/accounts/b1/cycle") == made
    assert (await seller.says("GET", "billing/accounts/a1/cycle")).status == 404
    await seller.ok("POST", "billing/services/", {"account": "b1", "offer": "small", "start": True})
    preview = await seller.ok("GET", "billing/accounts/b1/cycle/preview")
    started = await seller.ok("POST", "billing/runs/", {"account": "b1"}, key="r1")
    assert await seller.ok("POST", "billing/runs/", {"account": "b1"}, key="r1") == started
    one = f"billing/runs/{started['run']}"
    run = await seller.ok("GET", one)
    assert (run["billed"], run["amounts"]) == (1, {"EUR": preview["amount"]})
    [outcome] = (await seller.ok("GET", f"{one}/outcomes"))["data"]
    assert outcome["amount"] == preview["amount"] == preview["data"][0]["amount"]
    invoice = f"billing/invoices/{outcome['invoice']}"
    assert (await seller.ok("GET", invoice))["status"] == "draft"
    assert await seller.ok("POST", f"{one}/approve") == {"finalized": 1, "refused": 0}
    assert (await seller.ok("GET", invoice))["status"] == "open"
    listed = await seller.ok("GET", "billing/runs/")
    assert [each["id"] for each in listed["data"]] == [started["run"]]


async def test_all_that_are_due_are_billed_by_a_job(seller: Staff, system: System) -> None:
    assert await seller.ok("POST", "billing/runs/") == {"run": None}
    assert await seller.ok("POST", "billing/runs/") == {"run": None}
    async with (await system.pool()).acquire() as conn:
        queued = "SELECT count(*) FROM pgqueuer WHERE entrypoint = 'billing'"
        assert await conn.fetchval(queued) == 1


async def test_a_parked_account_is_released(seller: Staff, system: System) -> None:
    await seller.ok("POST", "billing/services/", {"account": "b1", "offer": "small", "start": True})
    async with (await system.pool()).acquire() as conn:
        await parking.park(conn, "b1", "for a test", None, now())
    [parked] = (await seller.ok("GET", "billing/parked-accounts/"))["data"]
    assert (parked["account"], parked["reason"]) == ("b1", "for a test")
    release = "billing/parked-accounts/b1/release"
    assert (await seller.says("POST", release, {"note": "put right"})).status == 204
    assert (await seller.says("POST", release, {"note": "put right"})).status == 404
    assert (await seller.ok("GET", "billing/parked-accounts/"))["data"] == []
