"""Who used how much: settled sessions, in total and by subscriber."""

import msgspec

from billing.database import Connection
from billing.statements import load

_SQL = load(__package__, "queries.sql")


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Sessions, what they used, and what that was charged.

    `charged_micros` is None if it was charged in several currencies, which are never summed;
    `charged_micros_by_currency` has each.
    """

    sessions: int
    octets_in: int
    octets_out: int
    seconds: int
    charged_micros: int | None
    charged_micros_by_currency: dict[str, int]


class SubscriberUsage(Usage, frozen=True, kw_only=True):
    """The usage of one user name."""

    username: str


class UsageReport(msgspec.Struct, frozen=True):
    """Usage by subscriber, in the order of their names, and of all of them together."""

    subscribers: list[SubscriberUsage]
    total: Usage


class _Sum:
    def __init__(self) -> None:
        self.sessions = self.octets_in = self.octets_out = self.seconds = 0
        self.charged: dict[str, int] = {}

    def add(self, other: "_Sum") -> None:
        self.sessions += other.sessions
        self.octets_in += other.octets_in
        self.octets_out += other.octets_out
        self.seconds += other.seconds
        for currency, micros in other.charged.items():
            self.charged[currency] = self.charged.get(currency, 0) + micros

    def figures(self) -> Usage:
        single = len(self.charged) <= 1
        return Usage(
            sessions=self.sessions,
            octets_in=self.octets_in,
            octets_out=self.octets_out,
            seconds=self.seconds,
            charged_micros=sum(self.charged.values()) if single else None,
            charged_micros_by_currency=self.charged,
        )


async def report(conn: Connection, username: str | None = None) -> UsageReport:
    """Return what has been settled, of one user name or of all.

    Closed sessions count with their final figures, open ones as far as they are settled.
    """
    by_user: dict[str, _Sum] = {}
    total = _Sum()
    for row in await conn.fetch(_SQL["usage_by_user"], username):
        part = _Sum()
        part.sessions = row["sessions"]
        part.octets_in, part.octets_out = int(row["octets_in"]), int(row["octets_out"])
        part.seconds = row["seconds"]
        part.charged = {row["currency"]: row["charged_micros"]}
        by_user.setdefault(row["username"], _Sum()).add(part)
        total.add(part)
    return UsageReport(
        [
            SubscriberUsage(username=name, **msgspec.structs.asdict(used.figures()))
            for name, used in by_user.items()
        ],
        total.figures(),
    )
