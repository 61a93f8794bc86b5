"""plan: what is sold."""

from pathlib import Path
from typing import Annotated

import typer

from billing.catalogue import plans as catalogue
from billing.catalogue.planfile import read_plans
from billing.catalogue.plans import LoadedPlan
from ratewire.cli.running import (
    ConfigOption,
    JsonOption,
    print_json,
    print_table,
    publish,
    run,
)
from ratewire.wiring import System, now
from rating.money import format_micros
from rating.plan import Plan
from rating.tariff import Rule


def register(app: typer.Typer) -> None:
    """Add the commands."""
    plan = typer.Typer(help="What is sold: load, list.", no_args_is_help=True)
    plan.command("load")(plan_load)
    plan.command("list")(plan_list)
    app.add_typer(plan, name="plan")


def plan_load(
    file: Annotated[Path, typer.Argument(help="Plans in TOML; see config/samples/plans.toml.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Load plans from a file.

    All of them or, with any fault, none. A plan that has changed is a new version.
    """
    plans = read_plans(file)

    async def work(system: System) -> list[LoadedPlan]:
        async with (await system.pool()).acquire() as conn:
            loaded = await catalogue.load_plans(conn, plans, now())
        await publish(system)
        return loaded

    loaded = run(config, work)
    if as_json:
        print_json(loaded)
        return
    for each in loaded:
        print(f"{each.name} version {each.version}{'' if each.changed else ' (unchanged)'}")


def plan_list(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List the newest version of each plan."""

    async def work(system: System) -> list[Plan]:
        async with (await system.pool()).acquire() as conn:
            return await catalogue.list_(conn)

    plans = run(config, work, store=False)
    if as_json:
        print_json(plans)
        return
    print_table(
        "Plans",
        ("name", "version", "currency", "policy", "prices"),
        [
            (
                plan.name,
                plan.version,
                plan.tariff.currency,
                plan.policy.value,
                "; ".join(_price(rule, plan.tariff.currency) for rule in plan.tariff.rules)
                or "free",
            )
            for plan in plans
        ],
    )


def _price(rule: Rule, currency: str) -> str:
    price = format_micros(rule.price_micros, currency)
    return f"{price} per {rule.per_units} {rule.counter}"
