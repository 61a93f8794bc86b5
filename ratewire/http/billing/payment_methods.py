"""Payment methods over HTTP: how an account pays."""

from datetime import date

import msgspec

from billing.payments import methods
from billing.payments.methods import PaymentMethod
from billing.payments.payment import Method
from ratewire.http.endpoint import CARE, READERS, Call, Nothing, endpoint


class MethodRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A way to pay: the gateway's token for it, never a card's number."""

    kind: Method
    gateway: str
    label: str
    token: str | None = None
    expires_on: date | None = None
    default: bool = False


class Methods(msgspec.Struct, frozen=True):
    """How an account pays."""

    data: list[PaymentMethod]


async def add_method(call: Call[Nothing, MethodRequest]) -> PaymentMethod:
    """Keep a way to pay."""
    new = call.body
    return await methods.add(
        call.conn,
        call.system.keyring,
        call.path["account"],
        new.kind,
        gateway=new.gateway,
        token=None if new.token is None else new.token.encode(),
        label=new.label,
        expires_on=new.expires_on,
        default=new.default,
        now=call.now,
    )


async def methods_of(call: Call[Nothing, Nothing]) -> Methods:
    """List how an account pays."""
    return Methods(await methods.of_account(call.conn, call.path["account"]))


async def default_method(call: Call[Nothing, Nothing]) -> PaymentMethod:
    """Make one the default."""
    return await methods.make_default(call.conn, int(call.path["method_id"]))


async def remove_method(call: Call[Nothing, Nothing]) -> None:
    """Forget one."""
    await methods.remove(call.conn, int(call.path["method_id"]), now=call.now)


_METHODS = "billing/accounts/{account}/payment-methods"

ENDPOINTS = (
    endpoint(
        "GET", _METHODS, "List how an account pays", methods_of, roles=READERS, answer=Methods
    ),
    endpoint(
        "POST",
        _METHODS,
        "Keep a way to pay",
        add_method,
        roles=CARE,
        body=MethodRequest,
        answer=PaymentMethod,
        status=201,
    ),
    endpoint(
        "POST",
        "billing/payment-methods/{method_id}/default",
        "Make a method the default",
        default_method,
        roles=CARE,
        answer=PaymentMethod,
    ),
    endpoint(
        "DELETE",
        "billing/payment-methods/{method_id}",
        "Forget a payment method",
        remove_method,
        roles=CARE,
        answer=None,
        status=204,
    ),
)
