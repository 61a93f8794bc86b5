"""What must be equal, whoever died: what was charged, what is recorded, what is posted."""

import msgspec

from billing.database import Connection


class Sums(msgspec.Struct, frozen=True):
    """Charges in three places, in micros, and how many usage records there are."""

    records: int
    recorded: int
    customers: int
    revenue: int


async def sums(conn: Connection) -> Sums:
    """Return the sums over all that was settled."""
    row = await conn.fetchrow(
        "SELECT (SELECT count(*) FROM usage_records) AS records,"
        " (SELECT coalesce(sum(charged_micros), 0)::bigint FROM usage_records) AS recorded,"
        " coalesce(sum(amount_micros) FILTER (WHERE ledger IN (20, 22)), 0)::bigint AS customers,"
        " coalesce(-sum(amount_micros) FILTER (WHERE ledger = 30), 0)::bigint AS revenue"
        " FROM ledger_postings JOIN billing_transactions USING (transaction_id)"
        " WHERE kind = 'usage'"
    )
    assert row is not None
    return Sums(row["records"], row["recorded"], row["customers"], row["revenue"])


async def assert_settled_once(conn: Connection, *, charged: int, records: int) -> None:
    """Assert that what was charged is recorded and posted, exactly once."""
    settled, expected = await sums(conn), Sums(records, charged, charged, charged)
    assert settled == expected, f"{settled}, expected {expected}"
