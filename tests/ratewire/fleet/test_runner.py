"""The fleet on real sockets, against a tiny accounting server."""

import asyncio
import resource
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from radius import packet
from radius.dynauth import disconnect_request
from radius.packet import Code
from radius.profiles import CoaRules
from radius.records import AcctStatus
from ratewire.fleet import accounting, runner
from ratewire.fleet.network import Weather
from ratewire.fleet.runner import Fleet, FleetError, Scenario
from ratewire.fleet.summary import Summary
from tests.ratewire.fleet.loopback import bound, free_ground
from tests.ratewire.fleet.server import HOST, Server
from tests.ratewire.fleet.wire import DELAY_TIME, SECRET, number_in

USERS = tuple(f"user{number}" for number in range(6))

_RULES = CoaRules(port=3799, message_authenticator=True, event_timestamp=True)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """An accounting server."""
    made = Server()
    yield made
    made.go()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """NASes that retransmit after a fifth of a second, so that a test need not wait for two."""
    monkeypatch.setattr(accounting, "FIRST_RETRY_S", 0.2)
    return iter(())


def scenario(port: int, **changes: Any) -> Scenario:
    """A short while with a few busy subscribers."""
    first_address, coa_port = free_ground()
    made = Scenario(
        host=HOST,
        port=port,
        secret=SECRET,
        users=USERS,
        first_address=first_address,
        coa_port=coa_port,
        nases=4,
        interim=0.1,
        spread=0.3,
        seconds=0.6,
    )
    return msgspec.structs.replace(made, **changes)


async def run(made: Scenario, stop: asyncio.Event | None = None) -> Summary:
    """Run a fleet to its end."""
    return await Fleet(made).run(stop or asyncio.Event())


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def acknowledged(summary: Summary) -> tuple[int, int, int]:
    return summary.octets_in, summary.octets_out, summary.seconds


class TestRun:
    async def test_what_it_says_is_what_the_server_has(self, server: Server) -> None:
        made = scenario(server.port)
        summary = await run(made)
        assert summary.unanswered == 0
        assert summary.records == summary.acknowledged + summary.superseded == len(server.records)
        assert summary.starts == summary.stops == len(server.of(AcctStatus.STOP)) == len(USERS)
        assert summary.interims > len(USERS)
        assert acknowledged(summary) == server.highest()
        assert summary.octets_out > 0
        assert 600 <= summary.elapsed_ms < 3000
        assert (summary.nases, summary.users) == (4, len(USERS))
        # Each NAS has an address of its own, and says so.
        hosts = {host for host, _ in server.sources}
        prefix = made.first_address.removesuffix(".1")
        assert hosts == {f"{prefix}.{number}" for number in range(1, 5)}
        assert {record.nas for record in server.records} == {f"fleet/sim-{host}" for host in hosts}
        ons = [each for each in server.records if each.status == AcctStatus.ACCOUNTING_ON]
        assert {each.attributes.get(4) for each in ons} == set(map(socket.inet_aton, hosts))

    async def test_in_bad_weather_it_is_exact_all_the_same(self, server: Server) -> None:
        weather = Weather(loss=0.2, duplicates=0.2, reorder=0.2, detour_s=0.3)
        summary = await run(scenario(server.port, weather=weather, seconds=1.2))
        assert min(summary.lost, summary.duplicated, summary.delayed) > 0
        assert summary.retransmissions > 0
        assert (summary.unanswered, summary.bad_replies) == (0, 0)
        assert acknowledged(summary) == server.highest()
        assert len(server.datagrams) > len(set(server.datagrams))

    async def test_every_end_is_under_a_clear_sky(self, server: Server) -> None:
        """What is lost of the Stops is sent again and arrives, however bad the weather was."""
        summary = await run(scenario(server.port, weather=Weather(loss=0.9)))
        assert summary.unanswered == 0
        assert len(server.of(AcctStatus.STOP)) == len(USERS)
        assert summary.elapsed_ms < 8000
        assert acknowledged(summary) == server.highest()

    async def test_it_waits_for_a_server_that_is_away(self, server: Server) -> None:
        server.go()
        running = asyncio.create_task(run(scenario(server.port, delay_time=True, seconds=1.0)))
        await asyncio.sleep(0.5)
        server.come()
        summary = await running
        assert summary.unanswered == 0
        assert summary.retransmissions > 0
        assert acknowledged(summary) == server.highest()
        assert all(number_in(each, DELAY_TIME) < 2 for each in server.records)

    async def test_a_server_that_stays_away_is_not_waited_for_for_ever(
        self, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(runner, "LAST_ANSWERS_S", 0.4)
        monkeypatch.setattr(runner, "OFF_ANSWERS_S", 0.2)
        server.go()
        summary = await run(scenario(server.port, seconds=0.5))
        # Of each session the Start and the Stop wait, of each NAS its On and Off.
        assert summary.unanswered == 2 * len(USERS) + 2 * 4
        assert (summary.acknowledged, summary.octets_out) == (0, 0)

    async def test_it_ends_when_it_is_told(self, server: Server) -> None:
        stop = asyncio.Event()
        running = asyncio.create_task(run(scenario(server.port, seconds=None), stop))
        await asyncio.sleep(0.4)
        assert not running.done()
        stop.set()
        summary = await running
        assert summary.stops == summary.starts == len(USERS)
        assert server.records[-1].status == AcctStatus.ACCOUNTING_OFF

    async def test_what_the_system_does_not_send_is_told(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """From loopback there is no way to another network."""
        monkeypatch.setattr(runner, "LAST_ANSWERS_S", 0.2)
        monkeypatch.setattr(runner, "OFF_ANSWERS_S", 0.1)
        summary = await run(scenario(1813, host="192.0.2.1", seconds=0.2))
        assert summary.unsendable == summary.transmissions > 0
        assert summary.last_error

    async def test_a_clock_that_is_set_back_does_not_stop_it(
        self, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        running = asyncio.create_task(run(scenario(server.port, seconds=0.5)))
        await asyncio.sleep(0.2)
        wall = time.time
        monkeypatch.setattr(time, "time", lambda: wall() - 3600)
        async with asyncio.timeout(5):
            assert (await running).unanswered == 0


class TestCoaPort:
    async def test_a_disconnect_is_answered_and_obeyed(self, server: Server) -> None:
        made = scenario(server.port, nases=1, spread=0.0, seconds=None)
        stop = asyncio.Event()
        running = asyncio.create_task(run(made, stop))
        await asyncio.sleep(0.2)
        request = disconnect_request(
            ((1, USERS[0].encode()),),
            identifier=9,
            secret=SECRET,
            rules=_RULES,
            event_time=int(time.time()),
        )
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours:
            ours.setblocking(False)
            ours.bind((HOST, 0))
            for _ in range(2):
                ours.sendto(request, (made.first_address, made.coa_port))
                async with asyncio.timeout(5):
                    reply = await loop.sock_recv(ours, 4096)
                assert reply[0] == Code.DISCONNECT_ACK
                assert packet.verify_response(reply, request[4:20], SECRET)
        await asyncio.sleep(0.2)
        [cut] = server.of(AcctStatus.STOP)
        assert (cut.user_name, cut.terminate_cause) == (USERS[0], 6)
        stop.set()
        summary = await running
        assert (summary.disconnects, summary.disconnects_obeyed) == (1, 1)
        assert summary.disconnects_repeated == 1
        assert acknowledged(summary) == server.highest()


class TestGround:
    async def test_a_coa_port_that_is_taken_is_told(self) -> None:
        made = scenario(1)
        with ExitStack() as stack:
            bound(stack, made.first_address.removesuffix(".1") + ".3", made.coa_port)
            with pytest.raises(FleetError, match=rf"\.3 with CoA port {made.coa_port}: .* in use"):
                Fleet(made)
        before = open_files()
        with ExitStack() as stack:
            bound(stack, made.first_address, made.coa_port)
            with pytest.raises(FleetError):
                Fleet(made)
        assert open_files() == before

    async def test_an_address_that_is_not_ours_is_told(self) -> None:
        told = r"192\.0\.2\.1: Cannot assign .* must be this machine's"
        with pytest.raises(FleetError, match=told):
            Fleet(scenario(1, first_address="192.0.2.1"))

    async def test_more_nases_than_files_may_be_open_are_told(self) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        made = scenario(1)
        resource.setrlimit(resource.RLIMIT_NOFILE, (open_files() + 2, hard))
        try:
            with pytest.raises(FleetError, match="ulimit -n"):
                Fleet(made)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    async def test_two_fleets_on_addresses_of_their_own_do_not_meet(self, server: Server) -> None:
        one, other = await asyncio.gather(run(scenario(server.port)), run(scenario(server.port)))
        assert one.unanswered == other.unanswered == one.bad_replies == other.bad_replies == 0
        assert len(server.of(AcctStatus.STOP)) == 2 * len(USERS)
        sums = [a + b for a, b in zip(acknowledged(one), acknowledged(other), strict=True)]
        assert tuple(sums) == server.highest()
