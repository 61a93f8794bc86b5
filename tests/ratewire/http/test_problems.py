"""Each kind of error is one kind of problem."""

import asyncpg
import pytest
from aiohttp import web

from balances.errors import StoreError
from billing.database import DatabaseUnavailable
from billing.errors import BillingError, Conflict, InvalidInput, NotFound
from billing.requests.once import KeyReused
from ratewire.http.problems import BadRequest, Fault, problem_of


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (InvalidInput("x"), 422, "urn:ratewire:invalid-input"),
        (NotFound("x"), 404, "urn:ratewire:not-found"),
        (Conflict("x"), 409, "urn:ratewire:conflict"),
        (KeyReused("x"), 422, "urn:ratewire:key-reused"),
        (BillingError("x"), 400, "urn:ratewire:refused"),
        (asyncpg.CharacterNotInRepertoireError("x"), 422, "urn:ratewire:invalid-input"),
        (StoreError("x"), 503, "urn:ratewire:store-unavailable"),
        (DatabaseUnavailable("x"), 503, "urn:ratewire:database-unavailable"),
        (web.HTTPForbidden(text="x"), 403, "about:blank"),
    ],
)
def test_an_error_is_a_problem(error: Exception, status: int, kind: str) -> None:
    problem = problem_of(error)
    assert problem is not None
    assert (problem.status, problem.type, problem.detail) == (status, kind, problem.detail)
    assert problem.detail.endswith("x")


def test_faults_are_listed_and_bugs_are_not_told() -> None:
    problem = problem_of(BadRequest(Fault("/a", "is wrong"), Fault("/b", "too")))
    assert problem is not None
    assert (problem.status, len(problem.errors)) == (400, 2)
    assert problem_of(ZeroDivisionError("secret")) is None
