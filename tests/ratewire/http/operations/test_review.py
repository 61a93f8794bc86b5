"""What could not be rated is listed over HTTP."""

from balances.connection import Connection
from ratewire.wiring import System
from tests.ratewire.http.conftest import Client
from tests.ratewire.http.staff import Staff
from tests.ratewire.office import Office
from tests.ratewire.provider import NAS, START, STOP
from tests.ratewire.today import today

MB = 1_000_000


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


async def test_sessions_leave_the_list_charged_or_written_off(
    client: Client, system: System, office: Office, connection: Connection
) -> None:
    admin = await Staff.hired(client, system)
    for session, user in (("x1", "stranger"), ("x2", "bob")):
        await today(connection).told(STOP, 60, 0, 100 * MB, session=session, user=user)
    assert await (await system.settler()).settle_once(100)
    await office.subscribe(5 * MB)
    gone = {"nas": NAS, "acct_session_id": "x1", "user": "stranger", "reason": "a test of ours"}
    off = await admin.ok("POST", "unrated/write-off", gone, key="w1")
    assert (off["octets_out"], off["acct_session_id"]) == (100 * MB, "x1")
    assert (await admin.says("POST", "unrated/write-off", gone)).status == 404
    [charged] = (await admin.ok("POST", "unrated/rerate", {"user": "bob"}))["data"]
    assert (charged["total"], charged["currency"], charged["refusal"]) == ("0.20", "EUR", None)
    assert (await admin.ok("GET", "unrated"))["data"] == []
    left = (await admin.ok("GET", "unrated/resolutions"))["data"]
    assert [each["outcome"] for each in left] == ["rerated", "written_off"]
    assert left[1]["reason"] == "a test of ours"
