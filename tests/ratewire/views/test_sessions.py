"""Open sessions as people see them."""

from datetime import UTC, datetime

from structlog.testing import capture_logs

from ratewire.views.sessions import session_views
from ratewire.wiring import System
from tests.ratewire.office import Office
from tests.ratewire.provider import INTERIM, NAS, START, STOP, Provider

MB = 1_000_000


async def test_a_session_is_shown_as_it_is_charged(
    system: System, office: Office, provider: Provider
) -> None:
    await office.subscribe(5 * MB)
    begun = provider.clock() // 1000
    address = {8: bytes((198, 51, 100, 7)), 1: b"bob", 44: b"a|b", 32: b"bras"}
    await provider.told(START, session="a|b", attributes=address)
    provider.world.pass_ms(60_000)
    await provider.told(INTERIM, 60, MB, 100 * MB, session="a|b")
    [view] = await session_views(system, user=None, limit=10)
    stored = await provider.session("a|b")
    assert view.session == stored.uid.hex()
    assert (view.user, view.account, view.plan, view.currency) == (
        "bob",
        "acme",
        "metered@1",
        "EUR",
    )
    assert (view.nas, view.acct_session_id, view.address) == (NAS, "a|b", "198.51.100.7")
    assert view.started_at == datetime.fromtimestamp(begun, UTC)
    assert view.last_report == begun + 60
    assert (view.seconds, view.octets_in, view.octets_out) == (60, MB, 100 * MB)
    assert (view.charged_micros, view.reserved_micros) == (202_000, stored.held)
    assert not view.cutting


async def test_the_latest_reports_come_first_and_closed_sessions_not_at_all(
    system: System, office: Office, provider: Provider
) -> None:
    await office.subscribe(5 * MB)
    for name in ("first", "second", "third", "closed"):
        await provider.told(START, session=name)
        provider.world.pass_ms(1000)
    await provider.told(STOP, 1, 0, 0, session="closed")
    shown = [view.acct_session_id for view in await session_views(system, user=None, limit=10)]
    assert shown == ["third", "second", "first"]
    assert len(await session_views(system, user=None, limit=2)) == 2


async def test_those_of_one_user(system: System, office: Office, provider: Provider) -> None:
    await office.subscribe(5 * MB)
    await office.subscribe(5 * MB, user="eve", account="evil")
    await provider.told(START, session="bob's")
    await provider.told(START, session="eve's", user="eve")
    for user, shown in (("bob", ["bob's"]), ("eve", ["eve's"]), ("nobody", []), ("", [])):
        views = await session_views(system, user=user, limit=10)
        assert [view.acct_session_id for view in views] == shown


async def test_one_that_is_not_understood_hides_no_other(
    system: System, office: Office, provider: Provider
) -> None:
    await office.subscribe(5 * MB)
    await provider.told(START)
    await provider.world.book(f"{NAS}|bad", "acme", nas=NAS, state=b"\xc1")
    with capture_logs() as lines:
        views = await session_views(system, user=None, limit=10)
    assert [view.acct_session_id for view in views] == ["s1"]
    assert [line["session"] for line in lines] == [f"{NAS}|bad"]
