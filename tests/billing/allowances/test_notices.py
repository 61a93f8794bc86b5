"""A threshold is noted once in a period, however often it is told."""

import pytest

from balances.entries import Noticed
from billing.allowances.notices import notices
from billing.database import Connection
from rating.threshold import Crossing
from tests.billing.settlement.booked import open_accounts, settle_items
from tests.billing.settlement.making import AT_MS, EVENT


@pytest.fixture(autouse=True)
async def accounts(conn: Connection) -> None:
    await open_accounts(conn)


def noticed(*places: int, account: str = "alice", since: int = EVENT) -> Noticed:
    crossed = tuple(Crossing("data", "", 1, since, "octets", 1000, at, at - 5) for at in places)
    return Noticed(account, AT_MS, "bundle", "ann", crossed)


async def test_a_threshold_is_noted_once_in_a_period(conn: Connection) -> None:
    await settle_items(conn, noticed(500, 200), noticed(500))
    await settle_items(conn, noticed(500), noticed(200, since=EVENT + 86_400))
    await settle_items(conn, noticed(200, account="bob"))
    found = await notices(conn, "alice", limit=10)
    assert sorted((each.since.timestamp(), each.threshold, each.remaining) for each in found) == [
        (EVENT, 200, 195),
        (EVENT, 500, 495),
        (EVENT + 86_400, 200, 195),
    ]
    assert {(each.username, each.owner, each.unit, each.amount) for each in found} == {
        ("ann", None, "octets", 1000)
    }
    assert len(await notices(conn, limit=10)) == 4
    assert len(await notices(conn, limit=2)) == 2
