"""allowance."""

from tests.ratewire.cli.conftest import Running


def test_what_is_granted_is_used_before_money(running: Running) -> None:
    ratewire, user = running.ratewire, "allowance-user"
    running.subscriber(user, topup="5.00")
    words = ("allowance", "grant", user, "gift", "1GB", "--reason", "an outage")
    told = ratewire.done(*words, "--key", "k1", "--days", "30")
    assert told.startswith(f"{user} was granted 1,000,000,000 octets of gift until ")
    assert ratewire.done(*words, "--key", "k1").endswith(" before, under this key\n")
    asked = ratewire.done("rate", "usage", "--subscriber", user, "--octets-out", "1500000000")
    assert asked.startswith("1.00 EUR")
    [listed] = ratewire.json("allowance", "list", user)
    assert (listed["left"], listed["source"]) == (10**9, "promotion")
    assert "gift" in ratewire.done("allowance", "list", user)
    assert ratewire.json("allowance", "notices", "--account", user) == []
    assert "no offset" in ratewire.refused(*words, "--until", "2099-01-01")
    assert "not both" in ratewire.refused(*words, "--until", "2099-01-01", "--days", "3")
