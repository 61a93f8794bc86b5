"""The HTTP application: routes, tokens, and errors as problems (RFC 9457)."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
import structlog
from aiohttp import web

from balances.errors import StoreError
from billing.database import unavailable, within
from billing.tokens.register import Role, role_of
from ratewire.http import metrics
from ratewire.http.health import readiness
from ratewire.views.jobs import job_views
from ratewire.views.sessions import session_views
from ratewire.wiring import System

_log = structlog.get_logger(__name__)
_encode = msgspec.json.Encoder().encode

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
SYSTEM = web.AppKey("system", System)

#: What of a listing is given at once.
LISTED = 1000

#: The database is given so long to say whose a token is (seconds).
PATIENCE_S = 5.0

#: Headers of an error that belong to its status, whatever its body (RFC 9110).
_OF_STATUS = ("Allow", "WWW-Authenticate")


def application(system: System) -> web.Application:
    """Return the application for a system."""
    app = web.Application(middlewares=[problems, tokens])
    app[SYSTEM] = system
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", get_metrics)
    app.router.add_get("/api/v1/sessions", get_sessions)
    app.router.add_get("/api/v1/enforcement-jobs", get_jobs)
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


async def get_sessions(request: web.Request) -> web.Response:
    """The open sessions, of one user if `user` is given."""
    views = await session_views(request.app[SYSTEM], user=request.query.get("user"), limit=LISTED)
    return _json({"data": views})


async def get_jobs(request: web.Request) -> web.Response:
    """The live enforcement jobs, soonest first."""
    return _json({"data": await job_views(request.app[SYSTEM], limit=LISTED)})


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer what goes wrong with a problem document that says what it is."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        kept = {name: error.headers[name] for name in _OF_STATUS if name in error.headers}
        return _problem(error.status, error.reason, error.text or "", kept)
    except StoreError as error:
        return _problem(503, "The store is not available", str(error))
    except Exception as error:  # noqa: BLE001 - whatever it is, the client gets an answer
        if unavailable(error):
            return _problem(503, "The database is not available", str(error))
        _log.exception("a request failed", path=request.path)
        return _problem(500, "Internal error", "It is logged.")


@web.middleware
async def tokens(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let nobody without a token see the API. Every role may read what there is."""
    if request.path.startswith("/api/"):
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        role = None
        if scheme.lower() == "bearer" and token:
            role = await within(PATIENCE_S, _role_of(request.app[SYSTEM], token))
        if role is None:
            raise web.HTTPUnauthorized(
                text="send 'Authorization: Bearer TOKEN'; make one with 'ratewire token create'",
                headers={"WWW-Authenticate": "Bearer"},
            )
    return await handler(request)


async def _role_of(system: System, token: str) -> Role | None:
    pool = await system.pool()
    async with pool.acquire() as conn:
        return await role_of(conn, token)


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(body=_encode(value), status=status, content_type="application/json")


def _problem(
    status: int, title: str, detail: str, headers: Mapping[str, str] | None = None
) -> web.Response:
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return web.Response(
        body=_encode(body),
        status=status,
        content_type="application/problem+json",
        headers=headers,
    )
