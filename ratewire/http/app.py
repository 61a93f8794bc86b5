"""The HTTP application: routes, and errors as problems (RFC 9457)."""

import re
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
import structlog
from aiohttp import web

from billing.database import within
from billing.tokens.register import Holder, holder
from ratewire.http import gateway_events, metrics
from ratewire.http.endpoint import MAX_BODY_OCTETS
from ratewire.http.endpoints import ENDPOINTS
from ratewire.http.health import readiness
from ratewire.http.openapi import document
from ratewire.http.pages import add_pages
from ratewire.http.problems import Problem, answer, kept_headers, problem_of
from ratewire.http.serving import HOLDER, REQUEST_ID, SYSTEM, serve
from ratewire.wiring import System, now

_log = structlog.get_logger(__name__)
_encode = msgspec.json.Encoder().encode

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

#: The database is given so long to say whose a token is (seconds), and a request to be done.
PATIENCE_S: Final = 5.0
REQUEST_S: Final = 30.0

#: What a client may call its request; anything else gets a name of ours.
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,64}")


def application(system: System) -> web.Application:
    """Return the application for a system."""
    app = web.Application(middlewares=[problems, strangers], client_max_size=MAX_BODY_OCTETS)
    app[SYSTEM] = system
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", get_metrics)
    app.router.add_post(gateway_events.PATH, gateway_events.receive)
    for each in ENDPOINTS:
        if each.method == "GET":
            app.router.add_get(each.path, serve(each))
        else:
            app.router.add_route(each.method, each.path, serve(each))
    add_pages(app, _encode(document(ENDPOINTS)))
    return app


async def healthz(_request: web.Request) -> web.Response:
    """The process answers."""
    return _json({"status": "ok"})


async def readyz(request: web.Request) -> web.Response:
    """The main job is done: 200, or 503 with what is wrong."""
    state = await readiness(request.app[SYSTEM])
    return _json(state, status=200 if state.ready else 503)


async def get_metrics(request: web.Request) -> web.Response:
    """Prometheus's text format."""
    return web.Response(
        body=await metrics.scrape(request.app[SYSTEM]),
        headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
    )


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Name the request, and answer what goes wrong with a problem that says what it is."""
    named = request.headers.get("X-Request-Id", "")
    request_id = named if _REQUEST_ID.fullmatch(named) else secrets.token_hex(8)
    request[REQUEST_ID] = request_id
    try:
        response = await handler(request)
    except Exception as error:  # noqa: BLE001 - whatever it is, the client gets an answer
        problem = problem_of(error)
        if problem is None:
            _log.exception("a request failed", path=request.path, request_id=request_id)
            problem = Problem(
                "urn:ratewire:internal", "Internal error", 500, "It is logged under its request id."
            )
        problem = msgspec.structs.replace(problem, request_id=request_id)
        response = answer(problem, kept_headers(error))
    response.headers["X-Request-Id"] = request_id
    return response


@web.middleware
async def strangers(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let nobody without a token see what there is below /api/, not even what there is not."""
    if not request.path.startswith("/api/"):
        return await handler(request)
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    known = None
    if scheme.lower() == "bearer" and token:
        known = await within(PATIENCE_S, _holder(request.app[SYSTEM], token))
    if known is None:
        raise web.HTTPUnauthorized(
            text="send 'Authorization: Bearer TOKEN'; make one with 'ratewire token create'",
            headers={"WWW-Authenticate": "Bearer"},
        )
    request[HOLDER] = known
    return await within(REQUEST_S, _handled(handler, request))


async def _handled(handler: Handler, request: web.Request) -> web.StreamResponse:
    return await handler(request)


async def _holder(system: System, token: str) -> Holder | None:
    pool = await system.pool()
    async with pool.acquire() as conn:
        return await holder(conn, token, now())


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(body=_encode(value), status=status, content_type="application/json")
