"""What every role follows while it runs: the NASes that are configured, and its own health."""

import asyncio
import os
import socket
from collections.abc import Callable, Mapping

import structlog

from balances.errors import StoreError
from balances.health import Beat
from radius.profiles import Profile, builtin_profiles
from ratewire.journal.clients import KeptClients
from ratewire.nas import NasDirectory, directory_of
from ratewire.outage import Outage
from ratewire.wiring import System, now_ms

_log = structlog.get_logger(__name__)

#: A NAS that is added or removed is heeded within this; the poll is one small command.
POLL_S = 0.25

BEAT_S = 1.0


class NasFollower:
    """Keeps the directory of NASes up to date with what is published."""

    def __init__(
        self,
        system: System,
        changed: Callable[[NasDirectory], None],
        kept: KeptClients | None = None,
    ) -> None:
        """`changed` is called with every new directory, also the first.

        What is read is also `kept`, and used at the beginning if the store is away then.
        """
        self._system = system
        self._kept = kept
        self._changed = changed
        self._profiles = builtin_profiles()
        self._outage = Outage("reading the NAS clients")
        self.directory = NasDirectory(-1, {}, self._profiles)

    def wraps_32(self, name: str) -> bool:
        """Return whether the octets of a client's sessions may wrap at 2^32."""
        return self.directory.wraps_32(name)

    def profile(self, name: str) -> Profile:
        """Return what is special about the product of a client; of one that is gone, nothing."""
        client = self.directory.clients.get(name)
        return self._profiles["generic"] if client is None else self.directory.profile(client)

    async def refresh(self) -> None:
        """Read the directory if it has moved. Raises StoreError."""
        store = self._system.store
        there = await store.revision("nas")
        if there == self.directory.revision or (there == 0 and self.directory.clients):
            return  # a store in which nothing was ever published has lost its books
        revision, published = await store.published("nas")
        self._use(revision, published)
        if self._kept is not None:
            self._kept.keep(published)
        _log.info("NAS clients read", revision=revision, clients=len(self.directory.clients))

    async def begin(self, stop: asyncio.Event) -> None:
        """Read the first directory, however long it takes, unless `stop` is set.

        What begins without it takes every NAS for a stranger. Those that were kept do as well.
        """
        while not stop.is_set() and not await self._try() and not self._use_kept():
            await pause(stop, POLL_S)

    async def run(self, stop: asyncio.Event) -> None:
        """Follow until `stop` is set. While the store is away the last directory holds."""
        while not stop.is_set():
            await self._try()
            await pause(stop, POLL_S)

    def _use_kept(self) -> bool:
        """Use the NASes that were kept; whether there are any."""
        published = None if self._kept is None else self._kept.kept()
        if published is None:
            return False
        self._use(-1, published)  # whatever is in the store is newer
        _log.warning("NAS clients as they were last read are served", clients=len(published))
        return True

    def _use(self, revision: int, published: Mapping[str, bytes]) -> None:
        self.directory = directory_of(revision, published, self._system.keyring, self._profiles)
        self._changed(self.directory)

    async def _try(self) -> bool:
        try:
            await self.refresh()
        except StoreError as error:
            self._outage.failed(error)
            return False
        self._outage.works()
        return True


class Pulse:
    """Says every second that this process lives, and whether it does its work."""

    def __init__(
        self,
        system: System,
        name: str,
        health: Callable[[], tuple[bool, str]],
        figures: Callable[[], Mapping[str, int]] = dict[str, int],
    ) -> None:
        self._system = system
        self._name = name
        self._health = health
        self._figures = figures

    async def run(self, stop: asyncio.Event) -> None:
        """Beat until `stop` is set, then say goodbye. The store being away is no matter here."""
        while not stop.is_set():
            try:
                await self._system.heartbeats.beat(self._beat())
            except StoreError:
                _log.debug("no heartbeat: the store is away")
            await pause(stop, BEAT_S)
        try:
            await self._system.heartbeats.gone(self._beat())
        except StoreError:
            _log.debug("no goodbye: the store is away")

    def _beat(self) -> Beat:
        ok, detail = self._health()
        return Beat(
            name=self._name,
            pid=os.getpid(),
            host=socket.gethostname(),
            at_ms=now_ms(),
            ok=ok,
            detail=detail,
            figures=self._figures(),
        )


async def pause(stop: asyncio.Event, seconds: float) -> None:
    """Sleep, but no longer than until `stop` is set."""
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        pass
