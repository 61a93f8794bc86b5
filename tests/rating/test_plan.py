"""A plan is checked as a whole, with its tariff."""

import msgspec
import pytest

from rating.plan import Plan, Policy
from rating.tariff import Tariff, TariffError


def test_faults_of_a_plan_are_named() -> None:
    with pytest.raises(TariffError) as caught:
        Plan("two words", 1, Tariff("EUR", ()), reserve_octets=-1, minimum_credit_micros=-1)
    assert len(caught.value.faults) == 3


def test_a_plan_survives_json() -> None:
    plan = Plan("night", 3, Tariff("EUR", (), connect_fee_micros=7), Policy.STRICT)
    assert msgspec.json.decode(msgspec.json.encode(plan), type=Plan) == plan
