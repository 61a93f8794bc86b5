"""The listener role on real UDP: from the datagram to the money, and the end in good order."""

import asyncio

from prometheus_client import REGISTRY

from balances.connection import Connection
from balances.keys import session_key
from config.settings import Settings
from radius.requests import status_server, verify_response
from ratewire.roles import listener
from ratewire.wiring import System
from tests.ratewire.office import Office
from tests.ratewire.provider import SECRET
from tests.ratewire.roles.running import Speaker, eventually, running, start

MB = 1_000_000


def counted(outcome: str) -> float:
    labels = {"port": "acct", "outcome": outcome}
    return REGISTRY.get_sample_value("ratewire_radius_datagrams_total", labels) or 0


async def money(system: System) -> tuple[int, int]:
    [account] = await system.store.accounts(["acme"])
    assert account is not None
    return account.balance, account.reserved


async def test_an_answer_means_that_the_money_is_held(
    system: System, office: Office, speaker: Speaker, settings: Settings
) -> None:
    await office.subscribe(5 * MB)
    await office.add_nas()
    kinds = ("answered", "answered_status_server", "answered_duplicate")
    before = [counted(kind) for kind in kinds]
    async with running(lambda stop: listener.run(system, stop, 0)):
        await speaker.answered(start("warm-up", user="nobody"))
        request = speaker.account(start())
        reply = await speaker.reply()
        assert reply is not None
        assert verify_response(request, reply, secret=SECRET)
        assert await money(system) == (5 * MB, 40_000)
        speaker.send(request)
        assert await speaker.reply() == reply
        status = status_server(secret=SECRET, identifier=200)
        authentication = Speaker(settings.radius.auth_port)
        for port in (speaker, authentication):
            port.send(status)
            reply = await port.reply()
            assert reply is not None
            assert verify_response(status, reply, secret=SECRET)
        authentication.close()
    answered, status_servers, duplicates = [counted(kind) for kind in kinds]
    assert answered - before[0] >= 4
    assert status_servers - before[1] == 1
    assert duplicates - before[2] >= 1


async def test_a_nas_that_is_added_is_heeded_while_it_runs(
    system: System, office: Office, speaker: Speaker
) -> None:
    await office.subscribe(5 * MB)
    async with running(lambda stop: listener.run(system, stop, 0)):
        dropped = counted("dropped_unknown_client")

        async def is_dropped() -> bool:
            speaker.account(start())
            return await speaker.reply(0.05) is None and counted("dropped_unknown_client") > dropped

        await eventually(is_dropped)
        await office.add_nas()
        await speaker.answered(start())
    assert await money(system) == (5 * MB, 40_000)


async def test_what_is_not_genuine_is_dropped_and_counted_by_its_reason(
    system: System, office: Office, speaker: Speaker
) -> None:
    await office.add_nas()
    reasons = ("malformed", "bad_authenticator")
    before = [counted(f"dropped_{reason}") for reason in reasons]
    async with running(lambda stop: listener.run(system, stop, 0)):
        await speaker.answered(start(user="nobody"))
        while await speaker.reply(0.05) is not None:
            pass  # answers to what was sent twice
        speaker.send(b"")
        speaker.send(bytes(30))
        speaker.account(start("s2"), secret=b"another secret")
        assert await speaker.reply(0.1) is None
    dropped = [counted(f"dropped_{reason}") for reason in reasons]
    assert [after - sooner for after, sooner in zip(dropped, before, strict=True)] == [2, 1]


async def test_what_was_read_before_the_end_is_answered(
    system: System, office: Office, speaker: Speaker, connection: Connection
) -> None:
    """The store is slow; the listener is told to stop while it waits for it."""
    await office.subscribe(5 * MB)
    await office.add_nas()
    async with running(lambda stop: listener.run(system, stop, 0)) as stop:
        await speaker.answered(start("warm-up", user="nobody"))
        while await speaker.reply(0.05) is not None:
            pass  # answers to what was sent twice
        await connection.command("CLIENT", "PAUSE", 500, "WRITE")
        request = speaker.account(start())
        await asyncio.sleep(0.1)
        stop.set()
        reply = await speaker.reply()
        assert reply is not None
        assert verify_response(request, reply, secret=SECRET)
    key = session_key("pop1/bras", "s1")
    assert await system.listing.session(key) is not None
