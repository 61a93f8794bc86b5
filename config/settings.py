"""What can be set, its default, and what is allowed: one frozen section a concern.

Every field carries its rule in its annotation: `Meta` bounds are checked by msgspec, the `check`
in `extra` by `config.load`, and `description` completes the sentence "allowed: ...". An optional
setting that is empty counts as not set.
"""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import parse_qs, urlsplit

from msgspec import Meta, Struct

MEBIOCTET = 1024 * 1024


def is_address(value: str) -> bool:
    """Whether `value` is an IPv4 or IPv6 address, not a host name."""
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


def are_addresses(values: tuple[str, ...]) -> bool:
    """Whether there is at least one address, each parses, and none is named twice."""
    if not values or not all(is_address(value) for value in values):
        return False
    return len({ipaddress.ip_address(value) for value in values}) == len(values)


def is_store_url(url: str) -> bool:
    """Whether `url` names a Redis-protocol server by host or by the path of its Unix socket."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    if parts.scheme == "unix":
        return parts.path.startswith("/") and len(parts.path) > 1
    named = parts.scheme in ("redis", "rediss") and bool(parts.hostname) and port != 0
    return named and re.fullmatch(r"(/[0-9]*)?", parts.path) is not None


def is_database_url(url: str) -> bool:
    """Whether `url` names PostgreSQL by one or more hosts, or by a `host=` socket directory."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    if parts.scheme != "postgresql":
        return False
    hosts = parts.netloc.rpartition("@")[2]
    if not hosts:
        return bool(parse_qs(parts.query).get("host"))
    return all(_is_host_with_port(host) for host in hosts.split(","))


def _is_host_with_port(text: str) -> bool:
    match = re.fullmatch(r"(?:[^:\[\]]+|\[[^\[\]]+\])(?::([0-9]+))?", text)
    return match is not None and (match[1] is None or 1 <= int(match[1]) <= 65535)


def redact_url(text: str) -> str:
    """`text` with whatever could be credentials replaced; it need not be a well-formed URL."""
    # Up to the last "@": an unescaped "@" or "/" inside a password must not show its tail.
    text = re.sub(r"(?s)^(.*?://)?.*@", r"\1***@", text)
    return re.sub(r"(?i)([?&](?:password|sslpassword)=)[^&]*", r"\1***", text)


Port = Annotated[int, Meta(ge=1, le=65535, description="a port, 1 to 65535")]
Address = Annotated[str, Meta(description="an IPv4 or IPv6 address", extra={"check": is_address})]
Addresses = Annotated[
    tuple[str, ...],
    Meta(
        description="one or more different IPv4 or IPv6 addresses",
        extra={"check": are_addresses},
    ),
]
StoreUrl = Annotated[
    str | None,
    Meta(
        description="redis://HOST[:PORT][/DB], rediss://HOST[:PORT][/DB] or unix:///PATH; "
        "empty for the embedded server",
        extra={"check": is_store_url, "redact": redact_url},
    ),
]
DatabaseUrl = Annotated[
    str | None,
    Meta(
        description="postgresql://USER@HOST[:PORT]/DATABASE or "
        "postgresql://USER@/DATABASE?host=/SOCKET/DIRECTORY; empty for the embedded server",
        extra={"check": is_database_url, "redact": redact_url},
    ),
]
FilePath = Annotated[str, Meta(min_length=1, description="a path")]
OptionalPath = Annotated[
    str | None, Meta(description="the path of a file; empty for secret.key in data.dir")
]


class RadiusSettings(Struct, frozen=True):
    """The RADIUS listener."""

    bind: Addresses = ("0.0.0.0",)  # noqa: S104 - NASes are other machines
    auth_port: Port = 1812
    acct_port: Port = 1813
    workers: Annotated[int, Meta(ge=1, le=256, description="a number of processes, 1 to 256")] = 1
    recv_buffer_octets: Annotated[
        int, Meta(ge=65536, le=1024 * MEBIOCTET, description="octets, 65536 to 1073741824")
    ] = 4 * MEBIOCTET
    # RFC 5080 section 2.2.2: between 5 and 30 seconds.
    reply_cache_seconds: Annotated[int, Meta(ge=5, le=30, description="seconds, 5 to 30")] = 30
    # What one commit of the store takes: 2500 entries, of which a record makes up to 5.
    batch: Annotated[int, Meta(ge=1, le=500, description="datagrams, 1 to 500")] = 256
    in_flight: Annotated[int, Meta(ge=1, le=64, description="batches, 1 to 64")] = 2


class LoginsSettings(Struct, frozen=True):
    """How logins are answered."""

    # RFC 2869 section 5.16: not below 60 seconds, and better 600.
    interim_seconds: Annotated[int, Meta(ge=60, le=86_400, description="seconds, 60 to 86400")] = (
        300
    )
    grant_seconds: Annotated[int, Meta(ge=10, le=3600, description="seconds, 10 to 3600")] = 120
    uncut_seconds: Annotated[int, Meta(ge=300, le=86_400, description="seconds, 300 to 86400")] = (
        3600
    )
    garden_seconds: Annotated[int, Meta(ge=60, le=86_400, description="seconds, 60 to 86400")] = 600
    reject_delay_ms: Annotated[int, Meta(ge=0, le=5000, description="milliseconds, 0 to 5000")] = (
        1000
    )
    voucher_plan: Annotated[
        str | None, Meta(description="the name of a plan; empty: no voucher logs in")
    ] = None
    argon2_threads: Annotated[int, Meta(ge=1, le=64, description="threads, 1 to 64")] = 2


class StoreSettings(Struct, frozen=True):
    """The Redis-protocol store of balances. `url` None: the embedded Valkey."""

    url: StoreUrl = None
    timeout_ms: Annotated[int, Meta(ge=10, le=60_000, description="milliseconds, 10 to 60000")] = (
        2000
    )
    embedded_memory_mb: Annotated[
        int, Meta(ge=16, le=1_048_576, description="mebioctets, 16 to 1048576")
    ] = 512

    def __repr__(self) -> str:
        """The section without the password that `url` may hold."""
        url = None if self.url is None else redact_url(self.url)
        return (
            f"StoreSettings(url={url!r}, timeout_ms={self.timeout_ms}, "
            f"embedded_memory_mb={self.embedded_memory_mb})"
        )


class DatabaseSettings(Struct, frozen=True):
    """The PostgreSQL database of billing. `url` None: the embedded Postgres."""

    url: DatabaseUrl = None
    # The scheduler keeps two, and needs one more at times.
    pool: Annotated[int, Meta(ge=3, le=500, description="connections, 3 to 500")] = 8

    def __repr__(self) -> str:
        """The section without the password that `url` may hold."""
        url = None if self.url is None else redact_url(self.url)
        return f"DatabaseSettings(url={url!r}, pool={self.pool})"


class HttpSettings(Struct, frozen=True):
    """The HTTP interface."""

    bind: Address = "127.0.0.1"
    port: Port = 8000


class DataSettings(Struct, frozen=True):
    """Where files of our own live; a relative path counts from the working directory."""

    dir: FilePath = "var"


class SecretsSettings(Struct, frozen=True):
    """The key that encrypts secrets at rest. `key_file` None: secret.key in `data.dir`."""

    key_file: OptionalPath = None


class SessionsSettings(Struct, frozen=True):
    """When a session counts as silent, and how long a closed one is remembered."""

    stale_factor: Annotated[
        int, Meta(ge=2, le=100, description="silent interim intervals, 2 to 100")
    ] = 3
    # RFC 2869 section 5.16: the interim interval must not be below 60 seconds.
    default_interim_seconds: Annotated[
        int, Meta(ge=60, le=86_400, description="seconds, 60 to 86400")
    ] = 300
    late_window_days: Annotated[int, Meta(ge=1, le=90, description="days, 1 to 90")] = 7


class JournalSettings(Struct, frozen=True):
    """The local journal, which answers for the store while that is away."""

    enabled: Annotated[bool, Meta(description="true or false")] = True
    grace_seconds: Annotated[int, Meta(ge=1, le=3600, description="seconds, 1 to 3600")] = 5
    max_mb: Annotated[int, Meta(ge=1, le=1_048_576, description="mebioctets, 1 to 1048576")] = 512


class MailSettings(Struct, frozen=True):
    """How messages to customers are sent. `host` None: they wait."""

    host: Annotated[
        str | None, Meta(description="a host name or address; empty to send nothing")
    ] = None
    port: Port = 587
    security: Annotated[
        Literal["tls", "starttls", "none"], Meta(description="tls, starttls or none")
    ] = "starttls"
    user: Annotated[str | None, Meta(description="a user name; empty to log in nowhere")] = None
    password_file: Annotated[
        str | None, Meta(description="the path of a file; empty for no password")
    ] = None
    sender: Annotated[str, Meta(min_length=3, description="an e-mail address")] = (
        "billing@localhost"
    )
    attach: Annotated[bool, Meta(description="true or false")] = True
    timeout_seconds: Annotated[int, Meta(ge=1, le=600, description="seconds, 1 to 600")] = 30


class StripeSettings(Struct, frozen=True):
    """How Stripe is asked to move money. `api_key_file` None: it is not."""

    mode: Annotated[Literal["test", "live"], Meta(description="test or live")] = "test"
    api_key_file: Annotated[
        str | None, Meta(description="the path of a file; empty for no Stripe")
    ] = None
    signing_secret_file: Annotated[
        str | None, Meta(description="the path of a file; empty for no Stripe")
    ] = None
    api_url: Annotated[
        str | None,
        Meta(description="http(s)://HOST[:PORT]; empty for Stripe's own"),
    ] = None


class LogSettings(Struct, frozen=True):
    """What is logged, and how. `format` None: console on a terminal and json elsewhere."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Meta(description="debug, info, warning or error"),
    ] = "info"
    format: Annotated[
        Literal["console", "json"] | None,
        Meta(description="console or json; empty for console on a terminal, else json"),
    ] = None


class Settings(Struct, frozen=True):
    """All settings. Its fields are the sections of the file, in the file's order."""

    radius: RadiusSettings = RadiusSettings()
    logins: LoginsSettings = LoginsSettings()
    store: StoreSettings = StoreSettings()
    database: DatabaseSettings = DatabaseSettings()
    http: HttpSettings = HttpSettings()
    data: DataSettings = DataSettings()
    secrets: SecretsSettings = SecretsSettings()
    sessions: SessionsSettings = SessionsSettings()
    journal: JournalSettings = JournalSettings()
    mail: MailSettings = MailSettings()
    stripe: StripeSettings = StripeSettings()
    log: LogSettings = LogSettings()

    def documents_path(self) -> Path:
        """Where documents are kept: documents in `data.dir`."""
        return Path(self.data.dir) / "documents"

    def secret_key_path(self) -> Path:
        """Where the encryption key is: `secrets.key_file`, or secret.key in `data.dir`."""
        if self.secrets.key_file is not None:
            return Path(self.secrets.key_file)
        return Path(self.data.dir) / "secret.key"

    def journal_path(self) -> Path:
        """Where the local journal is: journal in `data.dir`."""
        return Path(self.data.dir) / "journal"
