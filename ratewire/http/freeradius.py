"""What FreeRADIUS asks over HTTP (rlm_rest): the same decisions as over RADIUS.

authorize   200: who it is is proven, or what FreeRADIUS needs to prove it; 401: refused
post-auth   200: reserved, with the attributes of the reply; 401: refused
accounting  204: durable; 503: not, so FreeRADIUS must not answer and the NAS sends it again

FreeRADIUS speaks for many NASes, so the NAS is found by its own address in the request, not by
where the request came from; it has to be configured (`nas add`) as if it came itself.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
from aiohttp import web

from balances.errors import StoreError
from billing.database import within
from billing.subscribers.login import PasswordKind
from billing.tokens.register import Role, role_of
from radius.access import Login, decode_login
from radius.attributes import NAS_IP_ADDRESS, NAS_IPV6_ADDRESS
from radius.clients import Client
from radius.decode import IgnoredStatus, decode
from radius.packet import Code, Fault, Packet
from radius.records import ipv4_text, ipv6_text
from ratewire.access.decision import MESSAGES, Refusal
from ratewire.access.desk import Desk
from ratewire.access.rest import RestError, answer_body, check_counters, control, packet_of
from ratewire.pipeline.intake import Intake
from ratewire.roles.follow import NasFollower
from ratewire.wiring import System, now, now_ms

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode

#: Who may reserve money and book usage.
_ROLES: Final = frozenset({Role.ADMIN})

#: A token that was good is not looked up again for so long: logins go on without Postgres.
TOKEN_S: Final = 60.0
PATIENCE_S: Final = 5.0
_MOST_TOKENS: Final = 100


class FreeRadius:
    """The three sections' handlers."""

    def __init__(self, system: System, desk: Desk, intake: Intake, follower: NasFollower) -> None:
        self._system = system
        self._desk = desk
        self._intake = intake
        self._follower = follower
        self._tokens: dict[str, float] = {}

    def add_routes(self, app: web.Application) -> None:
        """Serve them under /radius/."""
        for name, handler in (
            ("authorize", self.authorize),
            ("post-auth", self.post_auth),
            ("accounting", self.accounting),
        ):
            app.router.add_post(f"/radius/{name}", self._guarded(handler))

    async def authorize(self, body: dict[str, Any]) -> web.Response:
        """Prove who it is, or hand out what it takes to. Nothing is reserved."""
        login, client = self._login(body)
        vouched = await self._desk.vouch(login, self._follower.profile(client.name))
        if isinstance(vouched, Refusal):
            return _told({"reply:Reply-Message": MESSAGES[vouched]}, 401)
        if vouched is None:
            return _told(control(Auth_Type="Accept"))
        kind, kept = vouched
        if kind is PasswordKind.NT:
            return _told(control(NT_Password=f"0x{kept.hex()}"))
        return _told(control(Cleartext_Password=kept.decode(errors="replace")))

    async def post_auth(self, body: dict[str, Any]) -> web.Response:
        """Reserve for a login that FreeRADIUS has proven."""
        login, client = self._login(body)
        profile = self._follower.profile(client.name)
        answer = await self._desk.answer(login, profile, proven=True)
        return _told(answer_body(answer), 200 if answer.accepted else 401)

    async def accounting(self, body: dict[str, Any]) -> web.Response:
        """Book a record; 204 once it is durable."""
        check_counters(body)
        parsed = packet_of(body, Code.ACCOUNTING_REQUEST)
        client, host = self._nas(parsed)
        record = decode(parsed, client, host, 0, now_ms())
        if isinstance(record, Fault):
            raise RestError(record.detail)
        if isinstance(record, IgnoredStatus) or client.passes_over(record.status, parsed):
            return web.Response(status=204)
        booked = await self._intake.book([record])
        if not booked.done:
            raise StoreError(str(booked.failure or "the record could not be booked; send it again"))
        return web.Response(status=204)

    def _login(self, body: dict[str, Any]) -> tuple[Login, Client]:
        parsed = packet_of(body, Code.ACCESS_REQUEST)
        client, host = self._nas(parsed)
        # What FreeRADIUS forwards it has revealed: the password is in clear.
        login = decode_login(parsed, client, host, now_ms(), revealed=True)
        if isinstance(login, Fault):
            raise RestError(login.detail)
        return login, client

    def _nas(self, parsed: Packet) -> tuple[Client, str]:
        host = ipv4_text(parsed.get(NAS_IP_ADDRESS)) or ipv6_text(parsed.get(NAS_IPV6_ADDRESS))
        if host is None:
            raise RestError("NAS-IP-Address and NAS-IPv6-Address: none is there; one is needed")
        client = self._follower.directory.table.find(host)
        if client is None:
            raise RestError(f"no NAS is configured for {host}: ratewire nas add")
        return client, host

    def _guarded(
        self, handler: Callable[[dict[str, Any]], Awaitable[web.Response]]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def guarded(request: web.Request) -> web.Response:
            await self._authenticate(request)
            try:
                return await handler(_decode(await request.read()))
            except (RestError, msgspec.DecodeError) as error:
                raise web.HTTPBadRequest(text=str(error)) from error

        return guarded

    async def _authenticate(self, request: web.Request) -> None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            token = ""
        elif time.monotonic() < self._tokens.get(token, 0.0):
            return
        elif await within(PATIENCE_S, self._role(token)) in _ROLES:
            if len(self._tokens) >= _MOST_TOKENS:
                self._tokens.clear()
            self._tokens[token] = time.monotonic() + TOKEN_S
            return
        raise web.HTTPUnauthorized(
            text="send 'Authorization: Bearer TOKEN', a token of the role admin",
            headers={"WWW-Authenticate": "Bearer"},
        )

    async def _role(self, token: str) -> Role | None:
        async with (await self._system.pool()).acquire() as conn:
            return await role_of(conn, token, now())


def _told(body: dict[str, Any], status: int = 200) -> web.Response:
    return web.Response(body=_encode(body), status=status, content_type="application/json")
