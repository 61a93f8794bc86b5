"""entity, tax: who issues documents, and the taxes on them."""

from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from billing.entities import register as entities
from billing.entities.entity import MAIN, Entity
from billing.entities.entityfile import read_entity
from billing.invoices import reading
from billing.invoices.reading import ReportedTax
from billing.taxes import rates as tax_rates
from billing.taxes.rate import TaxRate, format_percent
from billing.taxes.ratefile import read_rates
from billing.taxes.rates import LoadedRate
from ratewire.cli.running import (
    ConfigOption,
    JsonOption,
    Refused,
    print_json,
    print_table,
    run,
)
from ratewire.wiring import System, now
from rating.money import format_micros

Day = Annotated[str, typer.Argument(help="A day, such as 2026-03-01.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    entity = typer.Typer(help="Who issues documents: set, list.", no_args_is_help=True)
    entity.command("set")(entity_set)
    entity.command("list")(entity_list)
    tax = typer.Typer(help="Tax rates: load, list; report.", no_args_is_help=True)
    tax.command("load")(tax_load)
    tax.command("list")(tax_list)
    tax.command("report")(tax_report)
    app.add_typer(entity, name="entity")
    app.add_typer(tax, name="tax")


def entity_set(
    file: Annotated[Path, typer.Argument(help="TOML; see config/samples/entity.toml.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Set who issues documents. What is finalized keeps what held then."""
    entity = read_entity(file)

    async def work(system: System) -> bool:
        async with (await system.pool()).acquire() as conn:
            return await entities.put(conn, entity, now())

    changed = run(config, work, store=False)
    if as_json:
        print_json({"entity": entity.entity, "changed": changed})
    else:
        print(f"entity {entity.entity} is {'set' if changed else 'unchanged'}")


def entity_list(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List who issues documents."""

    async def work(system: System) -> list[Entity]:
        async with (await system.pool()).acquire() as conn:
            return await entities.list_(conn)

    found = run(config, work, store=False)
    if as_json:
        print_json(found)
        return
    rows = [(e.entity, e.name, e.jurisdiction, e.tax_id, e.time_zone) for e in found]
    print_table("Entities", ("entity", "name", "taxed in", "VAT id", "time zone"), rows)


def tax_load(
    file: Annotated[Path, typer.Argument(help="Rates in TOML; see config/samples/taxes.toml.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Load tax rates from a file: all of them or, with any fault, none."""
    read = read_rates(file)

    async def work(system: System) -> list[LoadedRate]:
        async with (await system.pool()).acquire() as conn:
            return await tax_rates.put(conn, read, now())

    loaded = run(config, work, store=False)
    if as_json:
        print_json(loaded)
    else:
        print(f"{sum(each.changed for each in loaded)} of {len(loaded)} rates are new or changed")


def tax_list(
    jurisdiction: Annotated[str | None, typer.Option(help="Only this one.")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List tax rates."""

    async def work(system: System) -> list[TaxRate]:
        async with (await system.pool()).acquire() as conn:
            return await tax_rates.list_(conn, jurisdiction)

    found = run(config, work, store=False)
    if as_json:
        print_json(found)
        return
    rows = [
        (r.jurisdiction, r.category, r.tax, format_percent(r.ppm), r.valid_from, r.valid_until)
        for r in found
    ]
    print_table("Tax rates", ("place", "category", "tax", "%", "from", "until"), rows)


def tax_report(
    since: Day,
    to: Day,
    entity: Annotated[str, typer.Option(help="Who issued the documents.")] = MAIN,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sum up net and tax by rate of what was issued from a day to another (included)."""
    days = _day(since), _day(to)

    async def work(system: System) -> list[ReportedTax]:
        async with (await system.pool()).acquire() as conn:
            return await reading.tax_report(conn, entity, *days)

    found = run(config, work, store=False)
    if as_json:
        print_json(found)
        return
    rows = [
        (
            *(each.jurisdiction, each.category, each.tax, format_percent(each.ppm)),
            format_micros(each.base_micros, each.currency),
            format_micros(each.tax_micros, each.currency),
            each.currency,
        )
        for each in found
    ]
    columns = ("place", "category", "tax", "%", "net", "tax amount", "currency")
    print_table(f"Tax from {since} to {to}", columns, rows)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise Refused(f"{text!r} is no day; allowed is one such as 2026-03-01") from error
