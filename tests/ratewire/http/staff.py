"""Members of staff who use the API, each with a token of their role."""

from typing import Any

import msgspec

from billing.tokens import register as tokens
from billing.tokens.register import Role
from ratewire.wiring import System, now
from tests.ratewire.http.conftest import Client


class Said(msgspec.Struct, frozen=True):
    """What the API answered."""

    status: int
    body: Any
    headers: Any


class Staff:
    """One of them. Whatever is answered is returned; `ok` insists on success."""

    def __init__(self, client: Client, token: str) -> None:
        self.client = client
        self.token = token

    @classmethod
    async def hired(cls, client: Client, system: System, role: Role = Role.ADMIN) -> "Staff":
        """Somebody with a new token of a role."""
        async with (await system.pool()).acquire() as conn:
            return cls(client, await tokens.create(conn, role, now()))

    async def says(self, method: str, path: str, body: Any = None, **headers: str) -> Said:
        """Send a request; `key` and `if_match` are the headers of that sense."""
        names = {"key": "Idempotency-Key", "if_match": "If-Match"}
        sent = {names.get(name, name): value for name, value in headers.items()}
        sent["Authorization"] = f"Bearer {self.token}"
        async with self.client.request(
            method, f"/api/v1/{path}", json=body, headers=sent
        ) as answer:
            raw = await answer.read()
            decoded = msgspec.json.decode(raw) if raw else None
            return Said(answer.status, decoded, answer.headers.copy())

    async def ok(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Send a request that succeeds; returns the body."""
        said = await self.says(method, path, body, **headers)
        assert 200 <= said.status < 300, said
        return said.body
