"""Settings to running parts: the one place that names the adapters."""

import asyncio
import socket
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from balances.connection import Connection
from balances.health import Heartbeats
from balances.housekeeping import Housekeeping, StreamAndBooks
from balances.listing import Listing
from balances.logins import Logins
from balances.notices import Notices
from balances.restoration import Restoration
from balances.store import Store
from billing import database
from billing.delivery.sending import Mailer, Smtp
from billing.documents.storage import FileStorage, Storage
from billing.outbox.relay import Relay
from billing.sealing.keyring import Keyring
from billing.settlement.consumer import Settler
from billing.upkeep.attempts import MAX_ATTEMPTS
from config.settings import Settings
from ratewire.embedded.servers import EmbeddedServers
from ratewire.pipeline.steps import Terms

if TYPE_CHECKING:
    from billing.gateways.stripe import Stripe

PARTITION = 0

#: Connections that are in use are waited for no longer than this when a process ends (seconds).
CLOSE_S = 5.0


class Urls(msgspec.Struct, frozen=True):
    """Where the store and the database are."""

    store: str
    database: str


def now_ms() -> int:
    """Return Unix milliseconds. The clock of everything that is wired here."""
    return time.time_ns() // 1_000_000


def now() -> datetime:
    """Return the time, in UTC."""
    return datetime.fromtimestamp(time.time(), UTC)


@asynccontextmanager
async def servers(settings: Settings) -> AsyncGenerator[tuple[Urls, EmbeddedServers | None]]:
    """Provide the store and the database: the configured ones, or embedded ones while in use."""
    store, db = settings.store.url, settings.database.url
    if store is not None and db is not None:
        yield Urls(store, db), None
        return
    async with EmbeddedServers.use(
        Path(settings.data.dir),
        want_store=store is None,
        want_database=db is None,
        memory_mb=settings.store.embedded_memory_mb,
    ) as embedded:
        yield Urls(store or embedded.store_url, db or embedded.database_url), embedded


class System:
    """The store's and the database's sides, connected when they are first used.

    `actor` is whom the trail names for changes that nobody else makes.
    """

    def __init__(self, settings: Settings, urls: Urls, *, actor: str = "") -> None:
        self._actor = actor
        self.settings = settings
        self.urls = urls
        self.connection = Connection(
            urls.store, partition=PARTITION, timeout_ms=settings.store.timeout_ms
        )
        self.store = Store(self.connection)
        self.housekeeping = Housekeeping(self.connection)
        self.logins = Logins(self.connection)
        self.stream = StreamAndBooks(self.connection)
        self.restoration = Restoration(self.connection)
        self.listing = Listing(self.connection)
        self.heartbeats = Heartbeats(self.connection)
        self._pool: database.Pool | None = None
        self._connecting = asyncio.Lock()
        self._keyring: Keyring | None = None
        self._gateways: Mapping[str, Stripe] | None = None

    @property
    def keyring(self) -> Keyring:
        """The keys of secrets at rest. Raises KeyringError."""
        if self._keyring is None:
            self._keyring = Keyring.load(self.settings.secret_key_path())
        return self._keyring

    @property
    def terms(self) -> Terms:
        """What the operator set for all sessions."""
        sessions = self.settings.sessions
        return Terms(
            interim=sessions.default_interim_seconds,
            stale_factor=sessions.stale_factor,
            late_window=sessions.late_window_days * 86_400,
        )

    async def pool(self) -> database.Pool:
        """Return the connections to the database. Raises DatabaseUnavailable."""
        async with self._connecting:
            if self._pool is None:
                self._pool = await database.connect(
                    self.urls.database,
                    size=self.settings.database.pool,
                    actor=self._actor,
                    source=socket.gethostname(),
                )
        return self._pool

    async def mailer(self) -> Mailer | None:
        """Return what sends messages; None if no server is set. Raises DatabaseUnavailable."""
        mail = self.settings.mail
        if mail.host is None:
            return None
        smtp = Smtp(
            host=mail.host,
            port=mail.port,
            sender=mail.sender,
            security=mail.security,
            user=mail.user,
            password=_secret_in(mail.password_file),
            timeout_s=mail.timeout_seconds,
            attach=mail.attach,
        )
        return Mailer(await self.pool(), self.documents, smtp, MAX_ATTEMPTS)

    @property
    def gateways(self) -> Mapping[str, "Stripe"]:
        """The gateways that are set up, by name. Raises InvalidInput."""
        if self._gateways is None:
            stripe = self.settings.stripe
            if stripe.api_key_file is None and stripe.signing_secret_file is None:
                self._gateways = {}
            else:
                # Stripe's SDK takes longer to load than most commands take.
                from ratewire.gateways import stripe_of

                found = stripe_of(stripe)
                self._gateways = {found.name: found}
        return self._gateways

    @property
    def documents(self) -> Storage:
        """Where documents are kept."""
        return FileStorage(self.settings.documents_path())

    async def relay(self) -> Relay:
        """Return what brings movements to the store. Raises DatabaseUnavailable."""
        return Relay(await self.pool(), self.store)

    async def settler(self, on_batch: Callable[[float], None] = lambda _seconds: None) -> Settler:
        """Return what settles the stream. Raises DatabaseUnavailable."""
        return Settler(await self.pool(), self.stream, self.stream, PARTITION, on_batch=on_batch)

    def notices(self) -> Notices:
        """Return the ear for what becomes due at once."""
        return Notices(
            self.urls.store, partition=PARTITION, timeout_ms=self.settings.store.timeout_ms
        )

    async def close(self) -> None:
        """Close all connections."""
        await self.connection.close()
        if self._pool is not None:
            try:
                async with asyncio.timeout(CLOSE_S):
                    await self._pool.close()
            except TimeoutError:
                self._pool.terminate()


def _secret_in(file: str | None) -> str | None:
    """What a file holds, without a line break at its end; None without a file."""
    return None if file is None else Path(file).read_text(encoding="utf-8").rstrip("\n")
