"""The frames of the journal: what was written is read, and nothing else is ever made of it."""

import zlib

from hypothesis import given
from hypothesis import strategies as st

from ratewire.journal.frames import Damage, Entry, encode, look, scan

SEED = 0x5EED5EED

entries = st.builds(
    Entry,
    arrived_ms=st.integers(0, 2**63),
    host=st.one_of(st.ip_addresses().map(str), st.just("fe80::1%eth0")),
    port=st.integers(0, 65_535),
    name=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40),
    swap_octets=st.booleans(),
    octet_unit=st.sampled_from([1, 2**10, 2**20, 2**30]),
    octets=st.binary(max_size=300),
)
files = st.lists(entries, min_size=1, max_size=4)


def file_of(found: list[Entry]) -> bytes:
    return b"".join(encode(entry, SEED) for entry in found)


@given(files)
def test_what_is_written_is_read(found: list[Entry]) -> None:
    result = scan(file_of(found), SEED)
    assert (result.entries, result.damages, result.torn) == (found, [], 0)


@given(st.binary(max_size=2000), st.integers(0, 2**32 - 1))
def test_whatever_a_file_holds_can_be_read(octets: bytes, seed: int) -> None:
    """And of what is no file of ours every octet is reported."""
    result = scan(octets, seed)
    assert result.entries == []
    assert result.torn + sum(each.length for each in result.damages) == len(octets)
    assert look(octets, seed)[1] is None


def test_a_file_that_is_torn_at_any_octet_holds_what_is_whole() -> None:
    found = [
        Entry(1_700_000_000_000 + n, "192.0.2.1", n, "pop-ü", bool(n % 2), 1, bytes(range(40 + n)))
        for n in range(3)
    ]
    ends = [len(file_of(found[:n])) for n in range(4)]
    octets = file_of(found)
    for length in range(len(octets) + 1):
        result = scan(octets[:length], SEED)
        whole = sum(end <= length for end in ends[1:])
        assert result.entries == found[:whole]
        assert (result.damages, result.torn) == ([], length - ends[whole])
        assert look(octets[:length], SEED) == (whole, found[0] if whole else None)


def test_a_flipped_bit_costs_its_own_record_and_is_reported() -> None:
    """In every bit of the middle one of three records, so also in its length and its magic."""
    found = [Entry(n, "192.0.2.1", 1, "pop", False, 1, bytes(30)) for n in range(3)]
    octets = file_of(found)
    start, end = len(file_of(found[:1])), len(file_of(found[:2]))
    for bit in range(8 * start, 8 * end):
        flipped = bytearray(octets)
        flipped[bit // 8] ^= 1 << bit % 8
        result = scan(bytes(flipped), SEED)
        assert result.entries == [found[0], found[2]]
        assert (result.damages, result.torn) == ([Damage(start, end - start)], 0)


@given(files, st.data())
def test_noise_anywhere_never_makes_a_record_that_was_not_written(
    found: list[Entry], data: st.DataObject
) -> None:
    octets = bytearray(file_of(found))
    at = data.draw(st.integers(0, len(octets) - 1))
    noise = data.draw(st.binary(min_size=1, max_size=64))
    octets[at : at + len(noise)] = noise
    result = scan(bytes(octets), SEED)
    assert all(entry in found for entry in result.entries)
    lost = len(found) - len(result.entries)
    assert not lost or result.damages or result.torn


def test_a_frame_inside_a_datagram_is_none_and_none_of_another_file_is() -> None:
    """Somebody who can put octets into a record cannot make a record of them."""
    forged = encode(Entry(2, "192.0.2.9", 1, "other", False, 1, b"forged"), SEED ^ 1)
    octets = bytearray(encode(Entry(1, "192.0.2.1", 1, "pop", False, 1, forged), SEED))
    octets[0] ^= 1
    behind = Entry(3, "192.0.2.1", 1, "pop", False, 1, b"")
    result = scan(bytes(octets) + encode(behind, SEED), SEED)
    assert result.entries == [behind]
    assert result.damages == [Damage(0, len(octets))]


def test_a_record_of_a_newer_version_is_not_taken_for_another() -> None:
    """It is whole, and reported: its file has to be kept for whoever understands it."""
    body = b"\x02 what is to come"
    checksum = zlib.crc32(body, zlib.crc32(len(body).to_bytes(4), SEED))
    newer = b"\xabRWJ" + len(body).to_bytes(4) + checksum.to_bytes(4) + body
    known = Entry(1, "192.0.2.1", 1, "pop", False, 1, b"")
    octets = encode(known, SEED) + newer
    result = scan(octets, SEED)
    assert result.entries == [known]
    assert result.damages == [Damage(len(octets) - len(newer), len(newer))]
