"""How accounts, sessions and steps are laid out in the store's octets.

The other half is lua/prelude.lua, which alone writes accounts and session headers; here they are
read, and steps are written.
"""

import struct

import msgspec

from balances.errors import StoreRefused
from balances.messages import Account, Grant, Step, StoredSession
from rating.pool import NO_POOL

_ACCOUNT = struct.Struct(">BBqqqqQQQ3s")
_SESSION = struct.Struct(">BBQqQQI16sH")
_STEP = struct.Struct(">BHBQQqqqqBqI16s")
#: lua/grants.lua: account, held, when it expires (Unix ms), user name, pointers.
_grant = msgspec.msgpack.Decoder(tuple[str, int, int, str, list[str]]).decode
_RESTORED = struct.Struct(">BI16s")

_UNLIMITED, _SUSPENDED, _CLOSED, _POOLED = 1, 2, 4, 8
_OPEN, _CUTTING, _REGRANT = 1, 2, 4
_STEP_OPEN, _STEP_REGRANT_ONLY, _STEP_TAKES_GRANT, _STEP_POOL, _STEP_CHANGE = 1, 2, 4, 8, 16

#: Texts only: Lua's cmsgpack does not know the type bin.
_pack_change = msgspec.msgpack.Encoder().encode

#: Most entries of one step: the count is one octet.
MAX_STEP_ENTRIES = 255

#: Most steps of one commit, and most entries of all of them and loose ones together.
MAX_STEPS, MAX_ENTRIES = 1000, 2500


def account_of(account: str, value: bytes) -> Account:
    """Return the account packed in `value`. Raises StoreRefused for an unknown layout.

    The pool of one that has one is not in it: an empty one stands for it.
    """
    if len(value) != _ACCOUNT.size or value[0] != 1:
        raise StoreRefused(f"account {account!r} has an unknown layout: {value[:80]!r}")
    _layout, flags, balance, reserved, limit, minimum, rating, charged, moved, currency = (
        _ACCOUNT.unpack(value)
    )
    return Account(
        account,
        currency.decode("ascii", "replace"),
        balance,
        reserved,
        None if flags & _UNLIMITED else limit,
        minimum,
        rating,
        charged,
        moved,
        bool(flags & _SUSPENDED),
        bool(flags & _CLOSED),
        NO_POOL if flags & _POOLED else None,
    )


def account_or_none(account: str, value: bytes) -> Account | None:
    """Return the account packed in `value`, or None for what is not understood."""
    if len(value) != _ACCOUNT.size or value[0] != 1:
        return None
    return account_of(account, value)


def account_flags(account: Account) -> int:
    """Return the flags of an account, as the store keeps them."""
    return (
        (_UNLIMITED if account.credit_limit is None else 0)
        | (0 if account.pool is None else _POOLED)
        | status_flags(suspended=account.suspended, closed=account.closed)
    )


def status_flags(*, suspended: bool, closed: bool) -> int:
    """Return the flags of an account's status."""
    return (_SUSPENDED if suspended else 0) | (_CLOSED if closed else 0)


def session_of(value: bytes) -> StoredSession:
    """Return the session packed in `value`. Raises StoreRefused for an unknown layout."""
    if len(value) < _SESSION.size or value[0] != 1:
        raise StoreRefused(f"a session has an unknown layout: {value[:80]!r}")
    _layout, flags, version, held, seen_ms, _wake, quiet, uid, length = _SESSION.unpack_from(value)
    at = _SESSION.size + length
    return StoredSession(
        uid,
        value[_SESSION.size : at].decode(errors="replace"),
        version,
        bool(flags & _OPEN),
        bool(flags & _CUTTING),
        bool(flags & _REGRANT),
        held,
        seen_ms,
        quiet,
        value[at:],
    )


def session_or_none(value: bytes) -> StoredSession | None:
    """Return the session packed in `value`, or None for what is not understood."""
    if len(value) < _SESSION.size or value[0] != 1:
        return None
    length = int.from_bytes(value[_SESSION.size - 2 : _SESSION.size])
    return session_of(value) if len(value) >= _SESSION.size + length else None


def grant_or_none(uid: bytes, value: bytes) -> Grant | None:
    """Return the grant packed in `value`, or None for what is not understood."""
    try:
        account, held, _expires, username, _pointers = _grant(value)
    except (msgspec.DecodeError, ValueError):
        return None
    return Grant(uid, account, held, username)


def step_arguments(step: Step, nas_index: int) -> tuple[bytes | str, ...]:
    """Return a step as the commit function takes it; `nas_index` counts from 1."""
    assert len(step.uid) == 16, step.uid
    entries = step.entries
    if step.change is not None:
        entries = (*entries, _pack_change(step.change))
    if step.pool is not None:
        entries = (*entries, step.pool)
    assert len(entries) <= MAX_STEP_ENTRIES, len(entries)
    fixed = _STEP.pack(
        len(entries),
        nas_index,
        (_STEP_OPEN if step.open else 0)
        | (0 if step.report else _STEP_REGRANT_ONLY)
        | (_STEP_TAKES_GRANT if step.takes_grant else 0)
        | (0 if step.pool is None else _STEP_POOL)
        | (0 if step.change is None else _STEP_CHANGE),
        step.expected_version,
        step.expected_rating,
        step.charge,
        step.want,
        step.grant,
        # A deadline that has passed is now: a negative number would mean that there is none.
        -1 if step.cut_after_ms is None else max(step.cut_after_ms, 0),
        step.cut_cause,
        step.least,
        step.quiet,
        step.uid,
    )
    return (fixed, step.session, step.account, step.state, *entries)


def restored_session(*, is_open: bool, quiet: int, uid: bytes) -> bytes:
    """Return the fixed part of a session to be restored."""
    return _RESTORED.pack(is_open, quiet, uid)


def packed_octets(value: bytes) -> msgspec.Raw:
    """Return octets as a MessagePack text (str 32): Lua's cmsgpack does not know the type bin."""
    return msgspec.Raw(b"\xdb" + len(value).to_bytes(4) + value)
