"""A Stripe on this machine: localstripe, which keeps customers, methods, payments and refunds."""

import asyncio
import socket
import subprocess
import sys

import aiohttp

from tests.support.ports import free_port

API_KEY = "sk_test_12345"
SIGNING_SECRET = "whsec_67890"


class LocalStripe:
    """One that runs, at `url`. It can be stopped and started again; it forgets all then."""

    def __init__(self, port: int | None = None) -> None:
        """On a port of its own, unless told on which."""
        self.port = free_port(socket.SOCK_STREAM) if port is None else port
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Start it, and wait until it answers."""
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-W",
                "ignore",
                "-m",
                "localstripe",
                "--from-scratch",
                "--port",
                str(self.port),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        async with asyncio.timeout(30), aiohttp.ClientSession() as session:
            while True:
                try:
                    async with session.get(self.url):
                        return
                except aiohttp.ClientConnectionError:
                    await asyncio.sleep(0.05)

    def stop(self) -> None:
        """Stop it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    async def post(self, path: str, **values: str) -> dict[str, str]:
        """Do what a page of Stripe's would: make or change something. Returns the object."""
        headers = {"Authorization": f"Bearer {API_KEY}"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.post(self.url + path, data=values) as response,
        ):
            assert response.status == 200, await response.text()
            return await response.json() if response.content_type.endswith("json") else {}

    async def customer(self, card: str = "4242424242424242") -> bytes:
        """A customer whose card is kept; what we call it: CUSTOMER|METHOD."""
        made = await self.post("/v1/customers", email="a@example.com")
        method = await self.post(
            "/v1/payment_methods",
            **{
                "type": "card",
                "card[number]": card,
                "card[exp_month]": "12",
                "card[exp_year]": "2030",
                "card[cvc]": "123",
            },
        )
        await self.post(f"/v1/payment_methods/{method['id']}/attach", customer=made["id"])
        return f"{made['id']}|{method['id']}".encode()

    async def tell(self, url: str) -> None:
        """Have it send its events to a URL, signed."""
        await self.post("/_config/webhooks/ours", url=url, secret=SIGNING_SECRET)
