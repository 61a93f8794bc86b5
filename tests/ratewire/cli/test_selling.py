"""offer load, offer list, coupon create, list, redeem, withdraw."""

from pathlib import Path

from tests.ratewire.cli.conftest import SAMPLES, Configured

OFFERS = SAMPLES.with_name("offers.toml")


def test_offers_are_loaded_once_and_listed_with_their_charges(configured: Configured) -> None:
    ratewire = configured.ratewire
    assert "plan metered does not exist" in ratewire.refused("offer", "load", str(OFFERS))
    ratewire.done("plan", "load", str(SAMPLES))
    assert "home version 1\n" in ratewire.done("offer", "load", str(OFFERS))
    assert "home version 1 (unchanged)\n" in ratewire.done("offer", "load", str(OFFERS))
    lines = ratewire.done("offer", "list").splitlines()
    [home] = [line for line in lines if line.startswith("home ")]
    assert home.endswith("29.90 a cycle (access); 49.00 once (setup)")
    listed = {offer["name"]: offer for offer in ratewire.json("offer", "list")}
    assert listed["business"]["minimum_micros"] == 10_000_000


def test_a_faulty_file_is_told_and_nothing_is_loaded(
    configured: Configured, tmp_path: Path
) -> None:
    file = tmp_path / "offers.toml"
    file.write_text('[[offer]]\nname = "a"\ncurrency = "EURO"\n')
    assert "offer 1" in configured.ratewire.refused("offer", "load", str(file))


def test_a_coupon_is_created_redeemed_and_withdrawn(configured: Configured) -> None:
    ratewire = configured.ratewire
    ratewire.done("account", "create", "acme", "--currency", "EUR")
    words = ("coupon", "create", "TEN", "--description", "Ten percent", "--percent", "10")
    assert ratewire.done(*words, "--cycles", "0") == "coupon TEN is created: 10 %, Ten percent\n"
    assert ratewire.json("coupon", "redeem", "TEN", "acme")["redemptions"] == 1
    assert "has coupon TEN already" in ratewire.refused("coupon", "redeem", "TEN", "acme")
    assert ratewire.json("coupon", "withdraw", "TEN")["withdrawn_at"] is not None
    lines = ratewire.done("coupon", "list").splitlines()
    [ten] = [line.split() for line in lines if line.startswith("TEN ")]
    assert ten[:6] == ["TEN", "10", "%", "for", "ever", "1"]
    assert "either basis_points or amount_micros" in ratewire.refused(
        "coupon", "create", "X", "--description", "x"
    )
