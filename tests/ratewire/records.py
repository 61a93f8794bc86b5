"""Accounting records as the decoder hands them on, and what the store holds, for tests."""

from typing import Any

import msgspec

from balances.messages import Account, StoredSession
from radius.records import AccountingRecord, AcctStatus
from ratewire.pipeline.plans import Plans, encode_plan, published_name
from rating.plan import Plan
from rating.tariff import Counter, Rule, Tariff

NOW_MS = 1_800_000_000_000
NOW = NOW_MS // 1000

METERED = Plan(
    "metered", 1, Tariff("EUR", (Rule(Counter.OCTETS_TOTAL, 2_000_000, 10**9, 1000, 1000),))
)
HOURLY = Plan("hourly", 1, Tariff("EUR", (Rule(Counter.SECONDS, 600_000, 3600),)))
PLANS = Plans(1, {published_name(plan): encode_plan(plan) for plan in (METERED, HOURLY)})


def record(
    status: AcctStatus,
    seconds: int | None = None,
    octets_in: int | None = None,
    octets_out: int | None = None,
    **changes: Any,
) -> AccountingRecord:
    """A record of bob's session s1 at pop1, made now unless it says otherwise."""
    plain = AccountingRecord(
        status=status,
        session_id="s1",
        user_name="bob",
        client="pop1",
        nas="pop1/bras",
        source_host="10.0.0.1",
        source_port=1813,
        session_seconds=seconds,
        octets_in=octets_in,
        octets_out=octets_out,
        has_gigawords=False,
        event_time=NOW,
        arrived_ms=NOW_MS,
        terminate_cause=None,
        attributes={1: b"bob", 44: b"s1", 32: b"bras"},
        classes=(),
    )
    return msgspec.structs.replace(plain, **changes)


def account(balance: int = 5_000_000, **changes: Any) -> Account:
    """Bob's account."""
    plain = Account("acme", "EUR", balance, 0, 0, 0, 1, 0, 0)
    return msgspec.structs.replace(plain, **changes)


def stored(state: bytes, **changes: Any) -> StoredSession:
    """An open session in the store, as a step left it."""
    plain = StoredSession(
        uid=b"u" * 16,
        account="acme",
        version=7,
        open=True,
        cutting=False,
        regrant=False,
        held=0,
        seen_ms=NOW_MS,
        quiet=900,
        state=state,
    )
    return msgspec.structs.replace(plain, **changes)
