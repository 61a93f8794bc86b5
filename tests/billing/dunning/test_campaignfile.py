"""Campaign files are read as people write them; what is wrong is told."""

from pathlib import Path

import pytest

from billing.dunning.campaign import Action
from billing.dunning.campaignfile import parse_campaign, read_campaign
from billing.errors import InvalidInput

SAMPLE = Path(__file__).parents[3] / "config" / "samples" / "campaign.toml"


def test_the_sample_is_as_it_says() -> None:
    campaign = read_campaign(SAMPLE)
    assert [(step.after_days, step.action) for step in campaign.steps] == [
        (3, Action.REMIND),
        (10, Action.LATE_FEE),
        (14, Action.REMIND),
        (21, Action.SUSPEND),
        (21, Action.REACTIVATION_FEE),
        (90, Action.TERMINATE),
    ]
    assert campaign.steps[1].fee_micros == {"EUR": 5_000_000}
    assert (campaign.let_be("EUR"), len(campaign.holidays)) == (5_000_000, 2)


STEP = '[[step]]\nafter_days = 1\naction = "remind"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (STEP, "name"),
        ('name = "a"\nhours = 1\n' + STEP, "hours"),
        ('name = "a"\nhour = 24\n' + STEP, "hour is 24"),
        ('name = "a"\nthreshold = { EUR = "x" }\n' + STEP, "'x' is not an amount"),
        ('name = "a"\n' + STEP.replace("remind", "kill"), "Invalid enum value 'kill'"),
        ('name = "a"\n' + STEP + 'fee_percent = "1.5"', "a fee is for the steps"),
    ],
)
def test_faults_are_told(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "campaign.toml"
    file.write_text(text)
    with pytest.raises(InvalidInput, match=message):
        read_campaign(file)


def test_a_fee_may_be_a_share() -> None:
    text = 'name = "a"\n' + STEP.replace("remind", "late-fee") + 'fee_percent = "1.5"'
    assert parse_campaign(text).steps[0].fee_basis_points == 150
