"""Offer files are read as people write them; what is wrong is told, with its place."""

from pathlib import Path

import pytest

from billing.coupons.discount import Terms
from billing.cycles.calendar import Unit
from billing.errors import InvalidInput
from billing.offers.offer import Timing
from billing.offers.offerfile import percent, read_offers

SAMPLES = Path(__file__).parents[3] / "config" / "samples" / "offers.toml"


def test_the_samples_are_as_they_say() -> None:
    offers = {offer.name: offer for offer in read_offers(SAMPLES)}
    assert list(offers) == ["home", "home-plus", "bundle", "business", "domain"]
    assert offers["home"].one_off[0].amount_micros == 49_000_000
    assert offers["bundle"].discount == Terms(basis_points=1000, cycles=None)
    assert offers["bundle"].recurring[2].timing is Timing.ARREARS
    assert offers["business"].minimum_micros == 10_000_000
    assert (offers["domain"].recurring[0].every, offers["domain"].recurring[0].prorated) == (
        Unit.YEAR,
        False,
    )


OFFER = '[[offer]]\nname = "a"\ncurrency = "EUR"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "allowed are tables"),
        ("[[ofer]]", "nothing else: \\['ofer'\\]"),
        ("offer = 1", "allowed are tables"),
        ("[[offer", "Expected"),
        (OFFER + "prize = 1", "offer 1: .*prize"),
        (OFFER + "minimum = 1", r"offer 1: .*\$.minimum"),
        (OFFER + 'minimum = "1,00"', "offer 1: '1,00' is not an amount"),
        (OFFER + OFFER.replace("EUR", "EURO"), "offer 2: .*currency 'EURO'"),
        (OFFER + OFFER, "two offers are named a"),
        (OFFER + '[offer.discount]\npercent = "0.001"', "at most two decimals"),
        (OFFER + '[offer.discount]\npercent = "1"\namount = "1"', "either basis_points"),
    ],
)
def test_faults_are_told(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "offers.toml"
    file.write_text(text)
    with pytest.raises(InvalidInput, match=message):
        read_offers(file)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="No such file"):
        read_offers(tmp_path / "none.toml")
    assert percent("12.5") == 1250
