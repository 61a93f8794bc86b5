"""A tariff that cannot be is refused when it is created, with every fault named."""

import pytest

from rating.tariff import Counter, Rule, Tariff, TariffError


def test_all_faults_are_named_at_once() -> None:
    with pytest.raises(TariffError) as caught:
        Tariff(
            currency="EURO",
            rules=(
                Rule(Counter.SECONDS, price_micros=-1),
                Rule(Counter.SECONDS, price_micros=1, per_units=0, further_units=0),
            ),
            minimum_micros=-5,
        )
    assert len(caught.value.faults) == 6
    text = str(caught.value)
    for part in (
        "price_micros is -1",
        "per_units is 0",
        "further_units is 0",
        "'EURO'",
        "minimum_micros is -5",
        "rule 2 never holds: earlier rules for seconds",
    ):
        assert part in text


def test_a_tariff_without_rules_is_free_but_may_have_a_fee() -> None:
    assert Tariff("EUR", (), connect_fee_micros=10).connect_fee_micros == 10
