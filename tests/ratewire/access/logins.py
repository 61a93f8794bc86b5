"""Logins for the tests: as a NAS asks them, and as its engine takes them."""

import itertools
from typing import Any, Literal

from radius.access import Login
from radius.access_engine import AccessEngine
from radius.clients import Client, ClientTable, network
from radius.requests import access_request

SECRET = b"a shared secret"
PASSWORD = b"open sesame"
NOW_MS = 1_800_000_000_000

_identifiers = itertools.count()


def login(
    user: str = "bob",
    password: bytes | None = PASSWORD,
    method: Literal["pap", "chap", "mschap2"] = "pap",
    *,
    client: str = "pop1",
    nas: str = "bras",
    **more: Any,
) -> Login:
    """A login as it comes out of the engine. Further attributes have underscores."""
    attributes: dict[str, Any] = {"User-Name": user, "NAS-Identifier": nas}
    attributes |= {name.replace("_", "-"): value for name, value in more.items()}
    octets = access_request(
        attributes,
        secret=SECRET,
        identifier=next(_identifiers) % 256,
        password=password,
        method=method,
    )
    table = ClientTable([Client(name=client, source=network("192.0.2.1"), secret=SECRET)])
    [request] = AccessEngine(table).receive([(octets, ("192.0.2.1", 1))], NOW_MS).requests
    return request.login
