"""The fleet on real sockets: every NAS has an address of its own on loopback."""

import asyncio
import contextlib
import socket
import time
from collections.abc import Sequence
from random import Random

import msgspec

from ratewire.fleet.nas import Conduct, Nas
from ratewire.fleet.network import Toll, Weather, deliveries
from ratewire.fleet.subscriber import habit

#: The first NAS of a fleet has this address; they are all in 127.96.0.0/11.
FIRST_ADDRESS = (127 << 24) + (96 << 16) + 1

#: How long to wait, in the end, for answers to the Stops.
LAST_ANSWERS_S = 20.0

MAX_DATAGRAM = 4096


class Plan(msgspec.Struct, frozen=True):
    """What a fleet does. `interim` is in seconds; `seconds` None is until it is stopped."""

    host: str
    port: int
    secret: bytes
    coa_port: int
    users: Sequence[str]
    nases: int = 4
    interim: float = 10.0
    megabits: float = 20.0
    spread: float = 10.0
    weather: Weather = Weather()
    seed: int = 1
    seconds: float | None = None


class Summary(msgspec.Struct, frozen=True):
    """What a fleet sent. Octets and seconds are what was acknowledged, summed over its sessions."""

    nases: int
    users: int
    seed: int
    starts: int
    interims: int
    stops: int
    acknowledged: int
    unanswered: int
    retransmissions: int
    lost: int
    duplicated: int
    delayed: int
    bad_replies: int
    disconnects: int
    disconnects_obeyed: int
    disconnects_refused: int
    octets_in: int
    octets_out: int
    seconds: int


def address_of(index: int) -> str:
    """Return the address of the so-manieth NAS of a fleet, from 0."""
    return socket.inet_ntoa((FIRST_ADDRESS + index).to_bytes(4))


class _Station:
    """A NAS with its two sockets: accounting out, Disconnect and CoA in."""

    def __init__(self, nas: Nas, index: int, plan: Plan, random: Random, toll: Toll) -> None:
        self.nas = nas
        self._plan = plan
        self._random = random
        self._toll = toll
        self._loop = asyncio.get_running_loop()
        self.wake = asyncio.Event()
        self.accounting = _bound(address_of(index), 0)
        self.dynamic = _bound(address_of(index), plan.coa_port)
        self._loop.add_reader(self.accounting, self._on_reply)
        self._loop.add_reader(self.dynamic, self._on_told)

    def send(self, datagrams: Sequence[bytes]) -> None:
        """Put datagrams on the network."""
        for datagram in datagrams:
            for delay in deliveries(self._plan.weather, self._random, self._toll):
                if delay:
                    self._loop.call_later(delay, self._put, datagram)
                else:
                    self._put(datagram)

    def close(self) -> None:
        """Take the sockets down."""
        for each in (self.accounting, self.dynamic):
            self._loop.remove_reader(each)
            each.close()

    def _put(self, datagram: bytes) -> None:
        # A server that is away shows as a refused port on loopback; the NAS retransmits.
        with contextlib.suppress(OSError):
            self.accounting.sendto(datagram, (self._plan.host, self._plan.port))

    def _on_reply(self) -> None:
        with contextlib.suppress(BlockingIOError, ConnectionRefusedError):
            while True:
                reply, _ = self.accounting.recvfrom(MAX_DATAGRAM)
                self.send(self.nas.answered(reply, time.time()))

    def _on_told(self) -> None:
        with contextlib.suppress(BlockingIOError, ConnectionRefusedError):
            while True:
                request, source = self.dynamic.recvfrom(MAX_DATAGRAM)
                reply, out = self.nas.told(request, time.time())
                if reply is not None:
                    self.dynamic.sendto(reply, source)
                self.send(out)
                self.wake.set()


async def run(plan: Plan, stop: asyncio.Event) -> Summary:
    """Run a fleet until `stop` is set or its time is over; then all sessions stop, in peace."""
    random = Random(plan.seed)
    toll = Toll()
    boot = int(time.time())
    stations: list[_Station] = []
    for index in range(plan.nases):
        users = [(user, habit(random, plan.megabits)) for user in plan.users[index :: plan.nases]]
        nas = Nas(
            f"sim-{index + 1}",
            plan.secret,
            users,
            Conduct(plan.interim),
            Random(random.random()),
            boot=boot,
        )
        stations.append(_Station(nas, index, plan, random, toll))
    try:
        await _go_on(stations, plan, stop)
        await _finish(stations)
    finally:
        for station in stations:
            station.close()
    return _summary(plan, stations, toll)


async def _go_on(stations: Sequence[_Station], plan: Plan, stop: asyncio.Event) -> None:
    end = None if plan.seconds is None else time.time() + plan.seconds
    for station in stations:
        station.send(station.nas.begin(time.time(), plan.spread))
    while not stop.is_set() and (end is None or time.time() < end):
        await _turn(stations, stop)


async def _turn(stations: Sequence[_Station], stop: asyncio.Event) -> None:
    now = time.time()
    for station in stations:
        station.send(station.nas.due(now))
    times = [due for station in stations if (due := station.nas.next_due()) is not None]
    nearest = min(times, default=now + 0.1)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(min(0.1, max(0.001, nearest - time.time()))):
            await stop.wait()


async def _finish(stations: Sequence[_Station]) -> None:
    """Stop all sessions, and retransmit until everything is answered or nobody answers."""
    for station in stations:
        station.send(station.nas.end(time.time()))
    end = time.time() + LAST_ANSWERS_S
    while time.time() < end and any(station.nas.unanswered for station in stations):
        for station in stations:
            station.send(station.nas.due(time.time()))
        await asyncio.sleep(0.02)


def _summary(plan: Plan, stations: Sequence[_Station], toll: Toll) -> Summary:
    sents = [station.nas.sent for station in stations]
    totals = [sent.totals() for sent in sents]
    return Summary(
        nases=plan.nases,
        users=len(plan.users),
        seed=plan.seed,
        starts=sum(sent.starts for sent in sents),
        interims=sum(sent.interims for sent in sents),
        stops=sum(sent.stops for sent in sents),
        acknowledged=sum(sent.acknowledged for sent in sents),
        unanswered=sum(station.nas.unanswered for station in stations),
        retransmissions=sum(sent.retransmissions for sent in sents),
        lost=toll.lost,
        duplicated=toll.duplicated,
        delayed=toll.delayed,
        bad_replies=sum(sent.bad_replies for sent in sents),
        disconnects=sum(sent.disconnects for sent in sents),
        disconnects_obeyed=sum(sent.disconnects_obeyed for sent in sents),
        disconnects_refused=sum(sent.disconnects_refused for sent in sents),
        octets_in=sum(total[0] for total in totals),
        octets_out=sum(total[1] for total in totals),
        seconds=sum(total[2] for total in totals),
    )


def _bound(host: str, port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setblocking(False)
    made.bind((host, port))
    return made
