"""Offers over HTTP: what services are sold as."""

import msgspec

from billing.cycles.calendar import Unit
from billing.offers import register
from billing.offers.offer import Offer, Timing
from ratewire.http.amounts import shown
from ratewire.http.endpoint import READERS, Call, Nothing, endpoint


class RecurringView(msgspec.Struct, frozen=True):
    """What a service costs each period; `every` null is the account's own cycle."""

    code: str
    description: str
    amount: str
    every: Unit | None
    timing: Timing
    prorated: bool


class OneOffView(msgspec.Struct, frozen=True):
    """What a service costs once."""

    code: str
    description: str
    amount: str


class OfferView(msgspec.Struct, frozen=True):
    """The newest version of an offer; `plan` prices usage, `minimum` is what a cycle brings."""

    name: str
    version: int
    currency: str
    description: str
    plan: str | None
    recurring: list[RecurringView]
    one_off: list[OneOffView]
    minimum: str


class Offers(msgspec.Struct, frozen=True):
    """Offers by name."""

    data: list[OfferView]


async def list_(call: Call[Nothing, Nothing]) -> Offers:
    """List them."""
    return Offers([_view(each) for each in await register.list_(call.conn)])


async def get(call: Call[Nothing, Nothing]) -> OfferView:
    """Read one."""
    return _view(await register.get(call.conn, call.path["offer"]))


def _view(offer: Offer) -> OfferView:
    def money(micros: int) -> str:
        return shown(micros, offer.currency)

    return OfferView(
        offer.name,
        offer.version,
        offer.currency,
        offer.description,
        offer.plan,
        [
            RecurringView(
                each.code,
                each.description,
                money(each.amount_micros),
                each.every,
                each.timing,
                each.prorated,
            )
            for each in offer.recurring
        ],
        [
            OneOffView(each.code, each.description, money(each.amount_micros))
            for each in offer.one_off
        ],
        money(offer.minimum_micros),
    )


ENDPOINTS = (
    endpoint("GET", "billing/offers/", "List offers", list_, roles=READERS, answer=Offers),
    endpoint(
        "GET", "billing/offers/{offer}", "Read an offer", get, roles=READERS, answer=OfferView
    ),
)
