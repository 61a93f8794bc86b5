"""The sessions of an account or a subscriber, with why they cost what they cost."""

import msgspec

from billing.database import Connection
from billing.sessions.statement import sessions
from billing.settlement.consumer import Settler
from tests.billing.settlement.making import EVENT
from tests.billing.settlement.worker import Worker, interim, stop
from tests.billing.settlement.world import Desk


async def test_sessions_of_an_account_and_of_a_user(
    desk: Desk, worker: Worker, settler: Settler, conn: Connection
) -> None:
    """The newest so many, oldest first; open ones as far as they are settled."""
    await desk.open_account("a1", 10**9, users=["ann", "ben"])
    await desk.open_account("a2", 10**9, users=["cem"])
    await worker.report(interim("s-1", "ann", EVENT, 1_000_000, seconds=60))
    await worker.report(interim("s-2", "ben", EVENT, 2_000_000, seconds=60))
    await worker.report(interim("s-3", "cem", EVENT, 3_000_000, seconds=60))
    await worker.report(stop("s-1", "ann", EVENT + 60, 1_500_000, seconds=120))
    while await settler.settle_once(10):
        pass
    of_account = await sessions(conn, account="a1")
    assert [(s.acct_session_id, s.charged_micros, s.close_reason) for s in of_account] == [
        ("s-1", 3_000, "stop"),
        ("s-2", 4_000, None),
    ]
    for session in of_account:
        assert sum(line.amount_micros for line in session.lines) == session.charged_micros
    assert [s.username for s in await sessions(conn, username="cem")] == ["cem"]
    assert [s.acct_session_id for s in await sessions(conn, account="a1", limit=1)] == ["s-2"]
    assert await sessions(conn, account="nobody") == []
    sent = msgspec.json.decode(msgspec.json.encode(of_account))
    assert sent[0]["lines"][0]["amount_micros"] == 3_000
