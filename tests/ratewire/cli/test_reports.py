"""usage, unrated, report."""

from datetime import timedelta

from ratewire.wiring import now
from tests.acceptance.installation import eventually
from tests.ratewire.cli.conftest import Configured, Running


def test_usage_is_exact_by_subscriber_and_in_total(running: Running) -> None:
    look = running.ratewire.json
    before = look("usage")["total"]
    for user, seconds, octets in (("usage-a", 60, 5_000_000_000), ("usage-b", 90, 1_000)):
        running.subscriber(user, topup="50.00")
        login = running.login(user)
        running.nas.send(login.start(), login.stop(seconds, octets, octets))
    eventually(lambda: look("usage", "--user", "usage-b")["subscribers"])
    eventually(lambda: look("usage", "--user", "usage-a")["subscribers"])
    used = {
        "sessions": 1,
        "octets_in": 5_000_000_000,
        "octets_out": 5_000_000_000,
        "seconds": 60,
        "charged_micros": 20_000_000,
        "charged_micros_by_currency": {"EUR": 20_000_000},
    }
    assert look("usage", "--user", "usage-a") == {
        "subscribers": [{"username": "usage-a", **used}],
        "total": used,
    }
    total = look("usage")["total"]
    assert total["octets_in"] - before["octets_in"] == 5_000_001_000
    assert total["seconds"] - before["seconds"] == 150
    assert total["charged_micros"] - before["charged_micros"] == 20_000_004
    lines = running.ratewire.done("usage").splitlines()
    assert ["usage-b", "1", "1000", "1000", "90", "4"] in [line.split() for line in lines]
    assert lines[-1].split()[0] == "total"


def test_what_cannot_be_rated_is_listed_safe_to_show(running: Running) -> None:
    look = running.ratewire.json
    stranger = "\x1b[2J[red]stranger"
    running.nas.send(running.login(stranger).start(), running.login(stranger).stop(60, 1, 2))
    eventually(lambda: [each["records"] for each in look("unrated", "--user", stranger)] == [2])
    [found] = look("unrated", "--user", stranger)
    assert found["username"] == stranger
    assert (found["reason"], found["client"], found["kind"]) == ("unknown_user", "pop1", 2)
    assert (found["seconds"], found["octets_in"], found["octets_out"]) == (60, 1, 2)
    shown = running.ratewire.done("unrated", "--user", stranger)
    assert "\\x1b[2J[red]stranger" in shown
    assert "\x1b" not in shown
    assert len(look("unrated", "--limit", "1")) == 1


def test_nothing_used_is_nothing_listed(configured: Configured) -> None:
    assert configured.ratewire.json("unrated") == []
    assert configured.ratewire.json("usage") == {
        "subscribers": [],
        "total": {
            "sessions": 0,
            "octets_in": 0,
            "octets_out": 0,
            "seconds": 0,
            "charged_micros": 0,
            "charged_micros_by_currency": {},
        },
    }


def test_a_report_is_printed_as_a_table_and_as_csv(stocked: Configured) -> None:
    ratewire = stocked.ratewire
    ratewire.done("payment", "receive", "acme", "5.00")
    today = now().date()
    days = ("--from", str(today - timedelta(days=1)), "--to", str(today + timedelta(days=2)))
    rows = ratewire.json("report", "journal", *days)
    assert [(row["ledger"], row["debit_micros"]) for row in rows] == [
        ("cash", 5_000_000),
        ("customer_credit", 0),
    ]
    told = ratewire.done("report", "journal", *days, "--csv").splitlines()
    assert told[0] == "day,ledger,kind,currency,debit,credit"
    assert told[1].endswith("cash,payment,EUR,5.00,0.00")
    assert "Report: leakage" in ratewire.done("report", "leakage", *days)
    refused = ratewire.refused("report", "tax-postings", *days[:2], "--to", days[1])
    assert "allowed are 1 to 800 days" in refused
