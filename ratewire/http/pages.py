"""/openapi.json, and the pages that show it to people. All they load comes from here."""

from importlib import resources
from typing import Final

from aiohttp import web

_KINDS: Final = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "redoc.standalone.js": "text/javascript",
}

#: What the pages may load: Swagger UI and Redoc style themselves, and draw pictures from data.
_POLICY: Final = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline';"
    " img-src 'self' data:; worker-src 'self' blob:; frame-ancestors 'none'"
)


def add_pages(app: web.Application, openapi: bytes) -> None:
    """Add the document and its pages to an application."""
    assets = resources.files("ratewire.http") / "assets"

    async def get_openapi(_request: web.Request) -> web.Response:
        return web.Response(body=openapi, content_type="application/json")

    async def get_docs(_request: web.Request) -> web.Response:
        return _page(assets.joinpath("docs.html").read_bytes())

    async def get_redoc(_request: web.Request) -> web.Response:
        return _page(assets.joinpath("redoc.html").read_bytes())

    async def get_asset(request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in _KINDS:
            raise web.HTTPNotFound
        return web.Response(
            body=assets.joinpath(name).read_bytes(),
            content_type=_KINDS[name],
            charset="utf-8",
            headers={"Cache-Control": "max-age=86400"},
        )

    app.router.add_get("/openapi.json", get_openapi)
    app.router.add_get("/docs", get_docs)
    app.router.add_get("/redoc", get_redoc)
    app.router.add_get("/docs/assets/{name}", get_asset)


def _page(body: bytes) -> web.Response:
    return web.Response(
        body=body,
        content_type="text/html",
        charset="utf-8",
        headers={"Content-Security-Policy": _POLICY},
    )
