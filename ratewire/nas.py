"""The NASes that may speak: their clients and profiles, where to reach them, and for what."""

from collections.abc import Mapping

import msgspec
import structlog

from balances.messages import StoredSession, decode_state
from billing.nas.client import decode_client, secret_purpose
from billing.sealing.keyring import Keyring, UnsealError
from radius.clients import Client, ClientTable, ServiceMarker, network
from radius.encoding import named
from radius.profiles import Profile
from radius.records import SessionIdentity

_log = structlog.get_logger(__name__)

_identity = msgspec.msgpack.Decoder(SessionIdentity).decode


def identity_of(stored: StoredSession) -> SessionIdentity:
    """Return how a stored session is known to its NAS."""
    return _identity(decode_state(stored.state).identity)


class NasDirectory:
    """All configured NAS clients. Immutable: a newer revision is another object."""

    def __init__(
        self, revision: int, clients: Mapping[str, Client], profiles: Mapping[str, Profile]
    ) -> None:
        self.revision = revision
        self.clients = dict(clients)
        self._profiles = profiles
        self.table = ClientTable(self.clients.values())

    def profile(self, client: Client) -> Profile:
        """Return what is special about a client's product."""
        return self._profiles[client.vendor]

    def wraps_32(self, name: str) -> bool:
        """Return whether the octets of a client's sessions may wrap at 2^32."""
        client = self.clients.get(name)
        return client is not None and self.profile(client).counters.gigawords == "absent"


class Target(msgspec.Struct, frozen=True):
    """Where Disconnect- and CoA-Requests for a session go."""

    host: str
    port: int


def target_of(client: Client, profile: Profile, source_host: str) -> Target:
    """Return where to send a request: as configured, else where the accounting came from."""
    return Target(client.coa_host or source_host, client.coa_port or profile.coa.port)


def directory_of(
    revision: int,
    published: Mapping[str, bytes],
    keyring: Keyring,
    profiles: Mapping[str, Profile],
) -> NasDirectory:
    """Return the NASes that were published. One that cannot be used is left out, and logged."""
    clients: dict[str, Client] = {}
    for name, value in published.items():
        try:
            clients[name] = _client(name, value, keyring, profiles)
        except (ValueError, UnsealError) as error:
            _log.error("a NAS is not served", nas=name, error=str(error))
    return NasDirectory(revision, clients, profiles)


def _client(
    name: str, published: bytes, keyring: Keyring, profiles: Mapping[str, Profile]
) -> Client:
    """Return one NAS as it was published. Raises ValueError or UnsealError."""
    entry = decode_client(published)
    profile = profiles.get(entry.vendor)
    if profile is None:
        raise ValueError(f"vendor {entry.vendor} is not known here")
    return Client(
        name=name,
        source=network(entry.source),
        secret=keyring.unseal(entry.secret_sealed, secret_purpose(name)),
        vendor=entry.vendor,
        coa_host=entry.coa_host,
        coa_port=entry.coa_port,
        bind_host=entry.coa_bind,
        swap_octets=profile.counters.swap_octets,
        octet_unit=profile.counters.unit,
        service_marker=marker_of(profile),
        accounting_on=profile.session.accounting_on == "nas",
        signs_logins=(
            profile.login.message_authenticator
            if entry.signs_logins is None
            else entry.signs_logins
        ),
    )


def marker_of(profile: Profile) -> ServiceMarker | None:
    """Return what marks the records of services, if anything does."""
    name, _, prefix = profile.counters.service_marker.partition("=")
    found = named(name)
    return None if found is None else ServiceMarker(found.vendor, found.kind, prefix.encode())
