"""The fleet on real sockets: every NAS has an address of its own."""

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address
from random import Random

import msgspec

from ratewire.fleet.accounting import Tally
from ratewire.fleet.nas import Conduct, Nas, Obedient, Site
from ratewire.fleet.network import Toll, Weather, deliveries
from ratewire.fleet.subscriber import Subscriber
from ratewire.fleet.summary import Summary, summarize

#: How long to wait, in the end, for the last answers: a retransmission of each is in it.
LAST_ANSWERS_S = 20.0

#: And for those to Accounting-Off, if nothing was answered in that time.
OFF_ANSWERS_S = 3.0

#: The longest sleep between two looks at what is due.
LONGEST_TURN_S = 0.1

MAX_DATAGRAM = 4096
_RECEIVE_BUFFER = 4 << 20


class FleetError(Exception):
    """The fleet cannot run as it was asked to; the message says why and what is allowed."""


class Scenario(msgspec.Struct, frozen=True):
    """What a fleet does, against the accounting server at `host` and `port`.

    The NASes have the addresses from `first_address` on, which must be this machine's, and listen
    for Disconnect- and CoA-Requests on `coa_port`. `users` come in over `spread` seconds.
    `interim` is in seconds, `megabits` the mean speed of a line in Mbit/s, and `seconds` how long
    it goes on (None: until it is stopped).
    """

    host: str
    port: int
    secret: bytes
    users: Sequence[str]
    first_address: str = "127.96.0.1"
    coa_port: int = 3799
    nases: int = 4
    interim: float = 10.0
    delay_time: bool = False
    megabits: float = 20.0
    spread: float = 10.0
    weather: Weather = Weather()
    seed: int = 1
    seconds: float | None = None


class Fleet:
    """All NASes of a scenario; made inside a running event loop. Raises FleetError."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._tally = Tally()
        self._obedient = Obedient()
        self._toll = Toll()
        self._stations: list[_Station] = []
        self._clock = _clock()
        random = Random(scenario.seed)
        boot = int(self._clock() * 1000)
        subscribers = [
            Subscriber(name, number, scenario.megabits, scenario.seed)
            for number, name in enumerate(scenario.users)
        ]
        conduct = Conduct(scenario.interim, delay_time=scenario.delay_time)
        try:
            for number in range(scenario.nases):
                address = str(IPv4Address(scenario.first_address) + number)
                nas = Nas(
                    # So fleets that have different addresses may speak to one server.
                    Site(number, f"sim-{address}", address, scenario.secret, boot),
                    subscribers[number :: scenario.nases],
                    conduct,
                    Random(random.random()),
                    self._tally,
                    self._obedient,
                )
                self._stations.append(
                    _Station(nas, scenario, Random(random.random()), self._toll, self._clock)
                )
        except BaseException:
            self._close()
            raise

    async def run(self, stop: asyncio.Event) -> Summary:
        """Go on until `stop` is set or the time is over; then stop all sessions, in peace.

        Once the Stops are sent the weather is fine, so that the end comes soon and is exact: if
        nothing is unanswered, what was acknowledged is all that was used. What was not answered
        after LAST_ANSWERS_S counts as unanswered.
        """
        began = self._clock()
        seconds = self._scenario.seconds
        never = asyncio.Event()
        try:
            self._each(lambda station, now: station.nas.switch_on(now, self._scenario.spread))
            await self._turn(stop, None if seconds is None else began + seconds)
            self._each(lambda station, now: station.nas.end_sessions(now))
            for station in self._stations:
                station.weather = Weather()
            end = self._clock() + LAST_ANSWERS_S
            await self._turn(never, end, until_answered=True)
            self._each(lambda station, now: station.nas.switch_off(now))
            end = max(end, self._clock() + OFF_ANSWERS_S)
            await self._turn(never, end, until_answered=True)
        finally:
            self._close()
        return summarize(
            self._tally,
            self._obedient,
            self._toll,
            nases=self._scenario.nases,
            users=len(self._scenario.users),
            seed=self._scenario.seed,
            elapsed=self._clock() - began,
            unanswered=self._unanswered,
        )

    @property
    def _unanswered(self) -> int:
        return sum(station.nas.unanswered for station in self._stations)

    def _each(self, verb: "Callable[[_Station, float], Sequence[bytes]]") -> None:
        for station in self._stations:
            station.send(verb(station, self._clock()))

    async def _turn(
        self, stop: asyncio.Event, end: float | None, *, until_answered: bool = False
    ) -> None:
        """Do what is due until `stop`, or `end`, or (if so asked) everything is answered."""
        while not stop.is_set():
            now = self._clock()
            if (end is not None and now >= end) or (until_answered and not self._unanswered):
                return
            self._each(lambda station, now: station.nas.due(now))
            dues = [station.nas.next_due() for station in self._stations]
            nearest = min((due for due in dues if due is not None), default=now + LONGEST_TURN_S)
            pause = min(LONGEST_TURN_S, max(0.001, nearest - self._clock()))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await stop.wait()

    def _close(self) -> None:
        for station in self._stations:
            station.close()


class _Station:
    """A NAS with its two sockets: accounting out, Disconnect and CoA in."""

    def __init__(
        self,
        nas: Nas,
        scenario: Scenario,
        random: Random,
        toll: Toll,
        clock: Callable[[], float],
    ) -> None:
        self.nas = nas
        self.weather = scenario.weather
        self._server = (scenario.host, scenario.port)
        self._random = random
        self._toll = toll
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._accounting = _bound(nas.site.address, 0)
        try:
            self._dynamic = _bound(nas.site.address, scenario.coa_port)
        except FleetError:
            self._accounting.close()
            raise
        self._loop.add_reader(self._accounting, self._read, self._accounting, self._take_reply)
        self._loop.add_reader(self._dynamic, self._read, self._dynamic, self._take_request)

    def send(self, datagrams: Sequence[bytes]) -> None:
        """Put what the NAS reports on the network."""
        for datagram in datagrams:
            self._travel(self._put, self._accounting, datagram, self._server)

    def close(self) -> None:
        """Take the sockets down."""
        for each in (self._accounting, self._dynamic):
            if each.fileno() >= 0:
                self._loop.remove_reader(each)
                each.close()

    def _read(self, source: socket.socket, take: Callable[[bytes, object], None]) -> None:
        # An ICMP "port unreachable" of before shows here: the server is away, the NAS retransmits.
        with contextlib.suppress(BlockingIOError, ConnectionRefusedError):
            while True:
                datagram, address = source.recvfrom(MAX_DATAGRAM)
                self._travel(take, datagram, address)

    def _take_reply(self, datagram: bytes, _address: object) -> None:
        self.send(self.nas.answered(datagram, self._clock()))

    def _take_request(self, datagram: bytes, address: object) -> None:
        told, reports = self.nas.told(datagram, address, self._clock())
        if told.reply is not None:
            self._travel(self._put, self._dynamic, told.reply, address)
        self.send(reports)

    def _travel(self, arrive: Callable[..., None], *what: object) -> None:
        """Have something arrive as the weather will have it."""
        for delay in deliveries(self.weather, self._random, self._toll):
            if delay:
                self._loop.call_later(delay, arrive, *what)
            else:
                arrive(*what)

    def _put(self, outlet: socket.socket, datagram: bytes, address: tuple[str, int]) -> None:
        if outlet.fileno() < 0:
            return  # it was still on its way when the fleet was taken down
        try:
            outlet.sendto(datagram, address)
        except OSError as error:
            self._toll.unsendable += 1
            self._toll.last_error = str(error)


def _clock() -> Callable[[], float]:
    """Return a clock of Unix seconds that nobody sets back."""
    offset = time.time() - time.monotonic()
    return lambda: time.monotonic() + offset


def _bound(host: str, port: int) -> socket.socket:
    try:
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    except OSError as error:
        raise FleetError(
            f"no socket for the NAS with the address {host}: {error.strerror}; each NAS has two,"
            " so `ulimit -n` must be more than twice their number"
        ) from error
    made.setblocking(False)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
    try:
        made.bind((host, port))
    except OSError as error:
        made.close()
        with_port = f" with CoA port {port}" if port else ""
        raise FleetError(
            f"a NAS cannot have the address {host}{with_port}: {error.strerror}; the addresses"
            " must be this machine's, one for each NAS, with the CoA port free"
        ) from error
    return made
