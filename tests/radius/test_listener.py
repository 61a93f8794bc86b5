"""The listener on a real loopback socket, with clients that we did not write."""

import asyncio
import logging
import shutil
import socket
import subprocess
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pyrad.client import Client, Timeout

from radius.dictionary import load_dictionary
from radius.engine import Engine, Request
from radius.listener import Listener
from radius.packet import Code
from radius.records import AcctStatus
from radius.requests import status_server, verify_response
from tests.radius.datagrams import INTERIM, SECRET, START, STOP, clients, encode
from tests.radius.loops import Run

Handler = Callable[[Sequence[Request]], Awaitable[Sequence[Request]]]


@asynccontextmanager
async def listening(
    handler: Handler,
    *,
    bind: str = "127.0.0.1",
    **options: Any,
) -> AsyncGenerator[Listener[Request]]:
    engine = Engine(clients("127.0.0.0/8", "::1"))
    listener = Listener(engine, handler, bind=bind, port=0, **options)
    listener.start()
    try:
        yield listener
    finally:
        await listener.close()


async def durable(requests: Sequence[Request]) -> Sequence[Request]:
    return requests


class Nas:
    """A NAS's socket, connected to the listener."""

    def __init__(self, listener: Listener[Request], host: str = "127.0.0.1") -> None:
        self._socket = socket.socket(
            socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM
        )
        self._socket.setblocking(False)
        self._socket.connect((host, listener.port))

    def __enter__(self) -> "Nas":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, *datagrams: bytes) -> None:
        for datagram in datagrams:
            self._socket.send(datagram)

    async def receive(self) -> bytes:
        return await asyncio.get_running_loop().sock_recv(self._socket, 4096)

    def silent(self) -> bool:
        """Whether nothing is waiting to be received."""
        try:
            self._socket.recv(4096)
        except BlockingIOError:
            return True
        return False

    def at_hand(self) -> bytes | None:
        """What has been received already, if anything."""
        try:
            return self._socket.recv(4096)
        except BlockingIOError:
            return None

    async def ask(self, datagram: bytes) -> bytes:
        self.send(datagram)
        return await self.receive()


class PyradClient(Client):
    """pyrad's blocking client, closed at the end, which it offers no public way to."""

    def __init__(
        self,
        port: int,
        *,
        secret: bytes = SECRET,
        retries: int = 1,
        timeout_seconds: float = 10,
    ) -> None:
        super().__init__(
            "127.0.0.1",
            acctport=port,
            secret=secret,
            dict=load_dictionary(),
            retries=retries,
            timeout=timeout_seconds,
        )

    def __enter__(self) -> "PyradClient":
        return self

    def __exit__(self, *_: object) -> None:
        self._CloseSocket()

    def account(self, attributes: dict[str, Any]) -> int:
        """Send an Accounting-Request; the code of the reply."""
        request = self.CreateAcctPacket()
        for name, value in attributes.items():
            request.AddAttribute(name, value)
        return self.SendPacket(request).code


class HeldHandler:
    """Hands its batches to the test and waits until the test says what is durable."""

    def __init__(self) -> None:
        self.batches: asyncio.Queue[Sequence[Request]] = asyncio.Queue()
        self.verdicts: asyncio.Queue[bool | Exception] = asyncio.Queue()

    async def __call__(self, requests: Sequence[Request]) -> Sequence[Request]:
        await self.batches.put(requests)
        verdict = await self.verdicts.get()
        if isinstance(verdict, Exception):
            raise verdict
        return requests if verdict else ()


class TestAnswers:
    @pytest.mark.parametrize(
        ("bind", "host"),
        [
            ("127.0.0.1", "127.0.0.1"),
            ("0.0.0.0", "127.0.0.3"),
            ("::1", "::1"),
            ("::", "::1"),
        ],
    )
    def test_a_durable_record_is_answered_from_where_it_was_asked(
        self, run: Run, bind: str, host: str
    ) -> None:
        async def scenario() -> None:
            async with listening(durable, bind=bind) as listener:
                with Nas(listener, host) as nas:
                    reply = await nas.ask(encode())
                assert verify_response(encode(), reply, secret=SECRET)
                assert listener.stats.replies == 1

        run(scenario())

    def test_only_what_the_handler_returns_is_answered(self, run: Run) -> None:
        async def every_other(requests: Sequence[Request]) -> Sequence[Request]:
            return [request for request in requests if request.identifier % 2]

        async def scenario() -> None:
            async with listening(every_other) as listener:
                with Nas(listener) as nas:
                    for identifier in range(4):
                        nas.send(encode(identifier=identifier))
                    replies = {(await nas.receive())[1] for _ in range(2)}
                    assert replies == {1, 3}
                    # What was not answered is new when it comes again.
                    nas.send(encode(identifier=2), encode(identifier=5))
                    assert (await nas.receive())[1] == 5
                    assert nas.silent()
                assert listener.engine.drops == {}

        run(scenario())

    def test_status_server_is_answered(self, run: Run) -> None:
        async def scenario() -> None:
            async with listening(durable) as listener:
                with Nas(listener) as nas:
                    request = status_server(secret=SECRET, identifier=1)
                    reply = await nas.ask(request)
            assert reply[0] == Code.ACCOUNTING_RESPONSE
            assert verify_response(request, reply, secret=SECRET)

        run(scenario())


class TestBurst:
    DEFAULT_OCTETS = 212_992  # net.core.rmem_default
    BURST = 5_000

    def test_5000_interims_in_a_second_on_a_default_buffer_are_all_answered(self, run: Run) -> None:
        """What the kernel drops is counted, and answered when the NASes send it again."""

        async def scenario() -> None:
            async with listening(durable, recv_buffer_octets=self.DEFAULT_OCTETS) as listener:
                nases = [Nas(listener) for _ in range(20)]
                waiting = {
                    (port, identifier): encode(
                        INTERIM | {"Acct-Session-Id": f"{port}-{identifier}"}, identifier=identifier
                    )
                    for port in range(20)
                    for identifier in range(250)
                }
                assert len(waiting) == self.BURST
                sent = 0
                for _ in range(20):
                    sent += len(waiting)
                    await self._send(nases, waiting)
                    if not waiting:
                        break
                assert not waiting
                await asyncio.sleep(0.05)
                drops = listener.kernel_drops() or 0
                assert listener.stats.datagrams + drops == sent
                for nas in nases:
                    nas.__exit__()

        run(scenario())

    async def _send(self, nases: list[Nas], waiting: dict[tuple[int, int], bytes]) -> None:
        """Send what waits within a second, and take away what is answered."""
        pending = list(waiting.items())
        for first in range(0, len(pending), 50):
            for (port, _), datagram in pending[first : first + 50]:
                nases[port].send(datagram)
            await asyncio.sleep(0.01)
            self._collect(nases, waiting)
        await asyncio.sleep(0.2)
        self._collect(nases, waiting)

    @staticmethod
    def _collect(nases: list[Nas], waiting: dict[tuple[int, int], bytes]) -> None:
        for port, nas in enumerate(nases):
            while (reply := nas.at_hand()) is not None:
                waiting.pop((port, reply[1]), None)


class TestRetransmission:
    def test_in_flight_it_is_dropped_and_later_gets_the_same_reply(self, run: Run) -> None:
        async def scenario() -> None:
            handler = HeldHandler()
            async with listening(handler) as listener:
                with Nas(listener) as nas:
                    nas.send(encode())
                    assert len(await handler.batches.get()) == 1
                    nas.send(encode(), encode(identifier=2))
                    # The second request shows that the duplicate before it was read.
                    (other,) = await handler.batches.get()
                    assert other.identifier == 2
                    assert listener.engine.drops == {"duplicate_in_flight": 1}
                    handler.verdicts.put_nowait(True)
                    reply = await nas.receive()
                    assert await nas.ask(encode()) == reply
                    handler.verdicts.put_nowait(True)
                    await nas.receive()
                assert listener.engine.answers == {"duplicate": 1}
                assert listener.stats.batches == 2

        run(scenario())

    def test_after_a_failed_batch_it_is_processed_anew(
        self, run: Run, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def scenario() -> None:
            handler = HeldHandler()
            async with listening(handler) as listener:
                with Nas(listener) as nas:
                    handler.verdicts.put_nowait(RuntimeError("the store is gone"))
                    nas.send(encode())
                    await handler.batches.get()
                    handler.verdicts.put_nowait(True)
                    # Again until the failure has run its course.
                    reply = None
                    while reply is None:
                        nas.send(encode())
                        try:
                            reply = await asyncio.wait_for(nas.receive(), 0.05)
                        except TimeoutError:
                            continue
                assert verify_response(encode(), reply, secret=SECRET)
                assert listener.stats.failed_batches == 1

        run(scenario())
        assert "the store is gone" in caplog.text
        assert SECRET.decode() not in caplog.text


class TestBackPressure:
    def test_beyond_the_batches_in_flight_the_socket_is_not_read(self, run: Run) -> None:
        async def scenario() -> None:
            handler = HeldHandler()
            async with listening(handler, batch=3, in_flight=2) as listener:
                with Nas(listener) as nas:
                    nas.send(*(encode(identifier=number) for number in range(10)))
                    first, second = [await handler.batches.get() for _ in range(2)]
                    assert [len(first), len(second)] == [3, 3]
                    assert listener.batches_in_flight == 2
                    assert listener.stats.datagrams == 6, "four are left to the kernel"
                    for _ in range(4):
                        handler.verdicts.put_nowait(True)
                    replies = {(await nas.receive())[1] for _ in range(10)}
                    assert replies == set(range(10))
                assert listener.stats.batches == 4
                assert listener.stats.pauses >= 2
                assert listener.kernel_drops() == 0

        run(scenario())

    def test_what_the_kernel_drops_meanwhile_is_visible(self, run: Run) -> None:
        async def scenario() -> None:
            handler = HeldHandler()
            async with listening(handler, in_flight=1, recv_buffer_octets=16_384) as listener:
                with Nas(listener) as nas:
                    nas.send(encode())
                    await handler.batches.get()
                    datagram = encode(identifier=2)
                    nas.send(*[datagram] * 500)
                    dropped = listener.kernel_drops()
                    assert dropped is not None
                    assert 0 < dropped < 500
                    handler.verdicts.put_nowait(True)
                    handler.verdicts.put_nowait(True)
                    assert {(await nas.receive())[1] for _ in range(2)} == {1, 2}

        run(scenario())

    def test_a_buffer_smaller_than_asked_is_said(
        self, run: Run, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def scenario() -> None:
            # More than any kernel grants: it takes at most half of 2^31 octets.
            async with listening(durable, recv_buffer_octets=2**31 - 1) as listener:
                assert listener.granted_recv_buffer_octets < 2**31 - 1

        with caplog.at_level(logging.WARNING):
            run(scenario())
        assert "raise net.core.rmem_max" in caplog.text


class TestClose:
    def test_batches_in_flight_are_finished_and_answered(self, run: Run) -> None:
        async def scenario() -> None:
            handler = HeldHandler()
            async with listening(handler) as listener:
                with Nas(listener) as nas:
                    nas.send(encode())
                    await handler.batches.get()
                    closing = asyncio.create_task(listener.close())
                    await asyncio.sleep(0)
                    handler.verdicts.put_nowait(True)
                    await closing
                    assert verify_response(encode(), await nas.receive(), secret=SECRET)

        run(scenario())

    def test_a_batch_that_takes_too_long_is_abandoned(self, run: Run) -> None:
        async def scenario() -> None:
            handler = HeldHandler()
            async with listening(handler) as listener:
                with Nas(listener) as nas:
                    nas.send(encode())
                    await handler.batches.get()
                    await listener.close(timeout_seconds=0.01)
                    assert nas.silent()
                assert listener.engine.requests_remembered == 0
                await listener.close()

        run(scenario())

    def test_closing_twice_at_once_does_no_harm(self, run: Run) -> None:
        async def scenario() -> None:
            handler = HeldHandler()
            async with listening(handler) as listener:
                with Nas(listener) as nas:
                    nas.send(encode())
                    await handler.batches.get()
                    closing = [asyncio.create_task(listener.close()) for _ in range(2)]
                    handler.verdicts.put_nowait(True)
                    await asyncio.gather(*closing)
                    assert await nas.receive()
                assert listener.kernel_drops() is None

        run(scenario())

    def test_the_port_is_free_again(self, run: Run) -> None:
        async def scenario() -> None:
            async with listening(durable) as listener:
                port = listener.port
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
                other.bind(("127.0.0.1", port))

        run(scenario())


class TestFaultLog:
    def test_a_flood_of_one_fault_is_told_once_a_minute(
        self, run: Run, caplog: pytest.LogCaptureFixture
    ) -> None:
        now_ms = [1_700_000_000_000]

        async def scenario() -> None:
            async with listening(durable, now_ms=lambda: now_ms[0]) as listener:
                with Nas(listener) as nas:
                    nas.send(*[encode(secret=b"other")] * 5)
                    await nas.ask(encode(identifier=1))
                    now_ms[0] += 60_000
                    nas.send(encode(secret=b"other"))
                    await nas.ask(encode(identifier=2))
                assert listener.engine.drops == {"bad_authenticator": 6}

        with caplog.at_level(logging.WARNING):
            run(scenario())
        told = [record.getMessage() for record in caplog.records]
        assert len(told) == 2
        assert "Request Authenticator wrong" in told[0]
        assert "4 more since last told" in told[1]


class TestForeignClients:
    def test_pyrads_client_is_served(self, run: Run) -> None:
        """It verifies the replies itself, and raises Timeout without one."""
        seen: list[int] = []

        async def handler(requests: Sequence[Request]) -> Sequence[Request]:
            seen.extend(request.record.status for request in requests)
            return requests

        def session(port: int) -> list[int]:
            with PyradClient(port) as nas:
                codes = [nas.account(attributes) for attributes in (START, INTERIM, STOP)]
                status = nas.CreateAcctPacket(code=Code.STATUS_SERVER)
                return [*codes, nas.SendPacket(status).code]

        async def scenario() -> None:
            async with listening(handler) as listener:
                codes = await asyncio.to_thread(session, listener.port)
            assert codes == [Code.ACCOUNTING_RESPONSE] * 4

        run(scenario())
        assert seen == [AcctStatus.START, AcctStatus.INTERIM, AcctStatus.STOP]

    def test_pyrads_client_retransmits_until_the_record_is_durable(self, run: Run) -> None:
        attempts: list[int] = []

        async def durable_at_the_third(requests: Sequence[Request]) -> Sequence[Request]:
            attempts.append(len(requests))
            return requests if len(attempts) == 3 else ()

        def stop(port: int) -> int:
            with PyradClient(port, retries=100, timeout_seconds=0.05) as nas:
                return nas.account(STOP)

        async def scenario() -> None:
            async with listening(durable_at_the_third) as listener:
                code = await asyncio.to_thread(stop, listener.port)
            assert code == Code.ACCOUNTING_RESPONSE

        run(scenario())
        assert attempts[:3] == [1, 1, 1]

    def test_pyrads_client_with_another_secret_hears_nothing(self, run: Run) -> None:
        def start(port: int) -> None:
            with (
                PyradClient(port, secret=b"other", retries=1, timeout_seconds=0.05) as nas,
                pytest.raises(Timeout),
            ):
                nas.account(START)

        async def scenario() -> None:
            async with listening(durable) as listener:
                await asyncio.to_thread(start, listener.port)
                assert listener.engine.drops == {"bad_authenticator": 1}

        run(scenario())

    @pytest.mark.skipif(shutil.which("radclient") is None, reason="radclient is not installed")
    @pytest.mark.parametrize("bind", ["127.0.0.1", "0.0.0.0"])
    def test_radclient_is_served(self, run: Run, bind: str) -> None:
        """A Start, an Interim with Gigawords, a Stop and a Status-Server from FreeRADIUS's tool."""
        seen: list[tuple[int, int | None, int | None]] = []
        common = 'User-Name = "u", Acct-Session-Id = "s", NAS-IP-Address = 127.0.0.1'
        counters = "Acct-Input-Octets = 5, Acct-Input-Gigawords = 2, Acct-Output-Octets = 7"

        async def handler(requests: Sequence[Request]) -> Sequence[Request]:
            for request in requests:
                record = request.record
                seen.append((record.status, record.octets_in, record.octets_out))
            return requests

        def radclient(port: int, command: str, packet: str) -> str:
            done = subprocess.run(
                ["radclient", "-x", "-r", "1", "-t", "5", f"127.0.0.1:{port}", command, SECRET],
                input=packet.encode(),
                capture_output=True,
                check=False,
            )
            return done.stdout.decode() + done.stderr.decode()

        async def scenario() -> None:
            async with listening(handler, bind=bind) as listener:
                for command, packet in (
                    ("acct", f"{common}, Acct-Status-Type = Start"),
                    ("acct", f"{common}, {counters}, Acct-Status-Type = Interim-Update"),
                    ("acct", f"{common}, {counters}, Acct-Status-Type = Stop"),
                    ("status", "Message-Authenticator = 0x00"),
                ):
                    said = await asyncio.to_thread(radclient, listener.port, command, packet)
                    assert "Received Accounting-Response" in said, said

        run(scenario())
        in_octets = (2 << 32) + 5
        assert seen == [(1, None, None), (3, in_octets, 7), (2, in_octets, 7)]
