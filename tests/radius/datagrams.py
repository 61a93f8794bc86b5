"""Datagrams for tests, encoded by pyrad, and raw ones for what pyrad would not encode."""

import hashlib
import struct
from collections.abc import Sequence
from typing import Any

from radius.clients import Client, ClientTable, network
from radius.packet import Code
from radius.requests import accounting_request

SECRET = b"xyzzy5461"
NAS = ("192.0.2.10", 49152)
NOW_MS = 1_700_000_000_250
NOW = NOW_MS // 1000

START: dict[str, Any] = {
    "Acct-Status-Type": 1,
    "Acct-Session-Id": "8100A3F2-00001C42",
    "User-Name": "user0001@isp.example",
    "NAS-Identifier": "bng-01",
    "NAS-IP-Address": "192.0.2.10",
    "NAS-Port": 17,
    "NAS-Port-Type": 15,
    "NAS-Port-Id": "ge-0/0/1:100-200",
    "Calling-Station-Id": "00:53:00:AA:BB:CC",
    "Called-Station-Id": "internet",
    "Framed-IP-Address": "198.51.100.7",
    "Event-Timestamp": NOW - 2,
    "Class": [b"ratewire:1"],
}
INTERIM: dict[str, Any] = START | {
    "Acct-Status-Type": 3,
    "Acct-Session-Time": 600,
    "Acct-Input-Octets": 123_456_789,
    "Acct-Output-Octets": 987_654_321,
    "Acct-Input-Gigawords": 1,
    "Acct-Output-Gigawords": 7,
}
STOP: dict[str, Any] = INTERIM | {"Acct-Status-Type": 2, "Acct-Terminate-Cause": 1}


def client(
    source: str = "192.0.2.0/24", *, name: str = "pop1", swap_octets: bool = False
) -> Client:
    return Client(name=name, source=network(source), secret=SECRET, swap_octets=swap_octets)


def clients(*sources: str) -> ClientTable:
    """One client for each source network, all with `SECRET`."""
    return ClientTable(
        client(source, name=f"pop{number}") for number, source in enumerate(sources, 1)
    )


def encode(
    attributes: dict[str, Any] | None = None,
    *,
    identifier: int = 1,
    secret: bytes = SECRET,
    message_authenticator: bool = False,
    **changes: Any,
) -> bytes:
    """An Accounting-Request of `attributes` (default: `INTERIM`), by pyrad.

    `changes` replace attributes, with underscores for hyphens in their names; None removes one.
    """
    chosen = dict(INTERIM if attributes is None else attributes)
    for name, value in changes.items():
        chosen[name.replace("_", "-")] = value
    present = {name: value for name, value in chosen.items() if value is not None}
    return accounting_request(
        present,
        secret=secret,
        identifier=identifier,
        message_authenticator=message_authenticator,
    )


def raw_attributes(attributes: Sequence[tuple[int, bytes]]) -> bytes:
    return b"".join(struct.pack("!BB", kind, len(value) + 2) + value for kind, value in attributes)


def sign(octets: bytes, *, code: int = Code.ACCOUNTING_REQUEST, identifier: int = 1) -> bytes:
    """A request with a right Request Authenticator over any octets in place of attributes."""
    head = struct.pack("!BBH", code, identifier, 20 + len(octets))
    authenticator = hashlib.md5(head + bytes(16) + octets + SECRET).digest()
    return head + authenticator + octets
