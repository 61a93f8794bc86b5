"""Where gateways tell what happened: POST /gateways/{gateway}/events, without a token.

200: it is kept, or was before; 400: the gateway did not sign it, so nothing was kept; 404: no such
gateway; 503: it could not be kept, and the gateway sends it again. What it says is acted on at
once, and later if that is not possible: whoever delivers it need not care.
"""

from typing import Final

import structlog
from aiohttp import web

from billing.database import unavailable, within
from billing.gateways import inbox
from billing.gateways.stripe import Unsigned
from ratewire.gateways import desk
from ratewire.http.serving import SYSTEM
from ratewire.wiring import now

_log = structlog.get_logger(__name__)

PATH: Final = "/gateways/{gateway}/events"
PATIENCE_S: Final = 20.0


async def receive(request: web.Request) -> web.Response:
    """Keep an event and act on it."""
    return await within(PATIENCE_S, _received(request))


async def _received(request: web.Request) -> web.Response:
    system, name = request.app[SYSTEM], request.match_info["gateway"]
    gateway = system.gateways.get(name)
    if gateway is None:
        raise web.HTTPNotFound(text="no such gateway is set up")
    body = await request.read()
    try:
        event_id = gateway.verified(body, request.headers.get("Stripe-Signature"))
    except Unsigned as error:
        _log.warning("an event that the gateway did not sign", gateway=name, why=str(error))
        raise web.HTTPBadRequest(text=f"not signed as it must be: {error}") from error
    pool, moment = await system.pool(), now()
    async with pool.acquire() as conn:
        await inbox.keep(conn, name, event_id, body, moment)
    try:
        await inbox.act(pool, desk(system), name, event_id, moment)
    except Exception as error:
        # It is kept; the cashier acts on it.
        if not unavailable(error):
            raise
    return web.Response(status=200)
