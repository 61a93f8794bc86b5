"""Class as it is sent to the NAS (RFC 2865, section 5.25): the uid of a login's grant.

Only a hint for whoever books the session that begins: a NAS may drop it, or bring back another's.
"""

from collections.abc import Sequence

_MARK = b"rw1."
_GARDEN = b"rwg."
_UID_OCTETS = 16


def class_of(uid: bytes) -> bytes:
    """Return the value of Class for a grant."""
    assert len(uid) == _UID_OCTETS
    return _MARK + uid


def garden_class() -> bytes:
    """Return the value of Class for a session in a walled garden, which has no grant."""
    return _GARDEN


def is_in_garden(classes: Sequence[bytes]) -> bool:
    """Return whether a session was let into a walled garden alone."""
    return _GARDEN in classes


def grants_in(classes: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return the uids that the Class attributes of a record may stand for."""
    return tuple(
        value[len(_MARK) :]
        for value in classes
        if value.startswith(_MARK) and len(value) == len(_MARK) + _UID_OCTETS
    )
