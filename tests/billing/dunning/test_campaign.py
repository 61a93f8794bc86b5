"""A campaign is checked as a whole, and says when services may be disrupted."""

from datetime import date
from typing import Any

import pytest

from billing.dunning.campaign import Action, Campaign, Step, fee_of
from billing.errors import InvalidInput

REMIND = Step(3, Action.REMIND)
FIELDS: dict[str, Any] = {"name": "c", "steps": (REMIND,)}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": ""}, "name must be"),
        ({"steps": ()}, "it has 0 steps"),
        ({"steps": (Step(5, Action.REMIND), Step(3, Action.SUSPEND))}, "in the order"),
        ({"steps": (Step(1, Action.TERMINATE), Step(3, Action.SUSPEND))}, "only be the last"),
        ({"hour": 24}, "hour is 24"),
        ({"never_on": (0,)}, "never_on"),
        ({"never_on": (1, 2, 3, 4, 5, 6, 7)}, "not all of them"),
        ({"threshold_micros": {"EURO": 1}}, "threshold_micros of 'EURO'"),
        ({"restore_micros": {"EUR": -1}}, "restore_micros of 'EUR' is -1"),
        ({"steps": (Step(-1, Action.REMIND),)}, "allowed are 0 to 3650 days"),
        ({"steps": (Step(1, Action.LATE_FEE),)}, "a fee is for the steps"),
        ({"steps": (Step(1, Action.REMIND, {"EUR": 1}),)}, "a fee is for the steps"),
        ({"steps": (Step(1, Action.LATE_FEE, {"EUR": 1}, 100),)}, "either fee_micros"),
        ({"steps": (Step(1, Action.LATE_FEE, {}, 10_001),)}, "fee_basis_points must be"),
        ({"steps": (Step(1, Action.THROTTLE),)}, "a plan is for the step throttle"),
        ({"steps": (Step(1, Action.SUSPEND, plan="slow"),)}, "a plan is for the step throttle"),
    ],
)
def test_a_faulty_campaign_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        Campaign(**FIELDS | fields)


def test_every_fault_is_named() -> None:
    with pytest.raises(InvalidInput) as raised:
        Campaign(name="", steps=(), hour=99)
    assert str(raised.value).count(";") == 2


def test_services_are_not_disrupted_on_weekends_and_holidays() -> None:
    campaign = Campaign(
        name="c", steps=(REMIND,), holidays=frozenset({date(2026, 12, 25), date(2026, 12, 28)})
    )
    assert campaign.allowed_from(date(2026, 12, 24)) == date(2026, 12, 24)
    assert campaign.allowed_from(date(2026, 12, 25)) == date(2026, 12, 29)


def test_a_process_ends_at_the_higher_of_the_thresholds() -> None:
    campaign = Campaign(
        name="c", steps=(REMIND,), threshold_micros={"EUR": 5}, restore_micros={"EUR": 3, "USD": 2}
    )
    assert [campaign.let_be(each) for each in ("EUR", "USD")] == [5, 0]
    assert [campaign.cleared_at(each) for each in ("EUR", "USD", "JPY")] == [5, 2, 0]


def test_a_fee_is_flat_or_a_share_rounded_to_the_minor_unit() -> None:
    flat = Step(1, Action.LATE_FEE, {"EUR": 5_000_000})
    assert fee_of(flat, 1, "EUR") == 5_000_000
    assert fee_of(flat, 1, "USD") == 0
    share = Step(1, Action.LATE_FEE, fee_basis_points=150)
    assert fee_of(share, 33_330_000, "EUR") == 500_000  # 1.5 % of 33.33 is 0.49995
