"""payment link, payment methods, auto-topup, gateway."""

from tests.ratewire.cli.conftest import Configured


def test_without_a_gateway_there_is_no_link_and_nothing_was_told(stocked: Configured) -> None:
    ratewire = stocked.ratewire
    link = ("payment", "link", "acme", "5.00", "--return-url", "https://isp.example/")
    assert ratewire.refused(*link) == "no gateway is set up: set stripe.api_key_file"
    assert ratewire.json("payment", "list") == []
    assert ratewire.json("payment", "methods", "acme") == []
    assert ratewire.json("gateway", "events", "--waiting") == []
    assert "evt_1 of stripe does not exist" in ratewire.refused(
        *("gateway", "replay", "stripe", "evt_1")
    )


def test_an_automatic_topup_is_refused_without_a_method(stocked: Configured) -> None:
    ratewire = stocked.ratewire
    words = ("auto-topup", "set", "acme", "5.00", "--method", "1")
    assert ratewire.refused(*words) == "a top-up is either below a threshold or every so many days"
    assert ratewire.refused(*words, "--below", "2.00") == "payment method 1 does not exist"
    for command in ("show", "stop"):
        told = ratewire.refused("auto-topup", command, "acme")
        assert told == "account acme is not topped up by itself"
