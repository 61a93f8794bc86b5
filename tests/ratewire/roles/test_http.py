"""The HTTP role: it serves on its port, and answers what is open before it ends."""

import asyncio

import aiohttp

from balances.connection import Connection
from config.settings import Settings
from ratewire.roles import http
from ratewire.wiring import System, now_ms
from tests.ratewire.office import Office
from tests.ratewire.roles.running import eventually, running


async def test_a_request_that_is_open_is_answered_before_it_ends(
    system: System, office: Office, settings: Settings, connection: Connection
) -> None:
    base = f"http://127.0.0.1:{settings.http.port}"
    async with aiohttp.ClientSession(base) as client:
        async with running(lambda stop: http.run(system, stop, 0)) as stop:

            async def serves() -> bool:
                try:
                    async with client.get("/healthz") as response:
                        return response.status == 200
                except aiohttp.ClientConnectionError:
                    return False

            await eventually(serves)
            assert [beat.name for beat in await system.heartbeats.all(now_ms())] == ["http-0"]
            await connection.command("CLIENT", "PAUSE", 300, "ALL")
            asking = asyncio.create_task(client.get("/readyz"))
            await asyncio.sleep(0.1)
            stop.set()
            answer = await asking
            assert answer.status == 503
            assert (await answer.json())["checks"]["store"] == "ok"
        assert not await serves()
