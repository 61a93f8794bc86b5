"""The UDP socket on the loopback: batches, buffer, drops, and where replies leave from."""

import select
import socket
from collections.abc import Iterator

import pytest

from radius.udp import UdpSocket


@pytest.fixture(params=["127.0.0.1", "0.0.0.0", "::1", "::"])
def bound(request: pytest.FixtureRequest) -> Iterator[UdpSocket]:
    """A socket bound to one address, or to all, of either family."""
    udp = UdpSocket(request.param, 0, recv_buffer_octets=65_536)
    yield udp
    udp.close()


def peer_of(udp: UdpSocket, host: str | None = None) -> socket.socket:
    """A socket connected to `udp`: it takes only what comes from the address it is connected to."""
    family = socket.AF_INET6 if ":" in udp.host else socket.AF_INET
    peer = socket.socket(family, socket.SOCK_DGRAM)
    peer.settimeout(5)
    peer.connect((host or {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(udp.host, udp.host), udp.port))
    return peer


def wait_readable(udp: UdpSocket) -> None:
    assert select.select([udp.fileno()], [], [], 5)[0]


def test_what_is_ready_is_read_up_to_the_limit_and_answered(bound: UdpSocket) -> None:
    with peer_of(bound) as peer:
        for number in range(5):
            peer.send(b"request %d" % number)
        wait_readable(bound)
        first, second = bound.receive_ready(3), bound.receive_ready(3)
        assert [datagram for datagram, _ in first] == [b"request 0", b"request 1", b"request 2"]
        assert [datagram for datagram, _ in second] == [b"request 3", b"request 4"]
        assert bound.receive_ready(3) == []
        for datagram, address in first:
            assert address[:2] == peer.getsockname()[:2]
            assert bound.send(datagram.replace(b"request", b"reply"), address)
        assert [peer.recv(100) for _ in first] == [b"reply 0", b"reply 1", b"reply 2"]


def test_a_socket_bound_to_all_addresses_answers_from_the_one_that_was_asked() -> None:
    """127.0.0.2 is asked; left to the routing table, the reply would leave from 127.0.0.1."""
    udp = UdpSocket("0.0.0.0", 0, recv_buffer_octets=65_536)
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            peer.bind(("127.0.0.1", 0))
            peer.settimeout(5)
            peer.sendto(b"request", ("127.0.0.2", udp.port))
            wait_readable(udp)
            ((datagram, address),) = udp.receive_ready(10)
            assert udp.send(datagram, address)
            assert peer.recvfrom(100)[1] == ("127.0.0.2", udp.port)
    finally:
        udp.close()


def test_a_longest_packet_arrives_whole(bound: UdpSocket) -> None:
    with peer_of(bound) as peer:
        peer.send(bytes(4096))
        wait_readable(bound)
        ((datagram, _),) = bound.receive_ready(1)
        assert datagram == bytes(4096)


def test_the_granted_buffer_is_reported() -> None:
    udp = UdpSocket("127.0.0.1", 0, recv_buffer_octets=100_000)
    try:
        assert udp.granted_octets == 100_000
    finally:
        udp.close()


def test_the_kernels_drops_are_those_of_this_socket(bound: UdpSocket) -> None:
    """Of two sockets on one port, only the one that overflows counts drops."""
    assert bound.kernel_drops() == 0
    other = UdpSocket(bound.host, bound.port, recv_buffer_octets=65_536)
    try:
        with peer_of(bound) as peer:
            # The kernel keeps one sender's datagrams on one socket, but chooses which.
            for _ in range(1_000):
                peer.send(bytes(300))
        dropped = (bound.kernel_drops(), other.kernel_drops())
        assert 0 in dropped
        kept = max(len(bound.receive_ready(2_000)), len(other.receive_ready(2_000)))
        assert sum(filter(None, dropped)) == 1_000 - kept > 0
    finally:
        other.close()


def test_a_closed_socket_knows_no_drops_and_sends_nothing() -> None:
    udp = UdpSocket("127.0.0.1", 0, recv_buffer_octets=65_536)
    udp.close()
    assert udp.kernel_drops() is None
    assert not udp.send(b"reply", ("127.0.0.1", 9))
    assert udp.fileno() == -1


def test_an_address_of_another_machine_is_refused_by_the_kernel() -> None:
    with pytest.raises(OSError, match="Cannot assign requested address"):
        UdpSocket("198.51.100.1", 0, recv_buffer_octets=65_536)


def test_a_name_is_no_address_to_bind() -> None:
    with pytest.raises(ValueError, match="does not appear to be an IPv4 or IPv6 address"):
        UdpSocket("localhost", 0, recv_buffer_octets=65_536)
