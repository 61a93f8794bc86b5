"""An offer is checked as a whole."""

from typing import Any

import pytest

from billing.coupons.discount import Terms
from billing.errors import InvalidInput
from billing.offers.offer import MAX_CHARGES, Offer, OneOffCharge, RecurringCharge

FEE = RecurringCharge(code="access", description="Access", amount_micros=9_990_000)
FIELDS: dict[str, Any] = {"name": "home", "version": 1, "currency": "EUR", "recurring": (FEE,)}


def named(code: str, description: str = "x", micros: int = 0) -> OneOffCharge:
    return OneOffCharge(code=code, description=description, amount_micros=micros)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "a b"}, "name: allowed"),
        ({"currency": "EURO"}, "currency 'EURO'"),
        ({"one_off": (named("access"),)}, "two charges have the code 'access'"),
        ({"one_off": (named("Set-up"),)}, "code 'Set-up'"),
        ({"one_off": (named("minimum"),)}, "but not 'minimum'"),
        ({"one_off": (named("s", " "),)}, "it needs a description"),
        ({"one_off": (named("s", micros=-10_000),)}, "s: -0.01 EUR; allowed are whole minor units"),
        ({"one_off": (named("s", micros=1),)}, "s: 0.000001 EUR; allowed"),
        ({"minimum_micros": 5}, "minimum: 0.000005 EUR"),
        ({"one_off": tuple(named(f"c{n}") for n in range(MAX_CHARGES))}, "it has 51 charges"),
        (
            {"discount": Terms(amount_micros=10_000, currency="USD")},
            "its discount is in USD, and not EUR",
        ),
    ],
)
def test_a_faulty_offer_is_refused(fields: dict[str, Any], message: str) -> None:
    made: dict[str, Any] = FIELDS | fields
    with pytest.raises(InvalidInput, match=message):
        Offer(**made)


def test_every_fault_is_named() -> None:
    faulty: dict[str, Any] = {"name": "", "minimum_micros": -1, "one_off": (named("?"),)}
    with pytest.raises(InvalidInput) as raised:
        Offer(**FIELDS | faulty)
    assert str(raised.value).count(";") >= 3
