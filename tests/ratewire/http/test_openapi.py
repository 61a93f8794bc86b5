"""The document says what is served, and what is served is as the document says."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import schemathesis
from aiohttp import web
from hypothesis import HealthCheck, Phase, given, settings

from billing.tokens import register as tokens
from billing.tokens.register import Role
from ratewire.http.app import application
from ratewire.http.endpoints import ENDPOINTS
from ratewire.http.openapi import document
from ratewire.wiring import System, now
from tests.ratewire.office import Office
from tests.support.ports import free_port

#: What is right by its form may still be refused for what it means (404, 409, 422), and 250.0 is an
#: integer to JSON Schema, but none here (400).
CHECKS = {
    "positive_data_acceptance": {
        "expected-statuses": ["2xx", "401", "403", "400", "404", "409", "422"],
    }
}


def test_every_endpoint_is_in_it_once() -> None:
    paths = document(ENDPOINTS)["paths"]
    described = {(m.upper(), path) for path, methods in paths.items() for m in methods}
    assert described == {(each.method, each.path) for each in ENDPOINTS}
    ids = [about["operationId"] for methods in paths.values() for about in methods.values()]
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch(r"[a-z_-]+", each) for each in ids)


@pytest.fixture
async def served(system: System, office: Office) -> AsyncIterator[str]:
    """The address of the API on a port of its own."""
    await office.subscribe(5_000_000)
    runner = web.AppRunner(application(system), access_log=None)
    await runner.setup()
    port = free_port(socket.SOCK_STREAM)
    await web.TCPSite(runner, "127.0.0.1", port).start()
    yield f"http://127.0.0.1:{port}"
    await runner.cleanup()


async def test_what_is_served_is_as_it_says(served: str, system: System) -> None:
    """Requests made from the document, right and wrong ones, with all of schemathesis's checks."""
    async with (await system.pool()).acquire() as conn:
        token = await tokens.create(conn, Role.ADMIN, now())
    load: Any = schemathesis.Config
    config = load.from_dict({"base-url": served, "checks": CHECKS})
    schema: Any = schemathesis.openapi.from_dict(
        msgspec.to_builtins(document(ENDPOINTS)), config=config
    )
    headers = {"Authorization": f"Bearer {token}"}

    def attack() -> int:
        tried = 0
        for found in schema.get_all_operations():
            operation: Any = found.ok()

            @given(case=operation.as_strategy())
            @settings(
                max_examples=6,
                deadline=None,
                database=None,
                phases=[Phase.explicit, Phase.generate],
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
            )
            def holds(case: Any) -> None:
                nonlocal tried
                tried += 1
                case.call_and_validate(headers=headers)

            holds()
        return tried

    assert await asyncio.to_thread(attack) > 3 * len(ENDPOINTS)
