"""What goes wrong, as a problem document (RFC 9457)."""

from collections.abc import Mapping
from typing import Final

import msgspec
from aiohttp import web

from balances.errors import StoreError
from billing.database import refused, unavailable
from billing.errors import BillingError, Conflict, InvalidInput, NotFound
from billing.requests.once import KeyReused

#: Headers of an error that belong to its status, whatever its body (RFC 9110).
_OF_STATUS: Final = ("Allow", "WWW-Authenticate", "Retry-After")

_encode = msgspec.json.Encoder().encode

#: What our errors are over HTTP: the most special first.
_STATUS: Final[tuple[tuple[type[BillingError], int, str, str], ...]] = (
    (KeyReused, 422, "key-reused", "The idempotency key was used for another request"),
    (InvalidInput, 422, "invalid-input", "The request cannot be carried out as it is"),
    (NotFound, 404, "not-found", "There is no such thing"),
    (Conflict, 409, "conflict", "The request contradicts what is there"),
    (BillingError, 400, "refused", "The request is refused"),
)


class Fault(msgspec.Struct, frozen=True):
    """One fault of a request: where (a JSON pointer, or `?name` of the query), and what."""

    pointer: str
    detail: str


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """RFC 9457. `type` is stable; `detail` is written for who sent the request."""

    type: str
    title: str
    status: int
    detail: str = ""
    request_id: str = ""
    errors: tuple[Fault, ...] = ()


class BadRequest(Exception):
    """A request that cannot be read; `faults` says where and why."""

    def __init__(self, *faults: Fault) -> None:
        super().__init__("; ".join(f"{fault.pointer}: {fault.detail}" for fault in faults))
        self.faults = faults


def problem_of(error: Exception) -> Problem | None:
    """Return the problem that an error is; None if it is nobody's fault but ours."""
    if isinstance(error, BadRequest):
        return Problem(
            "urn:ratewire:bad-request",
            "The request cannot be read",
            400,
            str(error),
            errors=error.faults,
        )
    for kind, status, name, title in _STATUS:
        if isinstance(error, kind):
            return Problem(f"urn:ratewire:{name}", title, status, str(error))
    if isinstance(error, web.HTTPException):
        return Problem("about:blank", error.reason, error.status, error.text or "")
    if isinstance(error, StoreError):
        return Problem(
            "urn:ratewire:store-unavailable", "The store is not available", 503, str(error)
        )
    if refused(error):
        # A character that no text can hold, a time beyond all calendars: what no check foresees.
        return Problem(
            "urn:ratewire:invalid-input",
            "The request cannot be carried out as it is",
            422,
            f"a value cannot be stored: {error}",
        )
    if unavailable(error):
        return Problem(
            "urn:ratewire:database-unavailable", "The database is not available", 503, str(error)
        )
    return None


def answer(problem: Problem, headers: Mapping[str, str]) -> web.Response:
    """Return a problem as a response."""
    return web.Response(
        body=_encode(problem),
        status=problem.status,
        content_type="application/problem+json",
        headers=headers,
    )


def kept_headers(error: Exception) -> dict[str, str]:
    """Return the headers that belong to an error whatever its body."""
    if isinstance(error, web.HTTPException):
        return {name: error.headers[name] for name in _OF_STATUS if name in error.headers}
    return {}
