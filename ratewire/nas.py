"""The NASes that may speak: their clients and profiles, and where to reach them."""

from collections.abc import Mapping

import msgspec

from radius.clients import Client, ClientTable
from radius.profiles import Profile


class NasDirectory:
    """All configured NAS clients. Immutable: a newer revision is another object."""

    def __init__(
        self, revision: int, clients: Mapping[str, Client], profiles: Mapping[str, Profile]
    ) -> None:
        self.revision = revision
        self._clients = dict(clients)
        self._profiles = profiles
        self.table = ClientTable(self._clients.values())

    def client(self, name: str) -> Client | None:
        """Return the client of a name, if it is configured."""
        return self._clients.get(name)

    def profile(self, client: Client) -> Profile:
        """Return what is special about a client's product."""
        return self._profiles[client.vendor]

    def wraps_32(self, name: str) -> bool:
        """Return whether the octets of a client's sessions may wrap at 2^32."""
        client = self._clients.get(name)
        return client is not None and self.profile(client).counters.gigawords == "absent"


class Target(msgspec.Struct, frozen=True):
    """Where Disconnect- and CoA-Requests for a session go."""

    host: str
    port: int


def target_of(client: Client, profile: Profile, source_host: str) -> Target:
    """Return where to send a request: as configured, else where the accounting came from."""
    return Target(client.coa_host or source_host, client.coa_port or profile.coa.port)
