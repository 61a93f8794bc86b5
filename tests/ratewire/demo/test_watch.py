"""What the demo sees of the running system."""

import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import msgspec
import pytest
from aiohttp import web

from radius.records import AcctStatus
from ratewire.demo import watch
from ratewire.demo.payer import Paid
from ratewire.demo.stock import customers
from ratewire.demo.watch import Watch
from ratewire.wiring import System, now, now_ms
from tests.ratewire.demo.conftest import Office
from tests.ratewire.demo.pictures import line

METRICS = """
ratewire_radius_datagrams_total{{outcome="answered",port="acct",role="listener"}} {answered}
ratewire_radius_datagrams_total{{outcome="answered",port="auth",role="listener"}} 7
ratewire_radius_datagrams_total{{outcome="received",port="acct",role="listener"}} 999999
ratewire_stage_seconds_sum{{role="listener",stage="commit"}} {seconds}
ratewire_stage_seconds_count{{role="listener",stage="commit"}} {commits}
ratewire_stage_seconds_sum{{role="listener",stage="rate"}} 1000
ratewire_settlement_lag_seconds 1.5
"""

BOB = "demo-02@ratewire.example"


class Metrics:
    """An HTTP server with the metrics that a test puts there."""

    def __init__(self) -> None:
        self.answered = self.commits = 0
        self.seconds = 0.0
        self.url = ""
        self.status = 200

    async def answer(self, _: web.Request) -> web.Response:
        text = METRICS.format(answered=self.answered, seconds=self.seconds, commits=self.commits)
        return web.Response(text=text, status=self.status)


@pytest.fixture
async def metrics() -> AsyncIterator[Metrics]:
    """Metrics over HTTP."""
    made = Metrics()
    app = web.Application()
    app.router.add_get("/metrics", made.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    made.url = f"http://{host}:{port}/metrics"
    yield made
    await runner.cleanup()


@pytest.fixture
def watching(office: Office, metrics: Metrics) -> Watch:
    """A watch on the demo's system."""
    return Watch(office.system, customers(), metrics.url)


class Events:
    """Puts events of enforcement jobs into the ledger's side, as settlement does."""

    def __init__(self, system: System) -> None:
        self._system = system

    async def add(self, event: str, session: UUID | None = None, *, late_s: float = 1.0) -> None:
        """Something that happens so many seconds from now."""
        async with (await self._system.pool()).acquire() as conn:
            await conn.execute(
                "INSERT INTO enforcement_events (session_uid, account_id, session_key, cause,"
                " event, at, due_at, attempts, result, error_cause)"
                " VALUES ($1, 'demo-02', 'k', 'exhausted', $2, $3, $3, 1, 'ack', 0)",
                session or uuid4(),
                event,
                now() + timedelta(seconds=late_s),
            )


@pytest.fixture
def events(office: Office) -> Events:
    """Events of enforcement jobs."""
    return Events(office.system)


async def test_it_sees_sessions_what_they_burn_and_what_is_left(
    office: Office, watching: Watch, client: aiohttp.ClientSession
) -> None:
    began = time.time() - 60
    await office.report(AcctStatus.START, BOB, at=began)
    await office.report(AcctStatus.INTERIM, BOB, 30, 3_000_000, at=began + 30)
    first = await watching.look(client, [], 0)
    [seen] = first.lines
    assert (seen.view.user, seen.view.octets_out, seen.view.charged_micros) == (
        BOB,
        3_000_000,
        6_000,
    )
    assert (seen.burn, seen.lasts_s) == (None, None)

    await office.report(AcctStatus.INTERIM, BOB, 50, 5_000_000, at=began + 50)
    time.sleep(1.1)  # reports are told apart by the second in which they came
    await office.report(AcctStatus.INTERIM, BOB, 60, 6_000_000)
    [seen] = (await watching.look(client, [], 0)).lines
    assert seen.burn is not None
    assert seen.burn > 0
    # 60,000 were paid in; what is not used is reserved or available.
    assert seen.available + seen.view.reserved_micros == 60_000 - 12_000
    assert seen.lasts_s == 48_000 * 60 // seen.burn


async def test_money_is_that_of_all_customers(
    office: Office, watching: Watch, client: aiohttp.ClientSession
) -> None:
    await office.report(AcctStatus.START, BOB)
    seen = await watching.look(client, [], 0)
    accounts = [customer.account for customer in customers()]
    assert seen.balance == sum(await office.balances(*accounts))
    assert 0 < seen.reserved <= 60_000


async def test_rates_are_of_the_last_looks(
    metrics: Metrics, watching: Watch, client: aiohttp.ClientSession
) -> None:
    metrics.answered, metrics.seconds, metrics.commits = 1000, 10.0, 100
    first = await watching.look(client, [], 0)
    assert (first.records, first.records_per_second, first.commit_ms) == (1000, 0.0, None)
    assert first.lag_s == 1.5
    before = now_ms()
    time.sleep(0.2)
    metrics.answered, metrics.seconds, metrics.commits = 1040, 10.08, 120
    second = await watching.look(client, [], 0)
    assert second.records == 1040
    assert second.commit_ms == pytest.approx(4.0)
    elapsed = (now_ms() - before) / 1000
    assert 40 / (elapsed + 0.5) <= second.records_per_second <= 40 / 0.2


async def test_cuts_are_told_once_and_by_name(
    office: Office, watching: Watch, events: Events, client: aiohttp.ClientSession
) -> None:
    await office.report(AcctStatus.START, BOB)
    session = UUID((await watching.look(client, [], 0)).lines[0].view.session)
    await events.add("acknowledged", session)
    await events.add("proven", session, late_s=2)
    await events.add("cancelled", late_s=3)
    await events.add("refused", late_s=4)
    for _ in range(2):
        seen = await watching.look(client, [], 0)
        assert [each.text for each in seen.happenings] == [
            f"{BOB}: the NAS acknowledged the Disconnect-Request (exhausted)",
            f"{BOB}: cut, proven by its Stop (exhausted)",
            "demo-02: cut cancelled, credit is back",
            "demo-02: Disconnect refused ack",
        ]
        assert seen.cuts == 1


async def test_what_was_before_it_began_is_not_told(
    watching: Watch, events: Events, client: aiohttp.ClientSession
) -> None:
    await events.add("proven", late_s=-60)
    seen = await watching.look(client, [], 0)
    assert (seen.happenings, seen.cuts) == ([], 0)


async def test_many_events_are_all_counted_and_the_last_of_them_shown(
    watching: Watch, events: Events, client: aiohttp.ClientSession
) -> None:
    """Also when more of them come, look by look, than a picture has."""
    for batch in range(4):
        for number in range(70):
            await events.add("proven", late_s=batch + number / 100)
        assert (await watching.look(client, [], 0)).cuts == 70 * (batch + 1)
    seen = await watching.look(client, [], 0)
    assert seen.cuts == 280
    assert len(seen.happenings) == 100
    times = [each.at_ms for each in seen.happenings]
    assert times == sorted(times)


async def test_payments_are_told_among_the_events(
    watching: Watch, events: Events, client: aiohttp.ClientSession
) -> None:
    await events.add("proven", late_s=1)
    paid = [Paid(now_ms() + late_ms, "demo-09", 1_234_500) for late_ms in (0, 2000)]
    seen = await watching.look(client, paid, 77)
    assert [each.text.partition(":")[0] for each in seen.happenings] == [
        "demo-09",
        "demo-02",
        "demo-09",
    ]
    assert seen.happenings[0].text == "demo-09: paid 1.2345 EUR"
    assert seen.payments == 77


async def test_it_remembers_no_more_than_it_needs(
    office: Office,
    watching: Watch,
    client: aiohttp.ClientSession,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watch, "_USERS_KNOWN", 3)
    for number in range(6):
        session = f"short-{number}"
        await office.report(AcctStatus.START, BOB, session=session)
        await watching.look(client, [], 0)
        await office.report(AcctStatus.STOP, BOB, 1, 1000, session=session)
    await watching.look(client, [], 0)
    known: dict[str, Any] = vars(watching)
    assert len(known["_charged"]) == 0
    assert len(known["_users"]) == 3


@pytest.mark.parametrize("away", ["metrics", "store", "database"])
async def test_what_is_away_is_told_beside_the_last_picture(
    office: Office,
    metrics: Metrics,
    client: aiohttp.ClientSession,
    away: str,
) -> None:
    await office.report(AcctStatus.START, BOB)
    urls = office.system.urls
    if away == "store":
        urls = msgspec.structs.replace(urls, store="redis://127.0.0.1:1")
    elif away == "database":
        urls = msgspec.structs.replace(urls, database="postgresql://127.0.0.1:1/nobody")
    system = System(office.system.settings, urls)
    url = "http://127.0.0.1:1/metrics" if away == "metrics" else metrics.url
    seen = await Watch(system, customers(), url).look(client, [], 0)
    await system.close()
    assert seen.trouble
    assert (seen.lines, seen.records) == ([], 0)


async def test_after_trouble_it_goes_on(
    office: Office, metrics: Metrics, watching: Watch, client: aiohttp.ClientSession
) -> None:
    await office.report(AcctStatus.START, BOB)
    good = await watching.look(client, [], 0)
    metrics.status = 500
    bad = await watching.look(client, [], 0)
    assert bad.trouble
    assert bad.lines == good.lines
    assert bad.elapsed_s >= good.elapsed_s
    metrics.status = 200
    assert not (await watching.look(client, [], 0)).trouble


def test_credit_lasts_for_what_is_held_and_available_at_this_pace() -> None:
    assert line(left=90_000, burn=60_000).lasts_s == 90
    assert line(left=-1, burn=60_000).lasts_s == 0
    assert line(left=90_000, burn=0).lasts_s is None
    assert line(left=90_000, burn=None).lasts_s is None
