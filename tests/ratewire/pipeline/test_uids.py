"""Names of session epochs are UUIDv7: Postgres's uuid, in the order of time."""

import uuid

from hypothesis import given
from hypothesis import strategies as st

from ratewire.pipeline.uids import session_uid

MOMENTS = st.integers(0, 2**48 - 1)
OCTETS = st.binary(min_size=10, max_size=10)


@given(MOMENTS, OCTETS)
def test_it_is_a_uuid_of_version_7_with_its_time_in_front(now_ms: int, octets: bytes) -> None:
    made = session_uid(now_ms, octets)
    read = uuid.UUID(bytes=made)
    assert (read.version, read.variant) == (7, uuid.RFC_4122)
    assert int.from_bytes(made[:6]) == now_ms


@given(MOMENTS, st.lists(OCTETS, min_size=2, max_size=2, unique=True))
def test_74_random_bits_tell_two_of_one_moment_apart(now_ms: int, octets: list[bytes]) -> None:
    """Six bits make way for version and variant; all others count."""
    first, second = octets
    masks = (0x0F, 0xFF, 0x3F, *[0xFF] * 7)
    same = all((a ^ b) & mask == 0 for a, b, mask in zip(first, second, masks, strict=True))
    assert (session_uid(now_ms, first) == session_uid(now_ms, second)) is same
