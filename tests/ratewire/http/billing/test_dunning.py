"""What is done about debts, over HTTP: dunning, suspensions, payment plans."""

from datetime import timedelta

from billing.clock import moved
from billing.dunning import campaigns, processes
from billing.dunning.campaign import Action, Campaign, Step
from ratewire.wiring import System, now
from tests.ratewire.http.staff import Staff

B1 = "billing/dunning/b1"


async def owing(seller: Staff, days: int) -> int:
    """An open invoice of b1 over 11.90, due so many days after today."""
    lines = [{"description": "Router", "unit_price": "10.00"}]
    asked = {"account": "b1", "lines": lines, "payment_days": days}
    draft = await seller.ok("POST", "billing/invoices/", asked)
    await seller.ok("POST", f"billing/invoices/{draft['id']}/finalize")
    return draft["id"]


async def test_a_debt_is_dunned_promised_and_let_be(seller: Staff, system: System) -> None:
    assert (await seller.ok("GET", B1))["process"] is None
    await owing(seller, 0)
    campaign = Campaign(name="strict", steps=(Step(0, Action.REMIND),), hour=0, never_on=())
    later = now() + timedelta(days=3)
    async with (await system.pool()).acquire() as conn:
        await moved.move(conn, later, now())
        await campaigns.put(conn, campaign, default=True, now=now())
        await processes.look_at(conn, "b1", later)
    told = await seller.ok("GET", B1)
    assert (told["process"]["overdue"], told["settings"]["campaign"]) == ("11.90", "strict")
    until = str(later.date() + timedelta(days=30))
    promised = await seller.ok("POST", f"{B1}/promise", {"until": until, "reason": "by phone"})
    assert promised["process"]["promised_until"] == until
    past = {"until": "2001-01-01", "reason": "x"}
    assert (await seller.says("POST", f"{B1}/promise", past)).status == 422
    out = await seller.ok("PUT", B1, {"excluded": True, "reason": "a court decides"})
    assert out["settings"]["excluded"] is True
    listed = await seller.ok("GET", "billing/dunning/?account=b1&ended=true")
    assert [each["account"] for each in listed["data"]] == ["b1"]


async def test_an_account_is_suspended_for_a_reason_and_runs_again(seller: Staff) -> None:
    b1 = "billing/accounts/b1"
    assert (await seller.says("POST", f"{b1}/suspend", {"reason": ""})).status == 400
    held = await seller.ok("POST", f"{b1}/suspend", {"reason": "abuse"}, key="x1")
    assert (held["data"][0]["cause"], held["data"][0]["reason"]) == ("staff", "abuse")
    assert (await seller.ok("GET", b1))["status"] == "suspended"
    dunning = {"reason": "x", "cause": "dunning"}
    assert (await seller.says("POST", f"{b1}/resume", dunning)).status == 409
    lifted = await seller.ok("POST", f"{b1}/resume", {"reason": "cleared up"})
    assert lifted["data"][0]["lifted_reason"] == "cleared up"
    assert (await seller.ok("GET", b1))["status"] == "active"
    assert await seller.ok("GET", f"{b1}/suspensions") == lifted


async def test_a_debt_is_paid_in_instalments(seller: Staff) -> None:
    invoice = await owing(seller, 14)
    due = str(now().date() + timedelta(days=5))
    wanted = {"account": "b1", "instalments": 3, "first_due": due}
    plan = await seller.ok("POST", "billing/payment-plans/", wanted, key="p1")
    assert await seller.ok("POST", "billing/payment-plans/", wanted, key="p1") == plan
    assert (plan["debt"], plan["invoices"], plan["status"]) == ("11.90", [invoice], "active")
    parts = [each["amount"].replace(".", "") for each in plan["instalments"]]
    assert sum(map(int, parts)) == 1190
    assert (await seller.says("POST", "billing/payment-plans/", wanted)).status == 409
    one = f"billing/payment-plans/{plan['id']}"
    assert (await seller.ok("GET", one))["outstanding"] == "11.90"
    assert (await seller.ok("POST", f"{one}/cancel"))["status"] == "cancelled"
    assert (await seller.says("POST", f"{one}/cancel")).status == 409
    listed = await seller.ok("GET", "billing/payment-plans/?account=b1")
    assert [each["id"] for each in listed["data"]] == [plan["id"]]
