"""What usage costs, worked out anew: a plan's numbers as they stand in its file, and fractions."""

from fractions import Fraction

from rating.plan import Plan
from tests.simulation.lives import Triple


def price(plan: Plan, used: Triple) -> int:
    """Return the micros of what an epoch has used."""
    if used == (0, 0, 0):
        return 0
    units = {
        "seconds": used[0],
        "octets_in": used[1],
        "octets_out": used[2],
        "octets_total": used[1] + used[2],
    }
    total = plan.tariff.connect_fee_micros
    for rule in plan.tariff.rules:
        count = units[rule.counter.value]
        if count == 0:
            continue
        billed = rule.first_units
        while_left = count - rule.first_units
        if while_left > 0:
            steps, rest = divmod(while_left, rule.further_units)
            billed += (steps + (rest > 0)) * rule.further_units
        exact = Fraction(billed * rule.price_micros, rule.per_units)
        whole = exact.numerator // exact.denominator
        total += whole + (exact - whole >= Fraction(1, 2))
    return max(total, plan.tariff.minimum_micros)
