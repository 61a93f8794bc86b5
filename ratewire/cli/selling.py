"""offer, coupon: what is sold as a service, and what takes a part off its price."""

from pathlib import Path
from typing import Annotated

import typer

from billing.coupons import register as coupons
from billing.coupons.discount import Terms
from billing.coupons.register import Coupon
from billing.cycles.calendar import local_day
from billing.cycles.schedule import zone_of
from billing.offers import register as offers
from billing.offers.offer import Offer
from billing.offers.offerfile import percent, read_offers
from billing.offers.register import LoadedOffer
from ratewire.cli.billing_time import AtOption, billing_time, day
from ratewire.cli.running import (
    ConfigOption,
    JsonOption,
    actor,
    print_json,
    print_table,
    run,
)
from ratewire.wiring import System, now
from rating.money import format_micros, parse_amount

Code = Annotated[str, typer.Argument(help="The coupon's code.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    offer = typer.Typer(help="What services are sold as: load, list.", no_args_is_help=True)
    offer.command("load")(offer_load)
    offer.command("list")(offer_list)
    coupon = typer.Typer(
        help="Coupons and promotions: create, list, redeem, withdraw.", no_args_is_help=True
    )
    coupon.command("create")(coupon_create)
    coupon.command("list")(coupon_list)
    coupon.command("redeem")(coupon_redeem)
    coupon.command("withdraw")(coupon_withdraw)
    app.add_typer(offer, name="offer")
    app.add_typer(coupon, name="coupon")


def offer_load(
    file: Annotated[Path, typer.Argument(help="Offers in TOML; see config/samples/offers.toml.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Load offers from a file.

    All of them or, with any fault, none. An offer that has changed is a new version; services stay
    on the version they are on.
    """
    read = read_offers(file)

    async def work(system: System) -> list[LoadedOffer]:
        async with (await system.pool()).acquire() as conn:
            return await offers.load_offers(conn, read, now())

    loaded = run(config, work, store=False)
    if as_json:
        print_json(loaded)
        return
    for each in loaded:
        print(f"{each.name} version {each.version}{'' if each.changed else ' (unchanged)'}")


def offer_list(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List the newest version of each offer."""

    async def work(system: System) -> list[Offer]:
        async with (await system.pool()).acquire() as conn:
            return await offers.list_(conn)

    listed = run(config, work, store=False)
    if as_json:
        print_json(listed)
        return
    print_table(
        "Offers",
        ("name", "version", "currency", "plan", "charges"),
        [
            (offer.name, offer.version, offer.currency, offer.plan, _charges(offer))
            for offer in listed
        ],
    )


def coupon_create(
    code: Code,
    description: Annotated[str, typer.Option(help="What the invoice says.")],
    percent_off: Annotated[str | None, typer.Option("--percent", help="Such as 12.5.")] = None,
    amount: Annotated[str | None, typer.Option(help="Off each cycle, such as 5.00.")] = None,
    currency: Annotated[str | None, typer.Option(help="Of the amount.")] = None,
    cycles: Annotated[
        int, typer.Option(min=0, help="For how many billing cycles; 0 for ever.")
    ] = 1,
    rank: Annotated[int, typer.Option(help="Lower ones come first.")] = 100,
    offer: Annotated[list[str] | None, typer.Option(help="Only of this offer; repeatable.")] = None,
    charge: Annotated[list[str] | None, typer.Option(help="Only of this charge.")] = None,
    valid_from: Annotated[str | None, typer.Option(help="First day, such as 2026-02-01.")] = None,
    valid_until: Annotated[str | None, typer.Option(help="First day after its last.")] = None,
    promotion: Annotated[
        bool, typer.Option("--promotion", help="Given to all who start a service.")
    ] = False,
    at_most: Annotated[int | None, typer.Option(min=1, help="So often at most.")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Create a coupon, or a promotion."""
    terms = Terms(
        basis_points=None if percent_off is None else percent(percent_off),
        amount_micros=None if amount is None else parse_amount(amount),
        currency=currency,
        cycles=cycles or None,
        rank=rank,
        offers=tuple(offer or ()),
        charges=tuple(charge or ()),
    )
    made = Coupon(
        code=code,
        description=description,
        terms=terms,
        valid_from=day(valid_from, "--valid-from"),
        valid_until=day(valid_until, "--valid-until"),
        promotion=promotion,
        most_redemptions=at_most,
    )

    async def work(system: System) -> Coupon:
        async with (await system.pool()).acquire() as conn:
            return await coupons.create(conn, made, now())

    _print(run(config, work, store=False), "is created", as_json=as_json)


def coupon_list(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List coupons and promotions."""

    async def work(system: System) -> list[Coupon]:
        async with (await system.pool()).acquire() as conn:
            return await coupons.list_(conn)

    listed = run(config, work, store=False)
    if as_json:
        print_json(listed)
        return
    print_table(
        "Coupons",
        ("code", "off", "cycles", "redeemed", "description"),
        [
            (
                each.code,
                _off(each.terms),
                each.terms.cycles or "for ever",
                each.redemptions,
                each.description,
            )
            for each in listed
        ],
    )


def coupon_redeem(
    code: Code,
    account: str,
    at: AtOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give a coupon to an account: it takes its part off from the next bill on."""

    async def work(system: System) -> Coupon:
        async with (await system.pool()).acquire() as conn:
            moment = await billing_time(conn, at)
            today = local_day(moment, await zone_of(conn, account))
            return await coupons.redeem(conn, code, account, today=today, actor=actor(), now=moment)

    _print(run(config, work, store=False), f"is redeemed by {account}", as_json=as_json)


def coupon_withdraw(code: Code, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Let a coupon not be redeemed any more; who has it keeps it."""

    async def work(system: System) -> Coupon:
        async with (await system.pool()).acquire() as conn:
            return await coupons.withdraw(conn, code, now())

    _print(run(config, work, store=False), "is withdrawn", as_json=as_json)


def _print(coupon: Coupon, done: str, *, as_json: bool) -> None:
    if as_json:
        print_json(coupon)
    else:
        print(f"coupon {coupon.code} {done}: {_off(coupon.terms)}, {coupon.description}")


def _charges(offer: Offer) -> str:
    told = [
        f"{format_micros(each.amount_micros, offer.currency)} a {each.every or 'cycle'}"
        f" ({each.code})"
        for each in offer.recurring
    ]
    told += [
        f"{format_micros(each.amount_micros, offer.currency)} once ({each.code})"
        for each in offer.one_off
    ]
    if offer.minimum_micros:
        told.append(f"at least {format_micros(offer.minimum_micros, offer.currency)} a cycle")
    return "; ".join(told) or "none"


def _off(terms: Terms) -> str:
    if terms.basis_points is not None:
        return f"{terms.basis_points / 100:g} %"
    assert terms.amount_micros is not None
    return f"{format_micros(terms.amount_micros, terms.currency)} {terms.currency}"
