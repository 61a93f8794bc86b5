"""dunning, suspend, resume, payment-plan."""

import json

from tests.ratewire.cli.conftest import SAMPLES, Configured
from tests.ratewire.cli.test_cycles import open_business
from tests.support.servers import run

CAMPAIGN = SAMPLES.with_name("campaign.toml")


def test_a_debt_is_dunned_promised_and_put_on_a_plan(configured: Configured) -> None:
    ratewire = configured.ratewire
    run(open_business(configured.urls.database))
    ratewire.done("plan", "load", str(SAMPLES))
    ratewire.done("offer", "load", str(SAMPLES.with_name("offers.toml")))
    told = ratewire.done("dunning", "campaign", str(CAMPAIGN), "--default")
    assert told == "campaign standard version 1, 6 steps\n"
    assert "suspend after 21" in ratewire.done("dunning", "campaigns")
    ratewire.done("account", "create", "debt", "--currency", "EUR", "--postpaid")
    ratewire.done("service", "order", "debt", "home", "--start", "--at", "2026-03-02T10:00")
    ratewire.done("cycle", "run", "--at", "2026-03-02T10:00")
    late = ("--at", "2026-04-07T12:00")
    ended = ratewire("dunning", "run", *late, "--json")
    assert "account debt has no e-mail address" in ended.err
    [dunned] = [each for each in json.loads(ended.out) if each["account"] == "debt"]
    assert dunned["taken"] == ["late-fee", "remind", "suspend", "reactivation-fee"]
    assert "debt" in ratewire.done("dunning", "list")
    shown = ratewire.json("dunning", "show", "debt")
    assert [step["action"] for step in shown["steps"]][:2] == ["remind", "late-fee"]
    assert "suspend" in ratewire.done("dunning", "show", "debt")
    promised = ratewire.json(
        "dunning", "promise", "debt", "2026-08-03", "--reason", "called", *late
    )
    assert promised["promised_until"] == "2026-08-03"
    plan = ratewire.json("payment-plan", "create", "debt", "3", "2026-05-01", *late)
    assert sum(part["amount_micros"] for part in plan["instalments"]) == plan["debt_micros"]
    # it rests, and so the service is restored
    assert ratewire.json("dunning", "list") == []
    number = str(plan["plan"])
    assert "active" in ratewire.done("payment-plan", "show", number, *late)
    assert number in ratewire.done("payment-plan", "list", *late)
    assert ratewire.json("payment-plan", "cancel", number, *late)["status"] == "cancelled"
    excluded = ("dunning", "account", "debt", "--exclude", "--reason", "VIP")
    assert ratewire.done(*excluded) == "account debt is not dunned: VIP\n"
    assert ratewire.json("dunning", "run", "--account", "debt", *late)[0]["taken"] == []


def test_staff_suspend_and_resume_an_account(configured: Configured) -> None:
    ratewire = configured.ratewire
    ratewire.done("account", "create", "bad", "--currency", "EUR")
    assert ratewire.done("suspend", "bad", "--reason", "abuse") == "account bad is suspended\n"
    assert ratewire.json("balance", "bad")["status"] == "suspended"
    assert ratewire.done("resume", "bad", "--reason", "talked") == "account bad runs again\n"
    assert "not suspended by staff" in ratewire.refused("resume", "bad", "--reason", "again")
