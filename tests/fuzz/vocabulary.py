"""What hostile datagrams are made of: real records, odd attributes, texts and numbers, sources."""

import msgspec

from radius.requests import accounting_request

ACCOUNTING_REQUEST = 4
STATUS_SERVER = 12
MESSAGE_AUTHENTICATOR = 80
VENDOR_SPECIFIC = 26
PROXY_STATE = 33


class Source(msgspec.Struct, frozen=True):
    """Where a datagram comes from. `secret` is that of this client; None: it is not configured."""

    host: str
    secret: bytes | None


def attribute(kind: int, value: bytes) -> bytes:
    """One attribute; what exceeds 253 octets is cut off."""
    value = value[:253]
    return bytes((kind, len(value) + 2)) + value


def attributes_of(octets: bytes) -> list[bytes]:
    """The attributes of a well-formed packet, each with its type and length."""
    at, found = 20, list[bytes]()
    while at < len(octets):
        found.append(octets[at : at + octets[at + 1]])
        at += octets[at + 1]
    return found


def records(user: str, now: int) -> list[list[bytes]]:
    """Accounting-Requests as NASes send them at `now` (Unix seconds), by their attributes."""
    start = {
        "Acct-Status-Type": 1,
        "Acct-Session-Id": "8100A3F2-00001C42",
        "User-Name": user,
        "NAS-Identifier": "bng-01",
        "NAS-IP-Address": "192.0.2.10",
        "NAS-Port": 15728640,
        "NAS-Port-Type": 15,
        "NAS-Port-Id": "ge-0/0/1:100-200",
        "Calling-Station-Id": "00:53:00:AA:BB:CC",
        "Called-Station-Id": "internet",
        "Framed-IP-Address": "198.51.100.7",
        "Event-Timestamp": now - 2,
        "Class": b"ratewire:1",
    }
    interim = {
        **start,
        "Acct-Status-Type": 3,
        "Acct-Session-Time": 600,
        "Acct-Input-Octets": 123_456_789,
        "Acct-Output-Octets": 987_654_321,
        "Acct-Input-Gigawords": 1,
        "Acct-Output-Gigawords": 7,
        "Acct-Delay-Time": 0,
    }
    ipv6 = {
        "NAS-IPv6-Address": "2001:db8::1",
        "Framed-IPv6-Prefix": "2001:db8:1::/56",
        "Acct-Status-Type": 3,
        "Acct-Session-Id": "6",
        "User-Name": user,
        "Acct-Session-Time": 60,
    }
    kinds = (
        start,
        interim,
        {**interim, "Acct-Status-Type": 2, "Acct-Terminate-Cause": 1},
        {"Acct-Status-Type": 7, "NAS-Identifier": "bng-01"},
        {"Acct-Status-Type": 8, "Event-Timestamp": now},
        ipv6,
        {"Acct-Status-Type": 9, "Acct-Session-Id": "tunnel"},
    )
    made = [accounting_request(each, secret=b"any", identifier=0) for each in kinds]
    found = [attributes_of(octets) for octets in made]
    found.append([*found[1], *VENDOR_ATTRIBUTES])
    found.append([*found[1], *(attribute(PROXY_STATE, bytes([n]) * n) for n in (1, 16, 253))])
    return found


_MIKROTIK, _CISCO, _ERICSSON = ((n).to_bytes(4) for n in (14988, 9, 2352))

VENDOR_ATTRIBUTES = [
    attribute(26, _MIKROTIK + attribute(8, b"10M/10M") + attribute(17, bytes(4))),
    attribute(26, _CISCO + attribute(1, b"subscriber:accounting-list=default")),
    attribute(26, _ERICSSON + attribute(26, _ERICSSON + attribute(26, _CISCO + b"\x1a\x02"))),
    attribute(26, _MIKROTIK),
    attribute(26, _MIKROTIK + b"\x01\x00"),
    attribute(26, _MIKROTIK + b"\x01\xff" + bytes(9)),
    attribute(26, bytes(3)),
    attribute(26, b""),
    attribute(26, b"\xff" * 253),
]

#: Control characters, separators of our own keys and formats, SQL, Lua, paths, forged text.
TEXTS = [
    b"",
    b"\0",
    b"user\0",
    b"\0" * 253,
    b"\xff" * 253,
    b"a" * 253,
    b"u|s",
    b"|",
    b"\\x7c|\\",
    b"rw:{0}:a:",
    b"{0}",
    b"pop/../x",
    b"'; DROP TABLE invoices; --",
    b"%s%n%d{}",
    b"\r\nINFO forged=1",
    b"\x1b[2J\x1b]0;x\x07",
    "\u202egro.elpmaxe".encode(),
    "\U0001f4a9".encode() * 63,
    "e\u0301".encode() * 80,
    b"\xed\xa0\x80",
    b"\xc0\x80",
    b"\xf4\x90\x80\x80",
    b"\xef\xbb\xbfbom",
    b"\xe2\x82",
    "\u00fcser@\u0645\u062b\u0627\u0644".encode(),
    b"NaN",
    b"-1",
    b"9" * 253,
]

NUMBERS = [
    number.to_bytes(4)
    for number in (
        *(0, 1, 2, 3, 7, 8, 9, 15, 60, 255, 256, 1_000_000),
        *(2**16 - 1, 2**16, 2**20, 2**21 - 1, 2**21, 2**24, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1),
    )
]

#: Attribute types that something reads, to be hit more often than the others.
READ_TYPES = bytes(
    (1, 4, 5, 8, 25, 26, 30, 31, 32, 33, 40, 40, 41, 42, 43, 44, 44, 46, 49, 52, 53, 55)
) + bytes((61, 80, 87, 89, 95, 97, 123, 168))

#: Of how many octets values are: none, one, the fixed lengths and those beside them, the longest.
SIZES = (0, 1, 2, 3, 4, 5, 8, 15, 16, 17, 18, 19, 100, 252, 253)
