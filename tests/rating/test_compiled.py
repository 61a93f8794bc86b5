"""Which rules hold where, and what tiers cost."""

from hypothesis import given
from hypothesis import strategies as st

from rating.calendar import Band
from rating.compiled import Chosen, compiled, tier_total
from rating.tariff import Counter, Rule, Service, Tariff, Tier, TierMode
from tests.rating.oracle import tiers

NIGHT = Band("night", start=0, end=360)


def test_the_first_rule_of_a_counter_that_names_band_and_service_holds() -> None:
    tariff = Tariff(
        "EUR",
        (
            Rule(Counter.SECONDS, 1, bands=("night",), services=("wifi",)),
            Rule(Counter.SECONDS, 2, services=("wifi",)),
            Rule(Counter.SECONDS, 3),
            Rule(Counter.OCTETS_TOTAL, 4, 10**6, bands=("night",)),
        ),
        bands=(NIGHT,),
        services=(Service("wifi", {"realm": ("wifi.example",)}),),
    )
    ready = compiled(tariff)
    assert ready.rules("wifi") == (Chosen((), (1,), ()), Chosen((), (0,), (3,)))
    assert ready.rules("") == (Chosen((), (2,), ()), Chosen((), (2,), (3,)))
    assert compiled(tariff) is ready


def test_a_service_is_known_by_all_that_it_names() -> None:
    tariff = Tariff(
        "EUR",
        (),
        services=(
            Service("apn", {"called_station": ("internet", "*.corp"), "port_type": ("5",)}),
            Service("any", {"port_type": ("*",)}),
        ),
    )
    ready = compiled(tariff)
    assert ready.service_of({"called_station": "Sales.CORP", "port_type": "5"}) == "apn"
    assert ready.service_of({"called_station": "internet2", "port_type": "5"}) == "any"
    assert compiled(Tariff("EUR", ())).service_of({}) == ""


def test_tiers_price_by_part_or_as_a_whole() -> None:
    of = (Tier(10, 5), Tier(20, 3), Tier(None, 1))
    graduated = Rule(Counter.SECONDS, 0, tiers=of)
    assert [tier_total(graduated, units) for units in (0, 10, 11, 20, 25)] == [0, 50, 53, 80, 85]
    volume = Rule(Counter.SECONDS, 0, tiers=of, tier_mode=TierMode.VOLUME)
    # 11 at 3 would be 33, less than 10 at 5: it stays at 50 until it is more again.
    assert [tier_total(volume, units) for units in (10, 11, 17, 20, 21, 70)] == [
        50, 50, 51, 60, 60, 70,
    ]  # fmt: skip


@given(
    st.lists(st.integers(0, 1_000), min_size=1, max_size=4),
    st.sampled_from(TierMode),
    st.integers(0, 400),
    st.sampled_from([1, 7, 60]),
)
def test_tiers_never_fall_and_are_as_in_fractions(
    prices: list[int], mode: TierMode, units: int, per_units: int
) -> None:
    bounds = [*range(50, 50 * len(prices), 50), None]
    of = tuple(Tier(bound, price) for bound, price in zip(bounds, prices, strict=True))
    rule = Rule(Counter.SECONDS, 0, per_units, tiers=of, tier_mode=mode)
    assert tier_total(rule, units) == tiers(rule, units)
    assert tier_total(rule, units + 1) >= tier_total(rule, units)
