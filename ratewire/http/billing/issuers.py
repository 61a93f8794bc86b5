"""Who issues documents, and the taxes on them, over HTTP."""

from datetime import date
from typing import Annotated

import msgspec
from msgspec import Meta

from billing.entities import register as entities
from billing.entities.entity import MAIN, Entity
from billing.errors import InvalidInput
from billing.invoices import reading
from billing.taxes import rates as tax_rates
from billing.taxes.rate import TaxCode, TaxRate, format_percent, parse_percent
from ratewire.http.amounts import shown
from ratewire.http.endpoint import ADMIN, MONEY, READERS, Call, Nothing, endpoint


class Entities(msgspec.Struct, frozen=True):
    """Who issues documents, by name."""

    data: list[Entity]


class Rate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tax rate from a day on, until the next one begins, or until `valid_until` (exclusive).

    `place` orders several taxes on one line; a `compound` tax is also on those before it. `code` is
    that of EN 16931; null: Z for 0 %, S for any other. `reason` is printed where nothing is taxed.
    """

    jurisdiction: Annotated[str, Meta(examples=["DE"])]
    category: Annotated[str, Meta(examples=["standard"])]
    tax: Annotated[str, Meta(examples=["VAT"])]
    percent: Annotated[str, Meta(pattern=r"^[0-9]{1,3}(\.[0-9]{1,4})?$", examples=["19"])]
    valid_from: date
    valid_until: date | None = None
    place: Annotated[int, Meta(ge=1, le=9)] = 1
    compound: bool = False
    code: TaxCode | None = None
    reason: Annotated[str, Meta(max_length=500)] = ""


class Rates(msgspec.Struct, frozen=True):
    """Tax rates."""

    data: list[Rate]


class NewRates(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rates to be kept: each in the place of one that began on the same day, or beside the rest."""

    rates: Annotated[tuple[Rate, ...], Meta(min_length=1, max_length=1000)]


class RatesQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of which jurisdiction."""

    jurisdiction: str | None = None


class ReportQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of what an entity issued from a day to another (included)."""

    since: date
    to: date
    entity: str = MAIN


class Reported(msgspec.Struct, frozen=True):
    """What a rate came to over documents, less what was credited."""

    currency: str
    jurisdiction: str
    category: str
    tax: str
    percent: str
    code: TaxCode
    base: str
    amount: str


class Report(msgspec.Struct, frozen=True):
    """Base and tax by rate."""

    entity: str
    since: date
    to: date
    data: list[Reported]


async def list_entities(call: Call[Nothing, Nothing]) -> Entities:
    """List who issues documents."""
    return Entities(await entities.list_(call.conn))


async def get_entity(call: Call[Nothing, Nothing]) -> Entity:
    """Read one."""
    return await entities.get(call.conn, call.path["entity"])


async def put_entity(call: Call[Nothing, Entity]) -> Entity:
    """Set one."""
    if call.body.entity != call.path["entity"]:
        raise InvalidInput(
            f"entity {call.body.entity!r}: allowed is {call.path['entity']!r}, as in the path"
        )
    await entities.put(call.conn, call.body, call.now)
    return call.body


async def list_rates(call: Call[RatesQuery, Nothing]) -> Rates:
    """List tax rates."""
    found = await tax_rates.list_(call.conn, call.query.jurisdiction)
    return Rates([_rate(each) for each in found])


async def put_rates(call: Call[Nothing, NewRates]) -> Rates:
    """Keep rates, all of them or, with any fault, none."""
    wanted = [_new(rate) for rate in call.body.rates]
    keys = {(rate.jurisdiction, rate.category, rate.tax, rate.valid_from) for rate in wanted}
    if len(keys) < len(wanted):
        raise InvalidInput("rates: two are of the same jurisdiction, category, tax and day")
    return Rates([_rate(each.rate) for each in await tax_rates.put(call.conn, wanted, call.now)])


async def remove_rate(call: Call[Nothing, Nothing]) -> None:
    """Forget a rate."""
    path = call.path
    try:
        day = date.fromisoformat(path["valid_from"])
    except ValueError as error:
        raise InvalidInput(
            f"{path['valid_from']!r}: allowed is a day such as 2026-01-01"
        ) from error
    await tax_rates.remove(call.conn, path["jurisdiction"], path["category"], path["tax"], day)


async def report(call: Call[ReportQuery, Nothing]) -> Report:
    """Sum up base and tax by rate."""
    query = call.query
    found = await reading.tax_report(call.conn, query.entity, query.since, query.to)
    rows = [
        Reported(
            each.currency,
            each.jurisdiction,
            each.category,
            each.tax,
            format_percent(each.ppm),
            each.code,
            shown(each.base_micros, each.currency),
            shown(each.tax_micros, each.currency),
        )
        for each in found
    ]
    return Report(query.entity, query.since, query.to, rows)


def _new(rate: Rate) -> TaxRate:
    ppm = parse_percent(rate.percent)
    return TaxRate(
        jurisdiction=rate.jurisdiction,
        category=rate.category,
        tax=rate.tax,
        valid_from=rate.valid_from,
        ppm=ppm,
        valid_until=rate.valid_until,
        place=rate.place,
        compound=rate.compound,
        code=rate.code or (TaxCode.STANDARD if ppm else TaxCode.ZERO),
        reason=rate.reason,
    )


def _rate(rate: TaxRate) -> Rate:
    return Rate(
        jurisdiction=rate.jurisdiction,
        category=rate.category,
        tax=rate.tax,
        percent=format_percent(rate.ppm),
        valid_from=rate.valid_from,
        valid_until=rate.valid_until,
        place=rate.place,
        compound=rate.compound,
        code=rate.code,
        reason=rate.reason,
    )


_ENTITY = "billing/entities/{entity}"
_RATES = "billing/tax-rates/"

ENDPOINTS = (
    endpoint(
        "GET",
        "billing/entities/",
        "List who issues documents",
        list_entities,
        roles=READERS,
        answer=Entities,
    ),
    endpoint("GET", _ENTITY, "Read who issues documents", get_entity, roles=READERS, answer=Entity),
    endpoint(
        "PUT",
        _ENTITY,
        "Set who issues documents: its data, numbers, branding",
        put_entity,
        roles=ADMIN,
        body=Entity,
        answer=Entity,
    ),
    endpoint(
        "GET",
        _RATES,
        "List tax rates",
        list_rates,
        roles=READERS,
        query=RatesQuery,
        answer=Rates,
    ),
    endpoint("POST", _RATES, "Keep tax rates", put_rates, roles=MONEY, body=NewRates, answer=Rates),
    endpoint(
        "DELETE",
        f"{_RATES}{{jurisdiction}}/{{category}}/{{tax}}/{{valid_from}}",
        "Forget a tax rate; documents keep what was applied",
        remove_rate,
        roles=MONEY,
        answer=None,
        status=204,
    ),
    endpoint(
        "GET",
        "billing/reports/tax",
        "Sum up base and tax by rate",
        report,
        roles=READERS,
        query=ReportQuery,
        answer=Report,
    ),
)
