"""What a subscriber is, and which values it may have. Pure."""

from datetime import datetime
from typing import Final

import msgspec

from billing.errors import InvalidInput

#: RFC 2865 section 5: the value of an attribute has at most 253 octets.
MAX_USERNAME_OCTETS: Final = 253

#: RFC 2865 section 5.2: User-Password holds at most 128 octets.
MAX_PASSWORD_OCTETS: Final = 128


class SubscriberEntry(msgspec.Struct, frozen=True):
    """A subscriber as staff see it; whether there is a password, not which.

    Those after `created_at` are those of billing.subscribers.login.
    """

    username: str
    account: str
    plan: str
    has_password: bool
    created_at: datetime
    password_kind: str = "clear"  # noqa: S105 - the name of a kind
    session_limit: int | None = None
    when_full: str = "refuse"
    calling_station: str | None = None
    nas: str | None = None
    framed_pool: str | None = None
    framed_ip: str | None = None
    suspended: bool = False


def username_fault(text: str) -> str | None:
    """Return what is wrong with a user name; None if nothing is."""
    if "\0" in text or not text:
        return "is empty or holds a NUL octet"
    try:
        octets = len(text.encode())
    except UnicodeEncodeError:
        return "is not text"
    if octets > MAX_USERNAME_OCTETS:
        return f"has {octets} octets, allowed are 1 to {MAX_USERNAME_OCTETS}"
    return None


def check_username(text: str) -> str:
    """Return a user name if it can be one. Raises InvalidInput."""
    fault = username_fault(text)
    if fault is not None:
        raise InvalidInput(f"user name {text!r} {fault}")
    return text


def password_fault(octets: bytes) -> str | None:
    """Return what is wrong with a password, without showing it; None if nothing is."""
    if not 1 <= len(octets) <= MAX_PASSWORD_OCTETS:
        return f"has {len(octets)} octets, allowed are 1 to {MAX_PASSWORD_OCTETS}"
    return None


def check_password(octets: bytes) -> bytes:
    """Return a password if it can be one. Raises InvalidInput."""
    fault = password_fault(octets)
    if fault is not None:
        raise InvalidInput(f"the password {fault}")
    return octets


def password_purpose(username: str) -> str:
    """Return the purpose for which the password of a subscriber is sealed."""
    return f"subscriber password: {username}"
