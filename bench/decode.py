"""What one accounting request costs the decoder, beside pyrad on the same datagram.

`python -m bench.decode` prints microseconds as JSON, the best of many short runs, since the other
runs were disturbed. Compare figures of one run with each other, not of two machines.
"""

import json
import timeit
from collections.abc import Callable
from typing import Any

from pyrad.packet import AcctPacket

from radius import packet
from radius.clients import Client, ClientTable, network
from radius.decode import decode
from radius.dictionary import load_dictionary
from radius.duplicates import ReplyCache
from radius.engine import Engine
from radius.packet import Packet
from radius.requests import accounting_request

SECRET = b"a secret of 32 octets, as advised"
SOURCE = ("192.0.2.10", 49152)
NOW_MS = 1_700_000_000_000

# An Interim of 22 attributes and 300 octets, as a broadband NAS sends it.
INTERIM: dict[str, Any] = {
    "Acct-Status-Type": 3,
    "User-Name": "subscriber-0001942@broadband.isp.example",
    "NAS-Identifier": "bng-01.pop3.isp.example",
    "NAS-IP-Address": "192.0.2.10",
    "NAS-Port": 268_435_473,
    "NAS-Port-Type": 15,
    "NAS-Port-Id": "ge-0/0/1.1073741892:100-200",
    "Service-Type": 2,
    "Framed-Protocol": 1,
    "Framed-IP-Address": "198.51.100.7",
    "Calling-Station-Id": "00:53:00:aa:bb:cc",
    "Acct-Session-Id": "8100A3F2-00001C42",
    "Acct-Authentic": 1,
    "Acct-Session-Time": 86_400,
    "Acct-Input-Octets": 1_234_567_890,
    "Acct-Output-Octets": 2_345_678_901,
    "Acct-Input-Gigawords": 3,
    "Acct-Output-Gigawords": 41,
    "Acct-Input-Packets": 30_000_000,
    "Acct-Output-Packets": 90_000_000,
    "Event-Timestamp": NOW_MS // 1000 - 1,
    "Class": b"ratewire:5f3a9c0e1b7d4286a1",
}


def best_us(call: Callable[[], object], *, calls: int = 1_000, runs: int = 200) -> float:
    """Microseconds of one call, in the least disturbed of `runs` runs."""
    return round(min(timeit.repeat(call, number=calls, repeat=runs)) / calls * 1e6, 2)


def full_cache() -> ReplyCache:
    """A reply cache that has to forget one reply for each new one."""
    cache = ReplyCache(capacity=65_536)
    for number in range(65_536):
        key = ("192.0.2.10", number, 0)
        cache.begin(key, b"")
        cache.finish(key, b"", b"", NOW_MS)
    return cache


def measure() -> dict[str, float]:
    """The cost of each step, in microseconds, with the size of the datagram."""
    datagram = accounting_request(INTERIM, secret=SECRET, identifier=1)
    client = Client(name="pop3", source=network("192.0.2.0/24"), secret=SECRET)
    engine = Engine(ClientTable([client]))
    dictionary = load_dictionary()
    octets = packet.frame(datagram)
    assert isinstance(octets, bytes)

    def verify() -> None:
        assert packet.verify_accounting(octets, SECRET)

    def split_and_decode() -> None:
        split = packet.split(octets)
        assert isinstance(split, Packet)
        decode(split, client, *SOURCE, NOW_MS)

    def reply() -> None:
        packet.accounting_response(1, octets[4:20], (), SECRET)

    def whole_engine() -> None:
        (request,) = engine.receive([(datagram, SOURCE)], NOW_MS).requests
        engine.abandon(request)

    full = full_cache()
    numbers = iter(range(10**9))

    def remember_in_a_full_cache() -> None:
        key = ("192.0.2.11", next(numbers), 0)
        full.begin(key, octets[4:20])
        full.finish(key, octets[4:20], b"", NOW_MS)

    def by_pyrad() -> None:
        theirs = AcctPacket(packet=datagram, secret=SECRET, dict=dictionary)
        assert theirs.VerifyAcctRequest()
        for name in INTERIM:
            theirs[name]

    return {
        "octets": len(datagram),
        "attributes": len(INTERIM),
        "verify_us": best_us(verify),
        "decode_us": best_us(split_and_decode),
        "reply_us": best_us(reply),
        "engine_us": best_us(whole_engine),
        "remember_us": best_us(remember_in_a_full_cache),
        "pyrad_us": best_us(by_pyrad, calls=100),
    }


if __name__ == "__main__":
    print(json.dumps(measure()))
