"""Stripe, by its own SDK: charging what it keeps, hosted checkout, refunds, and reading its events.

Amounts cross in Stripe's smallest units. Each request has an idempotency key made from our own name
of what it is about, so a repeated request does what the first one did. What fails because of us or
of Stripe is never an answer about money: such a payment is UNKNOWN.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from datetime import date, datetime
from typing import Any, Final, cast

import msgspec
import stripe
import structlog

from billing.errors import InvalidInput
from billing.gateways.happening import Card, Happening, Unreachable, What
from billing.payments.gateway import Answer, Charge
from billing.payments.payment import PaymentStatus
from rating.money import EXPONENTS, MICROS_PER_UNIT, Rounding, divide

_log = structlog.get_logger(__name__)

#: How far the clock of a signed event may be from ours (seconds), as Stripe recommends.
TOLERANCE_S: Final = 300
_TIMEOUT_S: Final = 20
_MOST_LISTED: Final = 10_000

#: Our name of a payment, in the metadata of all that Stripe makes of it.
_KEY: Final = "ratewire"

_STATUS: Final[Mapping[str, PaymentStatus]] = {
    "succeeded": PaymentStatus.SUCCEEDED,
    "processing": PaymentStatus.PENDING,
    "canceled": PaymentStatus.FAILED,
    "requires_payment_method": PaymentStatus.FAILED,
    "requires_action": PaymentStatus.FAILED,
}

_DISPUTES: Final[Mapping[str, What]] = {
    "won": What.DISPUTE_WON,
    "warning_closed": What.DISPUTE_WON,
    "prevented": What.DISPUTE_WON,
    "lost": What.DISPUTE_LOST,
}


class Unsigned(Exception):
    """An event that Stripe did not sign, or not for us; the message says what is wrong."""


class _Event(msgspec.Struct):
    id: str
    type: str
    data: dict[str, Any]
    livemode: bool = False


class Checkout(msgspec.Struct, frozen=True):
    """A page of Stripe's where a payment is made."""

    session: str
    url: str


class Keys(msgspec.Struct, frozen=True):
    """What Stripe knows us by, and signs its events with. Neither has a readable form."""

    api_key: str
    signing_secret: str

    def __repr__(self) -> str:
        """Without the keys."""
        return "Keys(...)"

    @property
    def live(self) -> bool:
        """Whether they move real money."""
        return "_live_" in self.api_key


class Stripe:
    """The port to Stripe (`billing.payments.gateway.Gateway`). Test and live are two gateways."""

    def __init__(self, keys: Keys, api_url: str | None = None) -> None:
        self._keys = keys
        self.name = "stripe" if keys.live else "stripe-test"
        self._api_url = api_url

    @asynccontextmanager
    async def _client(self) -> AsyncGenerator[stripe.StripeClient]:
        transport = stripe.AIOHTTPClient(timeout=_TIMEOUT_S)
        client = stripe.StripeClient(
            self._keys.api_key,
            http_client=transport,
            max_network_retries=1,
            base_addresses={"api": self._api_url} if self._api_url else {},
        )
        try:
            yield client
        finally:
            await transport.close_async()

    async def collect(self, charge: Charge, /) -> Answer:
        """Charge what Stripe keeps under the token, without the customer being there."""
        if charge.token is None:
            raise InvalidInput("Stripe charges a method that it keeps; a checkout needs no method")
        customer, _, method = charge.token.decode().partition("|")
        try:
            async with self._client() as client:
                made = await client.v1.payment_intents.create_async(
                    {
                        "amount": to_minor(charge.amount_micros, charge.currency),
                        "currency": charge.currency.lower(),
                        "customer": customer,
                        "payment_method": method,
                        "confirm": True,
                        "off_session": True,
                        "metadata": {_KEY: charge.key},
                    },
                    {"idempotency_key": charge.key},
                )
                answer = _answer(made)
                if made.status == "requires_action":
                    # Nobody is there to act; so that it cannot come after all, it is called off.
                    await client.v1.payment_intents.cancel_async(made.id)
        except stripe.StripeError as error:
            return _failed(error)
        return answer

    async def state(self, key: str, reference: str | None, since: datetime, /) -> Answer:
        """Ask what became of a payment; one that Stripe never heard of has failed."""
        try:
            async with self._client() as client:
                if reference is not None:
                    return _answer(await client.v1.payment_intents.retrieve_async(reference))
                seen = 0
                listed = await client.v1.payment_intents.list_async({"limit": 100})
                async for found in listed.auto_paging_iter():
                    seen += 1
                    if found.to_dict()["metadata"].get(_KEY) == key:
                        return _answer(found)
                    if found.created < since.timestamp() - TOLERANCE_S:
                        break
                    if seen >= _MOST_LISTED:
                        return Answer(PaymentStatus.UNKNOWN)
        except stripe.StripeError as error:
            _log.warning("the gateway did not answer", gateway=self.name, error=_told(error))
            return Answer(PaymentStatus.UNKNOWN)
        return Answer(PaymentStatus.FAILED, failure="the gateway never heard of it")

    async def refund(self, reference: str, micros: int, currency: str, key: str) -> Answer:
        """Give money of a payment back; its reference is the refund's then."""
        try:
            async with self._client() as client:
                made = await client.v1.refunds.create_async(
                    {"payment_intent": reference, "amount": to_minor(micros, currency)},
                    {"idempotency_key": key},
                )
        except stripe.StripeError as error:
            return _failed(error)
        gone = made.status in ("succeeded", "pending")
        return Answer(PaymentStatus.SUCCEEDED if gone else PaymentStatus.FAILED, made.id)

    async def checkout(
        self, charge: Charge, about: str, return_url: str, *, keep: bool
    ) -> Checkout:
        """Make a page where the customer pays; `keep`: and lets Stripe keep how, for later.

        The same charge again returns the same page. Raises Unreachable.
        """
        intent: Any = {"metadata": {_KEY: charge.key}}
        if keep:
            intent["setup_future_usage"] = "off_session"
        price: Any = {
            "currency": charge.currency.lower(),
            "unit_amount": to_minor(charge.amount_micros, charge.currency),
            "product_data": {"name": about},
        }
        try:
            async with self._client() as client:
                made = await client.v1.checkout.sessions.create_async(
                    {
                        "mode": "payment",
                        "customer_creation": "always" if keep else "if_required",
                        "client_reference_id": charge.key,
                        "metadata": {_KEY: charge.key},
                        "payment_intent_data": intent,
                        "success_url": return_url,
                        "cancel_url": return_url,
                        "line_items": [{"quantity": 1, "price_data": price}],
                    },
                    {"idempotency_key": f"checkout-{charge.key}"},
                )
        except stripe.StripeError as error:
            raise Unreachable(f"{self.name}: {_told(error)}") from error
        return Checkout(made.id, made.url or "")

    async def kept(self, reference: str) -> Card | None:
        """Return what Stripe kept of a payment's method; None if it kept nothing.

        Raises Unreachable.
        """
        try:
            async with self._client() as client:
                intent = await client.v1.payment_intents.retrieve_async(reference)
                if intent.customer is None or intent.payment_method is None:
                    return None
                method = await client.v1.payment_methods.retrieve_async(_id(intent.payment_method))
        except stripe.StripeError as error:
            raise Unreachable(_told(error)) from error
        label, expires = method.type, None
        if method.card is not None:
            label = f"{method.card.brand.capitalize()} ending {method.card.last4}"
            expires = date(method.card.exp_year, method.card.exp_month, 1)
        return Card(f"{_id(intent.customer)}|{method.id}".encode(), label, expires)

    def verified(self, body: bytes, signature: str | None) -> str:
        """Return the id of an event that Stripe signed for us. Raises Unsigned."""
        try:
            # Without a type of its own in the SDK.
            check: Any = getattr(stripe.WebhookSignature, "verify_header")  # noqa: B009
            check(body.decode(), signature, self._keys.signing_secret, TOLERANCE_S)
            event = msgspec.json.decode(body, type=_Event)
        except (
            stripe.SignatureVerificationError,
            UnicodeDecodeError,
            msgspec.DecodeError,
        ) as error:
            raise Unsigned(_told(error)) from error
        if event.livemode and not self._keys.live:
            raise Unsigned("an event of live payments, and the keys are those for tests")
        if not event.id:
            raise Unsigned("an event without an id")
        return event.id

    def happened(self, body: bytes) -> Happening:
        """Return what an event says. Raises msgspec.ValidationError, KeyError or ValueError."""
        event = msgspec.json.decode(body, type=_Event)
        return happening(event.type, cast("dict[str, Any]", event.data["object"]))


def happening(kind: str, of: Mapping[str, Any]) -> Happening:
    """Return what Stripe's event of a kind says of its object. Raises KeyError or ValueError."""
    key = _within(of, "metadata").get(_KEY)
    nothing = Happening(What.NOTHING)
    match kind:
        case "payment_intent.succeeded" if key:
            kept = of.get("setup_future_usage") == "off_session"
            return _of(What.PAID, of, "amount", key=key, reference=of["id"], keep_method=kept)
        case "payment_intent.payment_failed" if key and of.get("setup_future_usage") is None:
            failure = _within(of, "last_payment_error").get("message") or "declined"
            return _of(What.FAILED, of, "amount", key=key, reference=of["id"], reason=failure[:200])
        case "payment_intent.canceled" if key:
            return _of(What.CANCELLED, of, "amount", key=key, reference=of["id"])
        case "checkout.session.expired" if key:
            return Happening(What.CANCELLED, key=key)
        case "refund.created" | "refund.updated" | "charge.refund.updated":
            if of.get("status") not in ("succeeded", "pending"):
                return nothing
            paid = of["payment_intent"]
            return _of(What.REFUNDED, of, "amount", reference=paid, own_reference=of["id"])
        case "charge.dispute.created" | "charge.dispute.closed":
            ended = What.DISPUTED if kind.endswith("created") else _DISPUTES.get(of["status"])
            if ended is None:
                return nothing
            return _of(
                ended,
                of,
                "amount",
                reference=of["payment_intent"],
                own_reference=of["id"],
                reason=of.get("reason") or "",
            )
        case _:
            return nothing


def to_minor(micros: int, currency: str) -> int:
    """Return an amount in Stripe's smallest unit; those of three decimals end in 0 there."""
    unit = MICROS_PER_UNIT // 10 ** EXPONENTS[currency]
    if micros % unit:
        raise InvalidInput(f"{currency} is paid in whole minor units")
    return divide(micros, unit, Rounding.DOWN)


def _within(of: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", of.get(name) or {})


def _of(what: What, of: Mapping[str, Any], amount: str, **more: Any) -> Happening:
    currency = str(of["currency"]).upper()
    micros = int(of[amount]) * (MICROS_PER_UNIT // 10 ** EXPONENTS[currency])
    return Happening(what, micros=micros, currency=currency, **more)


def _answer(intent: stripe.PaymentIntent) -> Answer:
    failure = ""
    status = _STATUS.get(intent.status, PaymentStatus.UNKNOWN)
    if status is PaymentStatus.FAILED:
        error = intent.last_payment_error
        failure = (error.message if error is not None else None) or intent.status
    return Answer(status, intent.id, failure[:200])


def _failed(error: stripe.StripeError) -> Answer:
    """What a request that raised says about the money."""
    if isinstance(error, stripe.CardError):
        intent: Any = getattr(error.error, "payment_intent", None)
        reference = None if intent is None else cast("str", intent.id)
        return Answer(PaymentStatus.FAILED, reference, _told(error))
    if isinstance(
        error,
        stripe.InvalidRequestError | stripe.AuthenticationError | stripe.PermissionError,
    ):
        _log.error("the gateway refuses our requests", error=_told(error))
        return Answer(PaymentStatus.FAILED, failure=_told(error))
    _log.warning("the gateway did not answer", error=_told(error))
    return Answer(PaymentStatus.UNKNOWN)


def _told(error: Exception) -> str:
    told = (error.user_message if isinstance(error, stripe.StripeError) else None) or str(error)
    return " ".join("".join(c if c.isprintable() else " " for c in told).split())[:200]


def _id(value: Any) -> str:
    return value if isinstance(value, str) else value.id
