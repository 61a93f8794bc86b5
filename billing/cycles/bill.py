"""The bill of an account on a day: what is charged and credited, and what is taken off. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date

import msgspec

from billing.coupons.discount import Entitlement, Line, LineKind, Redeemed, discounted
from billing.cycles.calendar import Calendar, Part, Period
from billing.cycles.difference import Billed, Charge, Credit, difference
from billing.cycles.proposal import Service, Term, calendar_of, propose
from billing.cycles.proration import prorate, to_minor_unit
from billing.offers.offer import MINIMUM_CODE, Offer


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """All that an account's bill on the day `bill_on` is made from.

    `billed` is what was billed for its services and still holds, as far back as `window` asks for.
    `usage_micros` is what the usage of a service was charged for in a cycle that `bill_on` closes,
    by service and the cycle's first day; only services with a minimum need it.
    """

    account: str
    currency: str
    calendar: Calendar
    bill_on: date
    billed_until: date | None
    changed_since: date | None
    goes_on: bool
    services: tuple[Service, ...]
    billed: tuple[Billed, ...] = ()
    redeemed: tuple[Redeemed, ...] = ()
    usage_micros: Mapping[tuple[int, date], int] = {}

    @property
    def since(self) -> date:
        """The first day whose billing may have to change."""
        begun = self.calendar.changes[0].since
        last = self.calendar.part_of(self.billed_until or begun).period.start
        return min(last, self.changed_since or last)

    @property
    def closed(self) -> list[Period]:
        """The cycles that this bill closes."""
        return list(_closed(self.calendar, self.billed_until, self.bill_on))


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a bill: a charge, or a credit of one (then both amounts are negative).

    What is to be paid is the amount less the discount. `proposed` or `credit` says what it comes
    from; a minimum comes from neither.
    """

    service: int
    charge: str
    kind: LineKind
    offer: str
    description: str
    tax_category: str
    period: Period
    amount_micros: int
    discount_micros: int = 0
    discount_reason: str = ""
    proposed: Charge | None = None
    credit: Credit | None = None


class Bill(msgspec.Struct, frozen=True):
    """What is billed, the cycles that are closed with it, what coupons took off in which cycle, and
    the day of the next bill (None: there is nothing further to bill).
    """

    account: str
    currency: str
    bill_on: date
    items: tuple[Item, ...]
    closed: tuple[Period, ...]
    uses: tuple[tuple[int, date, int], ...]
    next_bill_on: date | None

    @property
    def amount_micros(self) -> int:
        """What it comes to, less discounts, without tax."""
        return sum(item.amount_micros - item.discount_micros for item in self.items)


def window(account: Account, service: Service) -> date:
    """Return the day from which on what was billed for a service is needed for the bill."""
    since = min([account.since, *(period.start for period in account.closed)])
    calendars = {
        charge.every: calendar_of(charge, account.calendar)
        for term in service.terms
        for charge in term.offer.recurring
    }
    return min([since, *(own.part_of(since).period.start for own in calendars.values())])


def bill(account: Account) -> Bill:
    """Return an account's bill. Raises Contradiction if its history cannot be billed."""
    until, since = account.bill_on, account.since
    proposed = propose(account.services, account.calendar, since=since, until=until)
    found = difference(
        proposed, account.billed, currency=account.currency, since=since, until=until
    )
    items = [_charged(charge) for charge in found.charges]
    items += [_credited(credit) for credit in found.credits]
    items += _minimums(account, found.charges, found.credits)
    cycle = account.calendar.part_of(until).period.start
    discounts, uses = _discounts(account, items, cycle)
    return Bill(
        account.account,
        account.currency,
        until,
        tuple(discounts),
        tuple(account.closed),
        tuple(uses),
        _next(account),
    )


def _closed(calendar: Calendar, billed_until: date | None, until: date) -> Iterator[Period]:
    begun = calendar.changes[0].since
    period = calendar.part_of(billed_until or begun).period
    while period.end <= until:
        if period.end > begun:
            yield Period(max(period.start, begun), period.end)
        period = calendar.part_of(period.end).period


def _charged(charge: Charge) -> Item:
    each = charge.proposed
    return Item(
        service=each.service,
        charge=each.charge,
        kind=each.kind,
        offer=each.offer,
        description=each.description,
        tax_category=each.tax_category,
        period=each.period,
        amount_micros=charge.amount_micros,
        proposed=charge,
    )


def _credited(credit: Credit) -> Item:
    each = credit.billed
    return Item(
        service=each.service,
        charge=each.charge,
        kind=each.kind,
        offer=each.offer,
        description=each.description,
        tax_category=each.tax_category,
        period=credit.period,
        amount_micros=-credit.amount_micros,
        discount_micros=-credit.discount_micros,
        credit=credit,
    )


def _minimums(
    account: Account, charges: Sequence[Charge], credits_: Sequence[Credit]
) -> Iterator[Item]:
    """What each service is short of its minimum in each cycle that is closed."""
    for cycle in account.closed:
        for service in account.services:
            terms = [term for term in service.terms if term.offer.minimum_micros]
            parts = [
                (term, period)
                for term in terms
                if (period := cycle.within(term.starts_on, term.ends_on or date.max)) is not None
            ]
            if not parts:
                continue
            least = sum(_least(account, term, period) for term, period in parts)
            had = _brought(account, service.service, cycle, charges, credits_)
            if had < least:
                yield _minimum(service.service, parts[-1][0].offer, cycle, least - had)


def _least(account: Account, term: Term, period: Period) -> int:
    part = account.calendar.part_of(period.start)
    return prorate(
        term.offer.minimum_micros * term.quantity,
        Part(period, part.whole, part.unit),
        account.currency,
    )


def _minimum(service: int, offer: Offer, cycle: Period, short_micros: int) -> Item:
    return Item(
        service=service,
        charge=MINIMUM_CODE,
        kind=LineKind.MINIMUM,
        offer=offer.name,
        description=f"Minimum, {offer.description or offer.name}",
        tax_category=offer.usage_tax_category,
        period=cycle,
        amount_micros=short_micros,
    )


def _brought(
    account: Account,
    service: int,
    cycle: Period,
    charges: Sequence[Charge],
    credits_: Sequence[Credit],
) -> int:
    """What a service brought in a cycle: its share by days of what was billed, and its usage."""
    credited = {credit.billed.item: credit for credit in credits_}
    total = account.usage_micros.get((service, cycle.start), 0)
    for before in account.billed:
        if before.service != service:
            continue
        covers, left = before.covers, before.left_micros
        if before.item in credited:
            covers = credited[before.item].covers
            left -= sum(c.amount_micros for c in credits_ if c.billed.item == before.item)
        total += _share(left, covers, cycle, account.currency)
    for charge in charges:
        if charge.proposed.service == service:
            total += _share(
                charge.amount_micros, (charge.proposed.period,), cycle, account.currency
            )
    return total


def _share(micros: int, covers: Sequence[Period], cycle: Period, currency: str) -> int:
    days = sum(period.days for period in covers)
    inside = sum(
        part.days
        for period in covers
        if (part := period.within(cycle.start, cycle.end)) is not None
    )
    return to_minor_unit(micros * inside, days, currency) if days else 0


def _discounts(
    account: Account, items: Sequence[Item], cycle: date
) -> tuple[list[Item], list[tuple[int, date, int]]]:
    """The items with what bundles and coupons take off, and what each coupon took."""
    entitlements, reasons = _entitlements(account, cycle)
    lines = [Line(item.kind, item.offer, item.charge, item.amount_micros) for item in items]
    taken = discounted(lines, entitlements, account.currency)
    told: list[Item] = []
    for index, item in enumerate(items):
        off = {key: shares[index] for key, shares in taken.items() if shares[index]}
        if off:
            item = msgspec.structs.replace(  # noqa: PLW2901 -- the same item
                item,
                discount_micros=sum(off.values()),
                discount_reason=", ".join(reasons[key] for key in off),
            )
        told.append(item)
    uses = [(key, cycle, sum(shares)) for key, shares in taken.items() if key > 0]
    return told, uses


def _entitlements(account: Account, cycle: date) -> tuple[list[Entitlement], dict[int, str]]:
    """Bundles first, under negative keys, then what was redeemed; and what each is called."""
    entitlements: list[Entitlement] = []
    reasons: dict[int, str] = {}
    offers = {term.offer.name: term.offer for each in account.services for term in each.terms}
    for offer in offers.values():
        if offer.discount is None:
            continue
        key = -len(offers) - 1 + len(entitlements)
        kinds = offer.discount.kinds or (LineKind.RECURRING,)
        terms = msgspec.structs.replace(offer.discount, rank=-1, offers=(offer.name,), kinds=kinds)
        whole = sum(charge.amount_micros for charge in offer.recurring)
        entitlements.append(Entitlement(key, terms, None, whole or None))
        reasons[key] = offer.description or offer.name
    for had in account.redeemed:
        entitled = had.entitlement(cycle)
        if entitled is not None:
            entitlements.append(entitled)
            reasons[had.redemption] = had.description or had.code
    return entitlements, reasons


def _next(account: Account) -> date | None:
    """The next end of a cycle, or the first day before it on which a service changes."""
    until = account.bill_on
    ends = {
        day
        for service in account.services
        for term in service.terms
        for day in (term.starts_on, term.ends_on)
        if day is not None and day > until
    }
    runs_on = any(
        term.ends_on is None or term.ends_on > until
        for service in account.services
        for term in service.terms
    )
    if not (runs_on or account.goes_on):
        return None
    return min([account.calendar.part_of(until).period.end, *ends])
