"""Disconnect over real UDP, against a small NAS that reads and answers with pyrad."""

import asyncio
import random
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import cast

import pytest

from radius.dynauth import Exchange, Outcome, Timers, Verdict, disconnect_request
from radius.dynauth_client import send
from radius.profiles import CoaRules
from radius.requests import dynamic_reply, read_dynamic_request
from tests.radius.datagrams import NOW, SECRET
from tests.radius.loops import Run

RULES = CoaRules(port=3799, message_authenticator=True, event_timestamp=True)
# The shape of the RFC's timers, a hundred times as fast, and three transmissions.
FAST = Timers(initial_ms=20, maximum_ms=160, transmissions=3, duration_ms=300)

Behaviour = Callable[[int, bytes], list[bytes]]
"""How the NAS answers its nth datagram (from 1): with these."""


def exchange(timers: Timers = FAST) -> Exchange:
    request = disconnect_request(
        ((1, b"user"), (44, b"s1")), identifier=7, secret=SECRET, rules=RULES, event_time=NOW
    )
    return Exchange(request, SECRET, random.Random(3), timers)


class Nas(asyncio.DatagramProtocol):
    """Takes Disconnect-Requests that verify, and does as it is told."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.requests: list[bytes] = []
        self.sources: list[tuple[str, int]] = []
        self.port = 0
        self._behaviour = behaviour

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        assert read_dynamic_request(data, secret=SECRET) is not None
        self.requests.append(data)
        self.sources.append(addr)
        for answer in self._behaviour(len(self.requests), data):
            self.reply(answer, addr)

    def reply(self, datagram: bytes, address: tuple[str, int]) -> None:
        self._transport.sendto(datagram, address)

    def close(self) -> None:
        self._transport.close()


@asynccontextmanager
async def nas(behaviour: Behaviour, host: str = "127.0.0.1") -> AsyncGenerator[Nas]:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(
        lambda: Nas(behaviour), local_addr=(host, 0)
    )
    try:
        yield protocol
    finally:
        transport.close()


def ack(_: int, request: bytes) -> list[bytes]:
    return [dynamic_reply(request, secret=SECRET, ack=True)]


def silence(_: int, __: bytes) -> list[bytes]:
    return []


async def cause_holds() -> bool:
    return True


class TestReplies:
    @pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
    def test_an_ack_ends_the_exchange(self, run: Run, host: str) -> None:
        async def scenario() -> None:
            async with nas(ack, host) as peer:
                target = (host, peer.port)
                verdict = await send(target, exchange(), before_transmit=cause_holds)
                assert verdict == Verdict(Outcome.ACK, 1)
                assert len(peer.requests) == 1

        run(scenario())

    @pytest.mark.parametrize("cause", [401, 403, 503, None])
    def test_a_nak_brings_its_cause(self, run: Run, cause: int | None) -> None:
        def refuse(_: int, request: bytes) -> list[bytes]:
            return [dynamic_reply(request, secret=SECRET, ack=False, error_cause=cause)]

        async def scenario() -> None:
            async with nas(refuse) as peer:
                target = ("127.0.0.1", peer.port)
                verdict = await send(target, exchange(), before_transmit=cause_holds)
                assert verdict == Verdict(Outcome.NAK, 1, cause)

        run(scenario())

    def test_a_nas_that_loses_two_requests_gets_the_same_octets_thrice(self, run: Run) -> None:
        async def scenario() -> None:
            async with nas(lambda n, request: ack(n, request) if n == 3 else []) as peer:
                target = ("127.0.0.1", peer.port)
                verdict = await send(target, exchange(), before_transmit=cause_holds)
                assert verdict == Verdict(Outcome.ACK, 3)
                assert len(peer.requests) == 3
                assert len(set(peer.requests)) == 1
                assert len(set(peer.sources)) == 1, "one source port for the exchange"

        run(scenario())

    def test_a_silent_nas_is_given_up(self, run: Run) -> None:
        async def scenario() -> None:
            async with nas(silence) as peer:
                target = ("127.0.0.1", peer.port)
                verdict = await send(target, exchange(), before_transmit=cause_holds)
                assert verdict == Verdict(Outcome.TIMED_OUT, 3)
                assert len(peer.requests) == 3

        run(scenario())

    def test_replies_under_another_secret_are_passed_over(self, run: Run) -> None:
        def forged_then_right(_: int, request: bytes) -> list[bytes]:
            forged = dynamic_reply(request, secret=b"other", ack=False, error_cause=503)
            return [forged, b"junk", *ack(1, request)]

        async def scenario() -> None:
            async with nas(forged_then_right) as peer:
                found = exchange()
                verdict = await send(("127.0.0.1", peer.port), found, before_transmit=cause_holds)
                assert verdict == Verdict(Outcome.ACK, 1)
                assert found.ignored == {"bad_authenticator": 1, "malformed": 1}

        run(scenario())

    def test_a_nas_with_another_secret_is_as_good_as_silent(self, run: Run) -> None:
        def forged(_: int, request: bytes) -> list[bytes]:
            return [dynamic_reply(request, secret=b"other", ack=True)]

        async def scenario() -> None:
            async with nas(forged) as peer:
                found = exchange()
                verdict = await send(("127.0.0.1", peer.port), found, before_transmit=cause_holds)
                assert verdict == Verdict(Outcome.TIMED_OUT, 3)
                assert found.ignored == {"bad_authenticator": 3}

        run(scenario())


class TestBeforeTransmit:
    def test_a_cause_that_is_gone_sends_nothing(self, run: Run) -> None:
        async def gone() -> bool:
            return False

        async def scenario() -> None:
            async with nas(ack) as peer:
                target = ("127.0.0.1", peer.port)
                verdict = await send(target, exchange(), before_transmit=gone)
                assert verdict == Verdict(Outcome.CANCELLED, 0)
                # Whatever had been sent before this exchange would have come before its request.
                await send(target, exchange(), before_transmit=cause_holds)
                assert len(peer.requests) == 1

        run(scenario())

    def test_a_top_up_between_two_transmissions_ends_the_retries(self, run: Run) -> None:
        asked: list[bool] = []

        async def holds_twice() -> bool:
            asked.append(len(asked) < 2)
            return asked[-1]

        async def scenario() -> None:
            async with nas(silence) as peer:
                target = ("127.0.0.1", peer.port)
                verdict = await send(target, exchange(), before_transmit=holds_twice)
                assert verdict == Verdict(Outcome.CANCELLED, 2)
                assert len(peer.requests) == 2
                assert asked == [True, True, False]

        run(scenario())

    def test_a_reply_that_comes_while_it_is_asked_saves_the_retransmission(self, run: Run) -> None:
        """The first request is answered late, while the store is asked about the second."""

        async def scenario() -> None:
            async with nas(lambda n, request: ack(n, request) if n == 2 else []) as peer:
                target = ("127.0.0.1", peer.port)

                async def slow() -> bool:
                    if peer.requests:
                        (late,) = ack(1, peer.requests[0])
                        peer.reply(late, peer.sources[0])
                        # By the time another exchange is over, the late reply has been read too.
                        await send(target, exchange(), before_transmit=cause_holds)
                    return True

                verdict = await send(target, exchange(), before_transmit=slow)
                assert verdict == Verdict(Outcome.ACK, 1)
                assert len(peer.requests) == 2, "one of each exchange"

        run(scenario())

    def test_it_is_asked_for_what_is_sent_and_no_more(self, run: Run) -> None:
        async def scenario() -> None:
            asked: list[int] = []

            async def count() -> bool:
                asked.append(len(peer.requests))
                return True

            async with nas(silence) as peer:
                target = ("127.0.0.1", peer.port)
                verdict = await send(target, exchange(), before_transmit=count)
                assert verdict == Verdict(Outcome.TIMED_OUT, 3)
                assert asked == [0, 1, 2]
                await send(("nas.invalid", 3799), exchange(), before_transmit=count)
                assert len(asked) == 3

        run(scenario())

    def test_what_it_raises_passes_through(self, run: Run) -> None:
        async def store_is_down() -> bool:
            raise ConnectionError("store")

        async def scenario() -> None:
            with pytest.raises(ConnectionError, match="store"):
                await send(("127.0.0.1", 9), exchange(), before_transmit=store_is_down)

        run(scenario())


class TestNetwork:
    def test_each_exchange_has_a_source_port_of_its_own(self, run: Run) -> None:
        async def scenario() -> None:
            async with nas(ack) as peer:
                target = ("127.0.0.1", peer.port)
                exchanges = [
                    send(target, exchange(), before_transmit=cause_holds) for _ in range(8)
                ]
                verdicts = await asyncio.gather(*exchanges)
                assert {verdict.outcome for verdict in verdicts} == {Outcome.ACK}
                assert len(set(peer.sources)) == 8

        run(scenario())

    def test_requests_leave_from_the_address_that_the_nas_knows(self, run: Run) -> None:
        async def scenario() -> None:
            async with nas(ack) as peer:
                verdict = await send(
                    ("127.0.0.1", peer.port),
                    exchange(),
                    before_transmit=cause_holds,
                    bind_host="127.0.0.9",
                )
                assert verdict.outcome is Outcome.ACK
                assert peer.sources[0][0] == "127.0.0.9"

        run(scenario())

    def test_a_closed_port_that_opens_again_is_reached_by_a_later_transmission(
        self, run: Run
    ) -> None:
        """The ICMP error of the first costs one transmission, not the exchange."""

        async def scenario() -> None:
            async with nas(ack) as peer:
                port = peer.port
            transmissions: list[Nas] = []
            loop = asyncio.get_running_loop()

            async def open_before_the_third() -> bool:
                transmissions.append(peer)
                if len(transmissions) == 3:
                    await loop.create_datagram_endpoint(
                        lambda: peer, local_addr=("127.0.0.1", port)
                    )
                return True

            verdict = await send(
                ("127.0.0.1", port), exchange(), before_transmit=open_before_the_third
            )
            peer.close()
            assert verdict.outcome is Outcome.ACK
            assert len(peer.requests) == 1

        run(scenario())

    @pytest.mark.parametrize(
        ("target", "bind_host"),
        [
            (("127.0.0.1", 9), "198.51.100.1"),
            (("nas.invalid", 3799), None),
            (("127.0.0.1", 9), "::1"),
        ],
    )
    def test_what_cannot_be_sent_is_a_verdict_with_the_systems_words(
        self, run: Run, target: tuple[str, int], bind_host: str | None
    ) -> None:
        async def scenario() -> None:
            verdict = await send(
                target, exchange(), before_transmit=cause_holds, bind_host=bind_host
            )
            assert verdict.outcome is Outcome.UNSENT
            assert verdict.transmissions == 0
            assert verdict.detail

        run(scenario())
