"""Stripe's side of a payment, on a Stripe that runs (localstripe)."""

import hashlib
import hmac
import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from billing.database import Pool
from billing.errors import Conflict, InvalidInput
from billing.gateways.happening import What
from billing.gateways.stripe import Keys, Stripe, Unsigned, happening, to_minor
from billing.payments import refunds
from billing.payments.gateway import ask_again, collect, give_back
from billing.payments.payment import Method, PaymentStatus
from billing.payments.register import NewPayment, receive
from tests.support.localstripe import API_KEY, SIGNING_SECRET, LocalStripe

TEN = NewPayment("alice", 10_000_000, Method.CARD, key="k")
BROKE = "4000000000000341"


def signed(body: bytes, secret: str = SIGNING_SECRET, at: float | None = None) -> str:
    """The Stripe-Signature of a body."""
    moment = int(time.time() if at is None else at)
    mac = hmac.new(secret.encode(), b"%d.%s" % (moment, body), hashlib.sha256)
    return f"t={moment},v1={mac.hexdigest()}"


async def test_a_kept_card_is_charged_once_and_refunded(
    pool: Pool, server: LocalStripe, gateway: Stripe, now: datetime
) -> None:
    token = await server.customer()
    for repeated in (False, True):
        done = await collect(pool, gateway, TEN, token=token, actor="test", now=now)
        assert (done.payment.status, done.repeated) == (PaymentStatus.SUCCEEDED, repeated)
    reference = done.payment.gateway_reference
    assert reference is not None
    assert reference.startswith("pi_")
    assert (done.payment.gateway, API_KEY in repr(vars(gateway))) == ("stripe-test", False)
    async with pool.acquire() as conn:
        for key, micros in (("a", 4_000_000), ("a", 4_000_000), ("b", None)):
            await give_back(
                conn, gateway, 1, micros, reason="moved", key=key, actor="test", now=now
            )
        done_refunds = await refunds.of_payment(conn, 1)
        assert [each.amount_micros for each in done_refunds] == [4_000_000, 6_000_000]
        with pytest.raises(Conflict, match="to give back"):
            await give_back(conn, gateway, 1, reason="more", key="c", actor="test", now=now)
    listed: Any = await gateway.state("payment-1", reference, now)
    assert listed.status is PaymentStatus.SUCCEEDED


async def test_a_declined_card_is_a_failed_payment_with_the_banks_reason(
    pool: Pool, server: LocalStripe, gateway: Stripe, now: datetime
) -> None:
    token = await server.customer(BROKE)
    done = await collect(pool, gateway, TEN, token=token, actor="test", now=now)
    assert done.payment.status is PaymentStatus.FAILED
    assert "declined" in done.payment.failure


async def test_a_payment_whose_answer_was_lost_is_found_under_our_name(
    pool: Pool, server: LocalStripe, gateway: Stripe
) -> None:
    """As after a process that died between the gateway's answer and the note of it."""
    begun = datetime.fromtimestamp(time.time(), UTC)
    async with pool.acquire() as conn:
        new = NewPayment(
            "alice", 10_000_000, Method.CARD, PaymentStatus.PENDING, gateway="stripe-test", key="k"
        )
        payment = (await receive(conn, new, actor="test", now=begun)).payment
    customer, _, method = (await server.customer()).decode().partition("|")
    for key in ("payment-7", f"payment-{payment.payment_id}", "payment-8"):
        await server.post(
            "/v1/payment_intents",
            **{
                "amount": "1000",
                "currency": "eur",
                "customer": customer,
                "payment_method": method,
                "confirm": "true",
                "metadata[ratewire]": key,
            },
        )
    told = await ask_again(pool, gateway, payment, actor="test", now=begun)
    assert told.status is PaymentStatus.SUCCEEDED


EVENT = json.dumps({"id": "evt_1", "type": "x", "data": {"object": {}}, "livemode": False}).encode()


def test_only_what_stripe_signed_for_us_just_now_is_heard() -> None:
    ours = Stripe(Keys(API_KEY, SIGNING_SECRET))
    assert ours.verified(EVENT, signed(EVENT)) == "evt_1"
    live = EVENT.replace(b"false", b"true")
    for body, signature in (
        (EVENT, None),
        (EVENT, ""),
        (EVENT, "t=1,v1=00"),
        (EVENT, signed(EVENT, "whsec_other")),
        (EVENT, signed(EVENT, at=time.time() - 301)),
        (EVENT + b" ", signed(EVENT)),
        (b"\xff", signed(b"\xff")),
        (b"[]", signed(b"[]")),
        (live, signed(live)),
    ):
        with pytest.raises(Unsigned):
            ours.verified(body, signature)


def test_keys_have_no_readable_form_and_test_and_live_are_two_gateways() -> None:
    assert "sk_" not in repr(Keys("sk_live_1", "whsec_1"))
    assert Stripe(Keys("sk_live_1", "whsec_1")).name == "stripe"
    assert Stripe(Keys("rk_test_1", "whsec_1")).name == "stripe-test"


def test_amounts_cross_in_the_currencys_minor_units() -> None:
    for micros, currency, minor in ((12_340_000, "EUR", 1234), (5_000_000, "JPY", 5)):
        assert to_minor(micros, currency) == minor
        of = {"id": "pi_1", "amount": minor, "currency": currency.lower()}
        told = happening("payment_intent.succeeded", {**of, "metadata": {"ratewire": "payment-1"}})
        assert (told.what, told.micros, told.currency) == (What.PAID, micros, currency)
    with pytest.raises(InvalidInput, match="whole minor units"):
        to_minor(1, "EUR")


def test_events_of_what_is_not_ours_say_nothing() -> None:
    for kind in ("payment_intent.succeeded", "charge.succeeded", "customer.created"):
        assert happening(kind, {"id": "x", "metadata": {}}).what is What.NOTHING


async def test_a_gateway_that_is_down_leaves_a_payment_unknown_until_it_is_asked(
    pool: Pool, server: LocalStripe, gateway: Stripe, now: datetime
) -> None:
    token = await server.customer()
    server.stop()
    done = await collect(pool, gateway, TEN, token=token, actor="test", now=now)
    assert done.payment.status is PaymentStatus.UNKNOWN
    still = await ask_again(pool, gateway, done.payment, actor="test", now=now)
    assert still.status is PaymentStatus.UNKNOWN
    await server.start()
    told = await ask_again(pool, gateway, still, actor="test", now=now)
    assert (told.status, told.failure) == (PaymentStatus.FAILED, "the gateway never heard of it")
