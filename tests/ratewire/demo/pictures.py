"""Pictures of a system that need no system."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from ratewire.demo.watch import Happening, Line, Picture
from ratewire.views.sessions import SessionView

AT = datetime(2026, 3, 14, 15, 9, 26, tzinfo=UTC)
AT_MS = int(AT.timestamp() * 1000)


def line(user: str = "alice", *, left: int = 100_000, burn: int | None = 60, **view: Any) -> Line:
    """One session, of which so much is left (micros) and burnt (micros a minute)."""
    plain = SessionView(
        session="0123456789abcdef" * 2,
        user=f"{user}@isp.example",
        account="acme",
        plan="time-and-volume@1",
        nas="demo-fleet/sim-127.96.0.1",
        acct_session_id="s1",
        address="100.64.0.1",
        started_at=AT,
        last_report_at=AT,
        seconds=123,
        octets_in=12_345_678,
        octets_out=123_456_789,
        charged_micros=1_234_567,
        reserved_micros=40_000,
        currency="EUR",
        cutting=False,
    )
    return Line(msgspec.structs.replace(plain, **view), left - 40_000, burn)


def happening(number: int, text: str = "demo-01: cut, proven by its Stop (exhausted)") -> Happening:
    """Something that happened in a second of its own."""
    return Happening(AT_MS + number * 1000, text)


def picture(**changes: Any) -> Picture:
    """A picture without sessions; `changes` as in Picture."""
    plain = Picture(
        elapsed_s=65.9,
        lines=[],
        happenings=[],
        records=12_345,
        records_per_second=14.4,
        commit_ms=2.34,
        lag_s=0.1,
        balance=9_494_999,
        reserved=1_200_000,
        cuts=17,
        payments=9,
    )
    return msgspec.structs.replace(plain, **changes)
