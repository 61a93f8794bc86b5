"""rate: dry runs."""

from ratewire.wiring import now
from tests.acceptance.installation import eventually
from tests.ratewire.cli.conftest import SAMPLES, Running


def test_what_usage_costs_is_told_before_and_after(running: Running) -> None:
    ratewire, user = running.ratewire, "rate-user"
    running.subscriber(user, topup="5.00")
    told = ratewire.done("rate", "usage", "--subscriber", user, "--octets-out", "500000000")
    assert told.startswith("1.00 EUR by version 1 of metered, from ")
    assert "  500,000,000 octets_total" in told
    told = ratewire.done("rate", "lasts", "--plan", "metered", "--balance", "1.00")
    assert "time    without end" in told
    assert "octets  500,000," in told
    running.nas.send(running.login(user).start(), running.login(user).stop(60, 0, 500_000_000))
    eventually(lambda: ratewire("rate", "explain", user).status == 0)
    told = ratewire.done("rate", "explain", user)
    assert ": 1.00 EUR by version 1 of metered\n  500,000,000 octets_total" in told
    today = str(now().date())
    words = ("rate", "day", today, "--plan", "metered", "--file", str(SAMPLES))
    lines = ratewire.done(*words).splitlines()
    assert lines[-1].split()[0] == "total"
    assert lines[-1].split()[-1] == "0.00"
    assert "write 2026-05-01" in ratewire.refused("rate", "day", "today", "--plan", "metered")
    assert "write 2026-05-01T12:00" in ratewire.refused(
        "rate", "usage", "--plan", "metered", "--at", "noon"
    )
