"""What the fleet's datagrams say, read by our own decoder, and the answers of a server."""

from radius import packet
from radius.clients import Client, network
from radius.decode import decode
from radius.packet import Packet, parse
from radius.records import AccountingRecord

SECRET = b"fleet-secret"
NOW = 1_800_000_000.0

_CLIENT = Client(name="fleet", source=network("127.0.0.0/8"), secret=SECRET)

DELAY_TIME = 41


def record_of(datagram: bytes, *, at: float = NOW, secret: bytes = SECRET) -> AccountingRecord:
    """The record in a datagram, whose authenticator must be right."""
    assert packet.verify_accounting(datagram, secret)
    parsed = parse(datagram)
    assert isinstance(parsed, Packet)
    found = decode(parsed, _CLIENT, "127.96.0.1", 40_000, int(at * 1000))
    assert isinstance(found, AccountingRecord)
    return found


def number_in(record: AccountingRecord, kind: int) -> int:
    """An integer attribute of a record."""
    value = record.attributes.get(kind)
    assert value is not None
    return int.from_bytes(value)


def answer(datagram: bytes, *, secret: bytes = SECRET) -> bytes:
    """The Accounting-Response to a request."""
    return packet.accounting_response(datagram[1], datagram[4:20], (), secret)
