"""Hostile datagrams over loopback, at a rate, from many addresses: those configured and others."""

import socket
import time

import msgspec

from tests.fuzz.mutation import Datagram, Mutator
from tests.fuzz.verdict import REQUEST, judge
from tests.fuzz.vocabulary import Source

HOST = "127.0.0.1"
SECRET = b"of-the-hostile-network"
#: The network of NASes of which somebody knows the secret, and one that is not configured.
NETWORK, UNKNOWN = "127.10", "127.99"
#: A subscriber of whom the hostile network may report what it likes.
VICTIM = "victim@isp.example"

_PORTS = range(3)
_BURST_S = 0.01


class Order(msgspec.Struct, frozen=True):
    """What to send: `harmful` says whether among it are records that have to be taken, too."""

    seed: int
    port: int
    rate: int
    seconds: float
    harmful: bool


class Sent(msgspec.Struct, frozen=True):
    """What was sent. `records` of them are Accounting-Requests that have to be taken."""

    datagrams: int
    records: int
    refused_by_kernel: int
    seconds: float


def fire(order: Order) -> Sent:
    """Send by that order. What comes back is left unread, as by one who forges addresses."""
    sources = [Source(f"{NETWORK}.0.{n}", SECRET) for n in range(1, 9)]
    sources += [Source(f"{UNKNOWN}.0.{n}", None) for n in range(1, 4)]
    # The address of the NAS that serves its subscribers well, but not its secret.
    sources.append(Source(HOST, None))
    sockets = {(each.host, port): _bound(each.host) for each in sources for port in _PORTS}
    mutator = Mutator(order.seed, sources, now=int(time.time()), user=VICTIM, ports=_PORTS)
    sent = records = refused = 0
    began = time.monotonic()
    try:
        while (running := time.monotonic() - began) < order.seconds:
            while sent < running * order.rate:
                datagram = mutator.next()
                record = _record(datagram)
                if record is not None:
                    if not order.harmful:
                        continue
                    records += 1
                sent += 1
                try:
                    way = sockets[datagram.source.host, datagram.port]
                    way.sendto(datagram.octets, (HOST, order.port))
                except OSError:
                    refused += 1
            time.sleep(_BURST_S)
    finally:
        for each in sockets.values():
            each.close()
    return Sent(sent - refused, records, refused, time.monotonic() - began)


def _record(datagram: Datagram) -> dict[int, bytes] | None:
    """The first attribute of each type, of what has to be taken; else None."""
    # As the socket reads it: what is longer than any packet is cut off there.
    verdict = judge(datagram.octets[:4096], datagram.source.secret)
    return dict(reversed(verdict.attributes)) if verdict.outcome == REQUEST else None


def _bound(host: str) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.bind((host, 0))
    return made
