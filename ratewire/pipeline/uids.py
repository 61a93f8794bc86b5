"""Names for session epochs: UUIDv7 (RFC 9562, section 5.7), so that they sort by time."""


def session_uid(now_ms: int, random_octets: bytes) -> bytes:
    """Return the 16 octets of a UUIDv7 for a moment and ten random octets."""
    assert len(random_octets) == 10
    version_and_a = 0x70 | random_octets[0] & 0x0F, random_octets[1]
    variant = 0x80 | random_octets[2] & 0x3F
    return now_ms.to_bytes(6) + bytes((*version_and_a, variant)) + random_octets[3:]
