"""Random tariffs, counters and reports, as an operator and a NAS could make them."""

from hypothesis import strategies as st

from rating.money import MAX_MICROS
from rating.plan import Plan, Policy
from rating.quantity import Counters
from rating.tariff import Counter, Rule, Tariff

octets = st.one_of(st.integers(0, 10_000), st.integers(0, 2**40), st.integers(0, 2**63 - 1))
seconds = st.one_of(st.integers(0, 600), st.integers(0, 2**32 - 1))
counters = st.builds(Counters, seconds=seconds, octets_in=octets, octets_out=octets)


#: What the price of a session may be a function of alone.
PLAIN = tuple(counter for counter in Counter if counter is not Counter.EVENT)


def dearest(counter: Counter, per_units: int) -> int:
    """The highest price that is tried: one that a tariff may have."""
    return min(10_000_000, MAX_MICROS * per_units // counter.most_a_day)


@st.composite
def rules(draw: st.DrawFn, counter: Counter) -> Rule:
    per_units = draw(st.sampled_from([1, 7, 60, 3600, 1000, 10**6, 2**30, 10**9]))
    return Rule(
        counter=counter,
        price_micros=draw(st.integers(0, dearest(counter, per_units))),
        per_units=per_units,
        first_units=draw(st.sampled_from([1, 30, 60, 1000, 10**6])),
        further_units=draw(st.sampled_from([1, 6, 60, 1000, 10**6])),
    )


@st.composite
def tariffs(draw: st.DrawFn) -> Tariff:
    counted = draw(st.lists(st.sampled_from(PLAIN), max_size=4, unique=True))
    return Tariff(
        currency="EUR",
        rules=tuple(draw(rules(counter)) for counter in counted),
        connect_fee_micros=draw(st.sampled_from([0, 0, 50_000])),
        minimum_micros=draw(st.sampled_from([0, 0, 200_000])),
    )


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    return Plan(
        name="any",
        version=1,
        tariff=draw(tariffs()),
        policy=draw(st.sampled_from(Policy)),
        reserve_octets=draw(st.sampled_from([0, 1_000, 10_000_000])),
    )
