"""What could not be rated is listed over HTTP."""

from balances.connection import Connection
from ratewire.wiring import System
from tests.ratewire.http.conftest import Client
from tests.ratewire.http.staff import Staff
from tests.ratewire.office import Office
from tests.ratewire.provider import START
from tests.ratewire.today import today


async def test_an_unknown_user_is_listed_once_settled(
    client: Client, system: System, office: Office, connection: Connection
) -> None:
    admin = await Staff.hired(client, system)
    await today(connection).told(START, session="x1", user="stranger")
    assert await (await system.settler()).settle_once(100)
    [found] = (await admin.ok("GET", "unrated?user=stranger"))["data"]
    assert (found["acct_session_id"], found["reason"]) == ("x1", "unknown_user")
    for nothing in ("unrated?user=other", "anomalies", "parked-entries"):
        assert (await admin.ok("GET", nothing))["data"] == []
