"""Money over HTTP: a decimal text in the unit of its currency, as "12.50"."""

from typing import Annotated, TypeAlias

from msgspec import Meta

from billing.errors import InvalidInput
from rating.money import AmountError, format_micros, parse_amount

#: What a client may send; what it comes to is checked where it is used.
Amount: TypeAlias = Annotated[
    str, Meta(pattern=r"^-?[0-9]{1,10}(\.[0-9]{1,6})?$", examples=["12.50"])
]


def shown(micros: int, currency: str) -> str:
    """Return micros as a text with at least the currency's decimals."""
    return format_micros(micros, currency)


def shown_or_none(micros: int | None, currency: str) -> str | None:
    """Return micros as `shown` does; None is no bound."""
    return None if micros is None else format_micros(micros, currency)


def read(text: str, name: str) -> int:
    """Return the micros of a text. Raises InvalidInput, naming the field."""
    try:
        return parse_amount(text)
    except AmountError as error:
        raise InvalidInput(f"{name}: {error}") from error
