"""service order, start, change, pause, resume, cancel, list."""

from tests.ratewire.cli.conftest import SAMPLES, Configured

OFFERS = SAMPLES.with_name("offers.toml")


def test_the_life_of_a_service(configured: Configured) -> None:
    ratewire = configured.ratewire
    ratewire.done("plan", "load", str(SAMPLES))
    ratewire.done("offer", "load", str(OFFERS))
    ratewire.done("account", "create", "acme", "--currency", "EUR", "--postpaid")
    ratewire.done("subscriber", "add", "al", "--account", "acme", "--plan", "hourly")
    at = ("--at", "2026-03-01T10:00")
    ordered = ratewire.json("service", "order", "acme", "home", "--user", "al", *at)
    number = str(ordered["service"])
    assert ordered["terms"] == []
    told = ratewire.done("service", "start", number, *at)
    assert told == f"service {number} of acme: home from 2026-03-01\n"
    changed = ratewire.json(
        "service", "change", number, "home-plus", "--at", "2026-03-10T10:00", "--reason", "faster"
    )
    assert [term["offer"]["name"] for term in changed["terms"]] == ["home", "home-plus"]
    waits = ratewire.json("service", "change", number, "home", "--at", "2026-03-11T10:00")
    assert waits["terms"][-1]["starts_on"] == "2026-04-01"
    paused = ratewire.json(
        *("service", "pause", number, "--reason", "away", "--on", "2026-03-20"),
        *("--until", "2026-03-25", "--at", "2026-03-12T10:00"),
    )
    assert len(paused["terms"]) == 4
    ratewire.done("service", "resume", number, "--on", "2026-03-22", "--at", "2026-03-21T10:00")
    ended = ratewire.json(
        "service", "cancel", number, "--reason", "moved", "--at", "2026-03-30T10:00"
    )
    assert ended["cancelled_on"] == "2026-03-30"
    lines = ratewire.done("service", "list", "--account", "acme").splitlines()
    assert lines[-1].split()[:4] == [number, "acme", "al", "cancelled"]
    assert "was cancelled" in ratewire.refused("service", "resume", number)
    assert "service 9999 does not exist" in ratewire.refused("service", "start", "9999")
