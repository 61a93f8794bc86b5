"""Which NAS may speak, and with which secret: chosen by UDP source address alone.

RFC 2865 s3 and RFC 5080 s2.7.2: the secret follows the source address of the datagram, never an
attribute inside it.
"""

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import msgspec

from radius.attributes import VENDOR_SPECIFIC
from radius.encoding import vendor_values
from radius.packet import Packet
from radius.records import AcctStatus

Network = IPv4Network | IPv6Network

_OF_NAS = frozenset({AcctStatus.ACCOUNTING_ON, AcctStatus.ACCOUNTING_OFF})

# ::ffff:0:0/96, in which an IPv6 socket shows its IPv4 peers (RFC 4291 s2.5.5.2).
_V4_MAPPED = IPv6Network("::ffff:0:0/96")


def network(source: str) -> Network:
    """The network that a client's `source` names: an address, or a network as address/length.

    IPv4-mapped IPv6 networks become the IPv4 networks they stand for. Raises ValueError, which
    says what is allowed, for anything else, also when bits are set behind the prefix.
    """
    try:
        found = ip_network(source)
    except ValueError as error:
        raise ValueError(
            f"source {source!r}: {error}; allowed is an address or a network with its host bits "
            "zero, such as 192.0.2.1, 192.0.2.0/24 or 2001:db8::/32"
        ) from None
    if isinstance(found, IPv6Network) and found.subnet_of(_V4_MAPPED):
        low = int(found.network_address) & 0xFFFFFFFF
        return IPv4Network((low, found.prefixlen - 96))
    return found


class ServiceMarker(msgspec.Struct, frozen=True):
    """An attribute that only the records of services have; its value begins with `prefix`."""

    vendor: int
    kind: int
    prefix: bytes = b""

    def marks(self, packet: Packet) -> bool:
        """Whether a packet is a service's."""
        values = (
            vendor_values(packet.values(VENDOR_SPECIFIC), self.vendor, self.kind)
            if self.vendor
            else packet.values(self.kind)
        )
        return any(value.startswith(self.prefix) for value in values)


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """One configured NAS, or one network of them under the same secret.

    `name` is unique and becomes the first part of the scope key of its sessions. `coa_host` and
    `coa_port` say where Disconnect- and CoA-Requests go when that is not the address the
    accounting came from and the port of the vendor profile, `bind_host` from which local address.
    `swap_octets` is for a NAS that reports input and output the wrong way round, `octet_unit` for
    one whose counters count more than one octet as one. Records with `service_marker` are of
    services inside a session, and not its own; with `accounting_on` False, Accounting-On and -Off
    end no sessions. `signs_logins` tells that its Access-Requests have a Message-Authenticator, so
    that one without is refused.

    Raises ValueError when created with an impossible value.
    """

    name: str
    source: Network
    secret: bytes
    vendor: str = "generic"
    coa_host: str | None = None
    coa_port: int | None = None
    bind_host: str | None = None
    swap_octets: bool = False
    octet_unit: int = 1
    service_marker: ServiceMarker | None = None
    accounting_on: bool = True
    signs_logins: bool = True

    def __post_init__(self) -> None:
        if not self.name or "/" in self.name or not self.name.isprintable():
            raise ValueError(
                f"client name {self.name!r}: allowed are printable characters except '/', "
                "at least one"
            )
        # An empty secret would let anybody sign packets.
        if not self.secret:
            raise ValueError(f"client {self.name}: secret is empty; at least one octet is needed")
        if self.coa_port is not None and not 1 <= self.coa_port <= 65535:
            raise ValueError(
                f"client {self.name}: coa_port {self.coa_port}; allowed are 1 to 65535"
            )

    def passes_over(self, status: int, packet: Packet) -> bool:
        """Whether a record of this Acct-Status-Type says nothing of any session, by the profile."""
        if not self.accounting_on and status in _OF_NAS:
            return True
        return self.service_marker is not None and self.service_marker.marks(packet)

    def __repr__(self) -> str:
        """Without the secret, since reprs end up in logs."""
        return f"Client({self.name!r}, {self.source}, vendor={self.vendor!r})"


class ClientTable:
    """The clients, found by source address: the longest matching prefix wins.

    Immutable in meaning; when the list of clients changes, make a new table and hand it over
    whole. Raises ValueError when two clients share a name or a source network.
    """

    def __init__(self, clients: Iterable[Client] = (), *, cache_entries: int = 8192) -> None:
        assert cache_entries > 0, "the cache needs room for one address"
        self._by_name: dict[str, Client] = {}
        # IP version -> prefix length -> network address -> client
        networks: dict[int, dict[int, dict[int, Client]]] = {4: {}, 6: {}}
        for client in clients:
            if client.name in self._by_name:
                raise ValueError(f"client name {client.name!r} is given twice")
            self._by_name[client.name] = client
            source = client.source
            same_length = networks[source.version].setdefault(source.prefixlen, {})
            other = same_length.setdefault(int(source.network_address), client)
            if other is not client:
                raise ValueError(
                    f"clients {other.name!r} and {client.name!r} have the same source {source}"
                )
        # (octets to shift out, address -> client), longest prefix first
        self._prefixes = {
            version: [
                ((32 if version == 4 else 128) - length, by_address)
                for length, by_address in sorted(by_length.items(), reverse=True)
            ]
            for version, by_length in networks.items()
        }
        self._cache: dict[str, Client] = {}
        self._cache_entries = cache_entries

    def find(self, source_host: str) -> Client | None:
        """The client whose network holds this address, or None.

        `source_host` is the textual address as a socket reports it; IPv4-mapped IPv6 addresses
        count as the IPv4 address. Text that is no address belongs to no client.
        """
        known = self._cache.get(source_host)
        if known is not None:
            return known
        client = self._search(source_host)
        # Only hits are kept, so strangers cannot push anything out; and the number is bounded, so
        # a wide network cannot grow memory either. The oldest entry makes room.
        if client is not None:
            if len(self._cache) >= self._cache_entries:
                del self._cache[next(iter(self._cache))]
            self._cache[source_host] = client
        return client

    def named(self, name: str) -> Client | None:
        """The client of this name, or None."""
        return self._by_name.get(name)

    @property
    def cached_addresses(self) -> int:
        """How many source addresses are remembered, at most `cache_entries`."""
        return len(self._cache)

    def __len__(self) -> int:
        """How many clients there are."""
        return len(self._by_name)

    def _search(self, source_host: str) -> Client | None:
        try:
            address = ip_address(source_host)
        except ValueError:
            return None
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        number = int(address)
        for shift, by_address in self._prefixes[address.version]:
            client = by_address.get(number >> shift << shift)
            if client is not None:
                return client
        return None
