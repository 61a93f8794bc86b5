"""A client of the HTTP interface."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from ratewire.http.app import application
from ratewire.wiring import System
from tests.ratewire.office import Office

Client = TestClient[web.Request, web.Application]


@asynccontextmanager
async def client_of(system: System) -> AsyncGenerator[Client]:
    """A client of a system's HTTP interface, on a port of its own."""
    async with TestClient(TestServer(application(system))) as opened:
        yield opened


@pytest.fixture
async def client(system: System, office: Office) -> AsyncIterator[Client]:
    """A client of a system whose books have begun."""
    async with client_of(system) as opened:
        yield opened


async def problem(client: Client, path: str, **arguments: Any) -> dict[str, Any]:
    """The problem document that a request is answered with."""
    async with client.get(path, **arguments) as response:
        assert response.content_type == "application/problem+json"
        document = await response.json()
        assert document["status"] == response.status
        assert document["type"].startswith(("about:blank", "urn:ratewire:"))
        return document
