"""cycle set, show, preview, run, runs, report, approve, parked, release."""

import asyncpg

from billing.cycles import parking
from billing.database import prepare
from tests.billing.invoices import making
from tests.billing.invoices.making import NOW
from tests.ratewire.cli.conftest import SAMPLES, Configured
from tests.support.servers import run

OFFERS = SAMPLES.with_name("offers.toml")


async def open_business(url: str) -> None:
    """Let there be a seller, and tax rates."""
    conn = await asyncpg.connect(url)
    await prepare(conn)
    await making.open_business(conn)
    await conn.close()


async def park(url: str, account: str) -> None:
    conn = await asyncpg.connect(url)
    await prepare(conn)
    await parking.park(conn, account, "by hand", None, NOW)
    await conn.close()


def test_accounts_are_billed_reviewed_parked_and_released(configured: Configured) -> None:
    ratewire = configured.ratewire
    ratewire.done("plan", "load", str(SAMPLES))
    ratewire.done("offer", "load", str(OFFERS))
    ratewire.done("account", "create", "cyc", "--currency", "EUR", "--postpaid")
    at = ("--at", "2026-03-10T10:00")
    assert "there is no entity main" in ratewire.refused("cycle", "run", *at)
    run(open_business(configured.urls.database))
    shown = ratewire.json(
        "cycle", "set", "cyc", "--alignment", "calendar", "--bill-day", "31", "--approval", *at
    )
    assert (shown["unit"], shown["bill_day"], shown["next_bill_on"]) == (
        "month", 31, "2026-03-31",
    )  # fmt: skip
    assert "drafts until they are approved" in ratewire.done("cycle", "show", "cyc")
    ratewire.done("service", "order", "cyc", "home", "--start", *at)
    preview = ratewire.done("cycle", "preview", "cyc", *at)
    # 21 of the 31 days from 28 February to 31 March
    assert "20.25" in preview
    assert "69.25 EUR without usage" in preview
    done = ratewire.json("cycle", "run", *at)
    assert (done["billed"], done["amounts_micros"]) == (1, {"EUR": 69_250_000})
    assert ratewire.json("cycle", "run", *at)["bills"] == 0
    number = str(done["run"])
    report = ratewire.json("cycle", "report", number)
    assert [outcome["outcome"] for outcome in report["outcomes"]] == ["billed"]
    assert "69.25" in ratewire.done("cycle", "report", number)
    assert ratewire.done("cycle", "approve", number, *at) == "1 invoices finalized, 0 refused\n"
    again = ratewire.done("cycle", "run", "--account", "cyc", *at)
    assert "1 bills, 0 with something on them (nothing, before tax and usage)" in again
    assert len(ratewire.json("cycle", "runs")) == 3
    run(park(configured.urls.database, "cyc"))
    assert "by hand" in ratewire.done("cycle", "parked")
    ratewire.done("cycle", "release", "cyc", "--note", "looked at", *at)
    assert ratewire.json("cycle", "parked") == []
    run(park(configured.urls.database, "cyc"))
    told = ratewire.done("cycle", "release", "--all", "--note", "tax rates loaded", *at)
    assert told == "1 accounts are billed again\n"
    assert "an account, or --all" in ratewire.refused("cycle", "release", "--note", "x")
    assert "run 999 does not exist" in ratewire.refused("cycle", "report", "999")
