"""One endpoint served: let in, read, done in a transaction, and answered."""

import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec
from aiohttp import web

from billing.accounts.account import idempotency_key
from billing.audit.trail import Origin, set_origin
from billing.documents.archive import File
from billing.errors import Conflict, InvalidInput
from billing.requests.once import Answered, begin, end
from billing.tokens.register import Holder
from ratewire.http.endpoint import Call, Endpoint, Nothing
from ratewire.http.problems import BadRequest, Fault
from ratewire.wiring import System, now

SYSTEM: Final = web.AppKey("system", System)
REQUEST_ID: Final = web.RequestKey("request_id", str)
HOLDER: Final = web.RequestKey("holder", Holder)

_encode = msgspec.json.Encoder().encode

#: What msgspec says of where a fault is: "... - at `$.lines[2].price`".
_WHERE: Final = re.compile(r"^(?P<what>.*?)(?: - at `(?P<where>[^`]*)`)?$", re.DOTALL)
_STEP: Final = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]|\[\.\.\.\]")
_ETAG: Final = re.compile(r'(?:W/)?"(\d{1,9})"')
#: What Postgres can count; larger ids name nothing.
_MAX_ID: Final = 2**63 - 1

_TOLD_ONCE: Final = (
    "it was done under this key, and what it told was told once and is not kept: if it did not"
    " arrive, undo what was made and make another under another key"
)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def serve(endpoint: Endpoint) -> Handler:
    """Return the handler of an endpoint for aiohttp."""
    decoder = msgspec.json.Decoder(endpoint.body)

    async def handle(request: web.Request) -> web.StreamResponse:
        system, who = request.app[SYSTEM], _let_in(request, endpoint)
        query, path = _query(endpoint, request), _path(endpoint, request)
        octets = await _read(request, endpoint)
        body = _body(endpoint, request, octets, decoder)
        key = idempotency_key(request.headers.get("Idempotency-Key")) if endpoint.changes else None
        revision = _revision(request)
        call = Call[Any, Any](
            system, path, query, body, actor=who.actor, key=key, revision=revision, now=now()
        )
        async with (await system.pool()).acquire() as conn:
            call.conn = conn
            if not endpoint.changes:
                value = await endpoint.handler(call)
                if isinstance(value, File):
                    return _file(value)
                return _told(value, _answered(endpoint, value))
            async with conn.transaction():
                await set_origin(conn, _origin(request, who))
                if key is not None:
                    asked = _hash(request, octets)
                    done = await begin(conn, who.token_hash, key, asked, call.now)
                    if done is not None:
                        if endpoint.told_once:
                            raise Conflict(_TOLD_ONCE)
                        return _answer(done, {"Idempotency-Replayed": "true"})
                value = await endpoint.handler(call)
                answered = _answered(endpoint, value)
                if key is not None:
                    kept = Answered(answered.status, b"") if endpoint.told_once else answered
                    await end(conn, who.token_hash, key, kept)
            return _told(value, answered)

    return handle


async def _read(request: web.Request, endpoint: Endpoint) -> bytes:
    """The body, if it is not larger than the endpoint takes."""
    return await request.clone(client_max_size=endpoint.max_octets).read()


def _answered(endpoint: Endpoint, value: Any) -> Answered:
    return Answered(endpoint.status, b"" if value is None else _encode(value))


def _file(file: File) -> web.Response:
    """A file as it is, under its name; nothing in it is run by who shows it."""
    return web.Response(
        body=file.octets,
        content_type=file.media_type,
        headers={
            "Content-Disposition": f'inline; filename="{file.name}"',
            "X-Content-Type-Options": "nosniff",
        },
    )


def _told(value: Any, answered: Answered) -> web.Response:
    revision = getattr(value, "revision", None)
    return _answer(answered, {} if revision is None else {"ETag": f'"{revision}"'})


def _let_in(request: web.Request, endpoint: Endpoint) -> Holder:
    found = request[HOLDER]
    if found.role not in endpoint.roles:
        allowed = ", ".join(sorted(endpoint.roles))
        raise web.HTTPForbidden(text=f"the token is of role {found.role}; allowed: {allowed}")
    return found


def _origin(request: web.Request, who: Holder) -> Origin:
    return Origin(who.actor, request.remote or "", request[REQUEST_ID])


def _query(endpoint: Endpoint, request: web.Request) -> Any:
    values: dict[str, str] = {}
    for name in request.query:
        if len(request.query.getall(name)) > 1:
            raise BadRequest(Fault(f"?{name}", "is given more than once"))
        values[name] = request.query[name]
    try:
        return msgspec.convert(values, endpoint.query, strict=False)
    except msgspec.ValidationError as error:
        what, pointer = _place(error)
        raise BadRequest(Fault("?" + pointer.removeprefix("/"), what)) from error


def _body(
    endpoint: Endpoint, request: web.Request, octets: bytes, decoder: msgspec.json.Decoder[Any]
) -> Any:
    if endpoint.body is Nothing:
        if octets:
            raise BadRequest(Fault("", "no body is expected here"))
        return Nothing()
    if not octets and endpoint.body_may_be_missing:
        return decoder.decode(b"{}")
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(text="send a body with 'Content-Type: application/json'")
    try:
        return decoder.decode(octets)
    except msgspec.ValidationError as error:
        what, pointer = _place(error)
        raise BadRequest(Fault(pointer, what)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(Fault("", f"the body is not JSON: {error}")) from error
    except InvalidInput as error:
        raise BadRequest(Fault("", str(error))) from error


def _path(endpoint: Endpoint, request: web.Request) -> Mapping[str, str]:
    for name in endpoint.numbers:
        text = request.match_info[name]
        if not (text.isascii() and text.isdecimal() and int(text) <= _MAX_ID):
            raise web.HTTPNotFound(text=f"{name} {text!r}: allowed is a number")
    return request.match_info


def _place(error: msgspec.ValidationError) -> tuple[str, str]:
    """What is wrong, and where as a JSON pointer."""
    found = _WHERE.match(str(error))
    assert found is not None
    steps = _STEP.findall(found["where"] or "")
    return found["what"], "".join(f"/{name or number}" for name, number in steps)


def _revision(request: web.Request) -> int | None:
    wanted = request.headers.get("If-Match")
    if wanted is None or wanted.strip() == "*":
        return None
    found = _ETAG.fullmatch(wanted.strip())
    if found is None:
        raise BadRequest(Fault("If-Match", 'allowed is one ETag such as "3"'))
    return int(found[1])


def _hash(request: web.Request, octets: bytes) -> bytes:
    return hashlib.sha256(
        b"\0".join((request.method.encode(), request.path_qs.encode(), octets))
    ).digest()


def _answer(answered: Answered, headers: Mapping[str, str]) -> web.Response:
    return web.Response(
        body=answered.body,
        status=answered.status,
        content_type="application/json" if answered.body else None,
        headers=headers,
    )
