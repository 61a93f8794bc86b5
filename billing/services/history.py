"""The terms of a service over time, and what may be done to them. Pure.

Days are local dates of the account. A term ends on the first day that is not in it.
"""

import enum
from collections.abc import Sequence
from datetime import date

import msgspec

from billing.errors import Conflict, InvalidInput


class OfferVersion(msgspec.Struct, frozen=True, order=True):
    """An offer as it was at one time."""

    name: str
    version: int


class TermOf(msgspec.Struct, frozen=True, order=True):
    """A service is on an offer from a day on, before another (None: until further notice)."""

    starts_on: date
    ends_on: date | None
    offer: OfferVersion
    quantity: int = 1

    def holds_on(self, day: date) -> bool:
        """Return whether the service is on the offer that day."""
        return self.starts_on <= day and (self.ends_on is None or day < self.ends_on)


class ServiceState(enum.StrEnum):
    """What a service is on a day."""

    ORDERED = "ordered"
    ACTIVE = "active"
    PAUSED = "paused"
    CANCELLED = "cancelled"


Terms = tuple[TermOf, ...]


def state_on(terms: Sequence[TermOf], cancelled_on: date | None, day: date) -> ServiceState:
    """Return what a service is on a day."""
    if cancelled_on is not None and cancelled_on <= day:
        return ServiceState.CANCELLED
    if any(term.holds_on(day) for term in terms):
        return ServiceState.ACTIVE
    if terms and terms[0].starts_on <= day:
        return ServiceState.PAUSED
    return ServiceState.ORDERED


def term_on(terms: Sequence[TermOf], day: date) -> TermOf | None:
    """Return the term that holds on a day; None if the service is not active then."""
    return next((term for term in terms if term.holds_on(day)), None)


def next_change(terms: Sequence[TermOf], day: date) -> date | None:
    """Return the first day after this one on which a term begins or ends; None if none does."""
    days = {term.starts_on for term in terms} | {term.ends_on for term in terms if term.ends_on}
    return min((each for each in days if each > day), default=None)


def started(terms: Terms, on: date, offer: OfferVersion, quantity: int) -> Terms:
    """Return the terms of a service that begins on a day. Raises Conflict if it has begun."""
    if terms:
        raise Conflict(f"the service has begun on {terms[0].starts_on}")
    return (TermOf(on, None, offer, quantity),)


def changed(terms: Terms, on: date, offer: OfferVersion, quantity: int) -> Terms:
    """Return the terms with another offer from a day on, in the place of what was planned after it.

    Raises Conflict if the service is not active on that day, or would not change.
    """
    held = _held(terms, on)
    if (held.offer, held.quantity) == (offer, quantity):
        raise Conflict(f"the service is on {offer.name} version {offer.version} already")
    new = TermOf(on, None, offer, quantity)
    return _joined((*_before(terms, on), new))


def paused(terms: Terms, on: date, until: date | None) -> Terms:
    """Return the terms without the days from `on` on, before `until` (None: until it is resumed).

    It comes back on the offer that it was to be on then. Raises Conflict if the service is not
    active on the day `on` or begins on it, InvalidInput if `until` is not later.
    """
    held = _held(terms, on)
    if terms[0].starts_on == on:
        raise Conflict(f"the service begins on {on}; it can be paused from the day after on")
    if until is None:
        return _before(terms, on)
    if until <= on:
        raise InvalidInput(f"a pause from {on} until {until}: the end must be later")
    back = term_on(terms, until) or held
    rest = tuple(term for term in terms if term.starts_on > until)
    ends_on = rest[0].starts_on if rest else None
    again = msgspec.structs.replace(back, starts_on=until, ends_on=ends_on)
    return (*_before(terms, on), again, *rest)


def resumed(terms: Terms, on: date) -> Terms:
    """Return the terms of a paused service that goes on from a day on, on the offer it was on.

    Raises Conflict if it has not begun, or is not paused on that day.
    """
    earlier = _before(terms, on)
    if not earlier or term_on(terms, on) is not None:
        raise Conflict(f"the service is not paused on {on}")
    last = earlier[-1]
    assert last.ends_on is not None, "it would be active"
    if last.ends_on == on:
        return (*earlier[:-1], msgspec.structs.replace(last, ends_on=None))
    return (*earlier, msgspec.structs.replace(last, starts_on=on, ends_on=None))


def cancelled(terms: Terms, on: date) -> Terms:
    """Return the terms that end on a day at the latest."""
    return _before(terms, on)


def _held(terms: Terms, on: date) -> TermOf:
    held = term_on(terms, on)
    if held is None:
        raise Conflict(f"the service is not active on {on}")
    return held


def _before(terms: Terms, day: date) -> Terms:
    """The terms as far as they are before a day."""
    return tuple(
        term
        if term.ends_on is not None and term.ends_on <= day
        else msgspec.structs.replace(term, ends_on=day)
        for term in terms
        if term.starts_on < day
    )


def _joined(terms: Terms) -> Terms:
    """Without a change that changes nothing: two terms of one offer that follow each other."""
    joined: list[TermOf] = []
    for term in terms:
        last = joined[-1] if joined else None
        if last is not None and last.ends_on == term.starts_on:
            same = (last.offer, last.quantity) == (term.offer, term.quantity)
            if same:
                joined[-1] = msgspec.structs.replace(last, ends_on=term.ends_on)
                continue
        joined.append(term)
    return tuple(joined)
