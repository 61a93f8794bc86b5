"""Sessions are cut, and NASes come and go, over HTTP."""

from balances.connection import Connection
from ratewire.wiring import System
from tests.ratewire.http.conftest import Client
from tests.ratewire.http.staff import Staff
from tests.ratewire.office import Office
from tests.ratewire.provider import START
from tests.ratewire.today import today


async def test_a_session_is_cut(
    client: Client, system: System, office: Office, connection: Connection
) -> None:
    admin = await Staff.hired(client, system)
    await office.subscribe(5_000_000)
    await today(connection).told(START, session="bob's")
    [open_] = (await admin.ok("GET", "sessions"))["data"]
    cut = await admin.says("POST", f"sessions/{open_['session']}/disconnect")
    assert (cut.status, cut.body) == (202, {"session": open_["session"]})
    [job] = (await admin.ok("GET", "enforcement-jobs"))["data"]
    assert (job["cause"], job["session"]) == ("operator", open_["session"])
    assert (await admin.says("POST", "sessions/00/disconnect")).status == 404


async def test_a_nas_comes_and_goes(client: Client, system: System) -> None:
    admin = await Staff.hired(client, system)
    new = {"name": "ber1", "source": "192.0.2.1", "secret": "not telling"}
    made = await admin.ok("POST", "nas", new)
    assert "secret" not in made
    assert made["name"] in [each["name"] for each in (await admin.ok("GET", "nas"))["data"]]
    assert (await admin.says("POST", "nas", new)).status == 409
    assert (await admin.says("DELETE", "nas/ber1")).status == 204
    assert (await admin.says("DELETE", "nas/ber1")).status == 404


async def test_all_sessions_of_a_user_are_changed_and_cut(
    client: Client, system: System, office: Office, connection: Connection
) -> None:
    admin = await Staff.hired(client, system)
    await office.subscribe(5_000_000)
    await today(connection).told(START, session="one")
    await today(connection).told(START, session="two")
    change = {"user": "bob", "action": "throttle", "wanted": "1000/500"}
    asked = await admin.says("POST", "sessions/change", change)
    assert asked.status == 202
    jobs = (await admin.ok("GET", "enforcement-jobs"))["data"]
    assert sorted(job["session"] for job in jobs) == sorted(asked.body["sessions"])
    assert {(job["action"], job["treatment"], job["wanted"]) for job in jobs} == {
        ("throttle", "throttle", "1000/500")
    }
    wrong = await admin.says("POST", "sessions/change", change | {"wanted": "fast"})
    assert wrong.status in (400, 422)
    assert (await admin.says("POST", "sessions/disconnect", {"nas": "pop9"})).status == 404
    cut = await admin.says("POST", "sessions/disconnect", {"nas": "pop1"})
    assert len(cut.body["sessions"]) == 2


async def test_a_subscriber_is_suspended_and_resumed(
    client: Client, system: System, office: Office, connection: Connection
) -> None:
    admin = await Staff.hired(client, system)
    await office.subscribe(5_000_000)
    await today(connection).told(START)
    assert (await admin.ok("POST", "subscribers/bob/suspend"))["suspended"]
    [job] = (await admin.ok("GET", "enforcement-jobs"))["data"]
    assert job["action"] == "cut"
    assert (await admin.says("POST", "subscribers/bob/suspend")).status == 409
    assert not (await admin.ok("POST", "subscribers/bob/resume"))["suspended"]
