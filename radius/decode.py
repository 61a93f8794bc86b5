"""From a verified packet to an accounting record, or to a fault that says what is missing."""

import struct
from ipaddress import IPv4Address, IPv6Address
from typing import Protocol

import msgspec

from radius import attributes as attr
from radius.packet import Fault, Packet, refusal
from radius.records import AccountingRecord, AcctStatus, text

# Event-Timestamp is believed within these bounds of the arrival. Accounting may be very late (RFC
# 5080 s2.2.1: a NAS may retry for ever), and must then be told from what happened now; but a clock
# that was never set shows 1970, or the year of its firmware. Ahead it can only be a clock's error.
EVENT_PAST_SECONDS = 100 * 86400
EVENT_FUTURE_SECONDS = 300

_RECORDED = frozenset(
    (
        AcctStatus.START,
        AcctStatus.STOP,
        AcctStatus.INTERIM,
        AcctStatus.ACCOUNTING_ON,
        AcctStatus.ACCOUNTING_OFF,
    )
)
#: Counters have 64 bits, also those that count more than one octet at a time.
_MOST = 2**64 - 1

_WITHOUT_SESSION = frozenset((AcctStatus.ACCOUNTING_ON, AcctStatus.ACCOUNTING_OFF))


class IgnoredStatus(msgspec.Struct, frozen=True):
    """A status type that concerns no session of ours (tunnels, Failed, unknown): to acknowledge."""

    status: int


class Speaker(Protocol):
    """What of a configured client decides what its records mean: see radius.clients.Client."""

    @property
    def name(self) -> str: ...

    @property
    def swap_octets(self) -> bool: ...

    @property
    def octet_unit(self) -> int: ...


def decode(
    packet: Packet, client: Speaker, source_host: str, source_port: int, arrived_ms: int
) -> AccountingRecord | IgnoredStatus | Fault:
    """The record that an Accounting-Request holds.

    `arrived_ms` is when it was read, Unix milliseconds. The packet must have been verified with
    the client's secret.
    """
    octets, offsets = packet.octets, packet.offsets
    status_at = offsets.get(attr.ACCT_STATUS_TYPE)
    if status_at is None:
        return refusal("Acct-Status-Type", "missing", "none in the packet", "one")
    (status,) = _integer_at(octets, status_at)
    if status not in _RECORDED:
        return IgnoredStatus(status)
    session_id = packet.get(attr.ACCT_SESSION_ID)
    # RFC 2866 s4.1 demands one, but accel-ppp and CoovaChilli send On and Off without.
    if not session_id and status not in _WITHOUT_SESSION:
        return refusal("Acct-Session-Id", "missing", "none in the packet, or empty", "one")

    user_name = packet.get(attr.USER_NAME)
    session_time_at = offsets.get(attr.ACCT_SESSION_TIME)
    terminate_cause_at = offsets.get(attr.ACCT_TERMINATE_CAUSE)
    octets_in = _octets(packet, attr.ACCT_INPUT_OCTETS, attr.ACCT_INPUT_GIGAWORDS)
    octets_out = _octets(packet, attr.ACCT_OUTPUT_OCTETS, attr.ACCT_OUTPUT_GIGAWORDS)
    if client.swap_octets:
        octets_in, octets_out = octets_out, octets_in
    if client.octet_unit != 1:
        octets_in = None if octets_in is None else min(octets_in * client.octet_unit, _MOST)
        octets_out = None if octets_out is None else min(octets_out * client.octet_unit, _MOST)
    # By position: naming seventeen fields would cost more time than reading five of them.
    return AccountingRecord(
        status,
        text(session_id) if session_id else "",
        text(user_name) if user_name else None,
        client.name,
        f"{client.name}/{nas_of(packet) or source_host}",
        source_host,
        source_port,
        None if session_time_at is None else _integer_at(octets, session_time_at)[0],
        octets_in,
        octets_out,
        attr.ACCT_INPUT_GIGAWORDS in offsets or attr.ACCT_OUTPUT_GIGAWORDS in offsets,
        _event_time(packet, arrived_ms // 1000),
        arrived_ms,
        None if terminate_cause_at is None else _integer_at(octets, terminate_cause_at)[0],
        packet,
        packet.values(attr.CLASS),
    )


# The length of integers was checked when the packet was split.
_integer_at = struct.Struct("!I").unpack_from


def _octets(packet: Packet, low: int, high: int) -> int | None:
    """One 64-bit counter from its two halves (RFC 2869 s5.1); None when neither is present."""
    low_at = packet.offsets.get(low)
    high_at = packet.offsets.get(high)
    octets = None if low_at is None else _integer_at(packet.octets, low_at)[0]
    if high_at is None:
        return octets
    return (_integer_at(packet.octets, high_at)[0] << 32) + (octets or 0)


def nas_of(packet: Packet) -> str:
    """Which NAS of the client this is, as it names itself; empty when it does not."""
    identifier = packet.get(attr.NAS_IDENTIFIER)
    if identifier:
        return text(identifier)
    address = packet.get(attr.NAS_IP_ADDRESS)
    if address is not None:
        return str(IPv4Address(address))
    address = packet.get(attr.NAS_IPV6_ADDRESS)
    return "" if address is None else str(IPv6Address(address))


def _event_time(packet: Packet, arrived: int) -> int:
    """When it happened, Unix seconds: Event-Timestamp if believable, else arrival minus the delay.

    RFC 2869 s5.3; RFC 2866 s5.2: Acct-Delay-Time is to be subtracted from the time of arrival.
    """
    earliest = arrived - EVENT_PAST_SECONDS
    timestamp_at = packet.offsets.get(attr.EVENT_TIMESTAMP)
    if timestamp_at is not None:
        (event_time,) = _integer_at(packet.octets, timestamp_at)
        if earliest <= event_time <= arrived + EVENT_FUTURE_SECONDS:
            return event_time
    delay_at = packet.offsets.get(attr.ACCT_DELAY_TIME)
    if delay_at is None:
        return arrived
    return max(earliest, arrived - _integer_at(packet.octets, delay_at)[0])
