"""What a gateway tells: that a payment came, failed, went back or is disputed. In our words."""

import enum
from datetime import date
from typing import Protocol

import msgspec


class What(enum.StrEnum):
    """What happened. NOTHING: the event is about nothing that we keep."""

    PAID = "paid"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REFUNDED = "refunded"
    DISPUTED = "disputed"
    DISPUTE_WON = "dispute_won"
    DISPUTE_LOST = "dispute_lost"
    NOTHING = "nothing"


class Happening(msgspec.Struct, frozen=True):
    """One thing that happened to a payment (micros of `currency`).

    The payment is named by our `key` for it or by the gateway's `reference`; `own_reference` is the
    gateway's name of the refund or dispute itself.
    """

    what: What
    key: str | None = None
    reference: str | None = None
    micros: int = 0
    currency: str = ""
    own_reference: str = ""
    reason: str = ""
    keep_method: bool = False


class Unreachable(Exception):
    """A gateway did not do what it was asked for, or does not answer; the message says which."""


class Card(msgspec.Struct, frozen=True):
    """What a gateway kept for us to charge again: its name of it, and what people may see."""

    token: bytes
    label: str
    expires_on: date | None


class Teller(Protocol):
    """A gateway, as far as what it tells is concerned."""

    def happened(self, body: bytes, /) -> Happening:
        """Return what an event says. Raises KeyError or ValueError."""
        ...

    async def kept(self, reference: str, /) -> Card | None:
        """Return what was kept of a payment's method. Raises Unreachable."""
        ...
