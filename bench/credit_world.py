"""A fleet whose credit runs out again and again, in virtual time: hours pass in seconds.

Real are the NASes of ratewire.fleet (what they send, how they obey), the listener's engine and
pipeline, rating, the sweeper and the enforcer; the store is the one in memory that passes the
contract suite. The clockwork of tests.simulation takes the place of sockets and timers; nothing
is lost here, and nobody dies. Only how fast a line is used, and who pays when, is this module's.
"""

import math
from collections.abc import Callable, Coroutine, Mapping, Sequence
from ipaddress import ip_network
from random import Random
from typing import Any, Final, TypeVar

import msgspec

from balances import entries
from balances.entries import Used
from balances.memory import MemoryStore
from balances.messages import Account, AnyMovement, OpenAccount, Position, Post, PutSubscriber
from radius.clients import Client
from radius.engine import Address
from radius.profiles import builtin_profiles
from ratewire.enforcement.enforcer import LONGEST_WAIT_S, Enforcer
from ratewire.enforcement.subjects import Subjects
from ratewire.fleet.accounting import Tally
from ratewire.fleet.nas import Conduct, Nas, Obedient, Site
from ratewire.fleet.subscriber import Subscriber
from ratewire.nas import NasDirectory
from ratewire.observer import Silent
from ratewire.pipeline.plans import encode_plan, published_name
from ratewire.pipeline.raters import PlanReader, Raters
from ratewire.pipeline.steps import Terms
from ratewire.sweeper import Sweeper
from rating.plan import Plan
from tests.simulation.clockwork import Clockwork, Mailbox
from tests.simulation.processes import Edges, Worker, enforcing_here

Result = TypeVar("Result")

SECRET: Final = b"a simulated secret"

#: On the network, one way.
TRAVEL_MS: Final = 2

#: How often a line's speed changes, on average (s), and how much: sigma of the log-normal factor.
PACE_S: Final = 90.0
PACE_SIGMA: Final = 1.0

#: How often accounts are looked at, and how long one is without credit until it is topped up.
LOOK_MS: Final = 5_000
AWAY_S: Final = (60.0, 600.0)

#: In the end, until all Stops are answered.
REST_MS: Final = 120_000


class Fleet(msgspec.Struct, frozen=True):
    """What is simulated. `megabits` is a line's mean speed, in Mbit/s; `topup` in micros."""

    plan: Plan
    interim_s: int
    sessions_an_account: int
    accounts: int
    hours: float
    topup: int
    megabits: float = 4.0
    nases: int = 4
    seed: int = 1


class Exhausted(msgspec.Struct, frozen=True):
    """One time that an account ran out of credit: what it was charged since the time before.

    Of that `overspent` was beyond what it had; or `stranded` is what it could not use. Micros.
    """

    account: str
    charged: int
    overspent: int
    stranded: int


class _NoArchive:
    """Postgres knows of no session: they all begin with a Start."""

    async def find(self, keys: Sequence[str]) -> Mapping[str, Any]:  # noqa: ARG002 - the port's
        return {}


class CreditWorld:
    """One fleet. `run` lives through its hours."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.exhausted: list[Exhausted] = []
        self.topped_up = 0
        self.tally = Tally()
        self.obedient = Obedient()
        self._random = Random(f"{fleet.seed}/credit")
        self._clockwork = Clockwork()
        self._store = MemoryStore(lambda: self._clockwork.now_ms)
        self._nases = self._make_nases()
        self._sequences: dict[str, int] = {}
        self._charged_before: dict[str, int] = {}
        self._paid: dict[str, int] = {}
        self._planned: dict[str, int] = {}
        self._paying: set[str] = set()
        self._notice: Mailbox[None] = Mailbox(self._clockwork)
        profiles = builtin_profiles()
        clients = {
            nas.site.name: Client(
                name=nas.site.name, source=ip_network(f"{nas.site.address}/32"), secret=SECRET
            )
            for nas in self._nases
        }
        directory = NasDirectory(1, clients, profiles)
        clock_ms = lambda: self._clockwork.now_ms  # noqa: E731 - one expression
        raters = Raters(
            self._store, Terms(fleet.interim_s), clock_ms=clock_ms, wraps_32=directory.wraps_32
        )
        self._sweeper = Sweeper(self._store, self._store, raters, Silent(), clock_ms=clock_ms)
        self._enforcer = Enforcer(
            self._store, self._sweeper, Subjects(self._store, PlanReader(self._store)),
            lambda: directory, Silent(), clock_ms=clock_ms,
            random=self._random,
        )  # fmt: skip
        self._worker = Worker(
            "worker", self._store, raters, _NoArchive(), directory,  # pyright: ignore[reportArgumentType]
            self._clockwork, self._random, clock_ms, self._send_reply,
            lambda _record: self._notice.put(None),
        )  # fmt: skip

    def _make_nases(self) -> dict[Nas, Random]:
        fleet = self.fleet
        users = fleet.accounts * fleet.sessions_an_account
        subscribers = [
            Subscriber(f"user{number}", number, fleet.megabits, fleet.seed)
            for number in range(users)
        ]
        made: dict[Nas, Random] = {}
        for number in range(fleet.nases):
            site = Site(number, f"nas{number}", f"10.0.0.{number + 1}", SECRET, 1)
            random = Random(f"{fleet.seed}/{site.name}")
            conduct = Conduct(float(fleet.interim_s))
            lines = subscribers[number :: fleet.nases]
            nas = Nas(site, lines, conduct, random, self.tally, self.obedient)
            made[nas] = random
        return made

    # Living through it

    def run(self) -> None:
        """Live through the hours; then stop all sessions, and check that the books are exact."""
        self._open_shop()
        clockwork = self._clockwork
        end_ms = clockwork.now_ms + round(self.fleet.hours * 3_600_000)
        with enforcing_here(Edges(clockwork, self._send_coa)):
            clockwork.start("enforcer", self._enforcer, self._enforce())
            clockwork.start("sweeper", self._sweeper, self._sweep())
            for nas in self._nases:
                self._transmit(nas, nas.switch_on(self._now, spread=self.fleet.interim_s))
                self._change_pace(nas)
            clockwork.at(clockwork.now_ms + LOOK_MS, "look", self._look)
            self._live_until(end_ms)
            for nas in self._nases:
                self._transmit(nas, nas.end_sessions(self._now))
            self._live_until(end_ms + REST_MS)
        clockwork.close()
        self._check_books()

    def _live_until(self, end_ms: int) -> None:
        while self._clockwork.now_ms < end_ms and (planned := self._clockwork.next()) is not None:
            planned[1]()

    @property
    def _now(self) -> float:
        return self._clockwork.now_ms / 1000

    async def _enforce(self) -> None:
        """As the role does it: when something became due, at the latest after a while."""
        while True:
            pause_s = min(await self._enforcer.step(), LONGEST_WAIT_S)
            await self._notice.until(self._clockwork.now_ms + max(1, round(pause_s * 1000)))
            while self._notice.take():
                pass

    async def _sweep(self) -> None:
        while True:
            pause_s = await self._sweeper.sweep()
            await self._clockwork.tick(max(1, round(pause_s * 1000)))

    # Accounts

    def _account_of(self, user: int) -> str:
        return f"acc{user // self.fleet.sessions_an_account}"

    def _apply(self, account: str, make: Callable[[int], AnyMovement]) -> None:
        number = self._sequences[account] = self._sequences.get(account, 0) + 1
        assert _done(self._store.apply([make(number)])) == [number]

    def _open_shop(self) -> None:
        fleet = self.fleet
        _done(self._store.initialise(1))
        plan = fleet.plan
        _done(self._store.publish("plans", 1, {published_name(plan): encode_plan(plan)}))
        for user in range(fleet.accounts * fleet.sessions_an_account):
            account = self._account_of(user)
            if account not in self._paid:
                currency = plan.tariff.currency
                self._apply(account, lambda n, a=account, c=currency: OpenAccount(a, n, c))
                # They do not all run out at once.
                self._top_up(account, round(fleet.topup * self._random.uniform(0.2, 1.0)))
            self._apply(
                account, lambda n, a=account, u=user: PutSubscriber(a, n, f"user{u}", plan.name)
            )

    def _top_up(self, account: str, amount: int) -> None:
        self._paid[account] = self._paid.get(account, 0) + amount
        self._apply(account, lambda n: Post(account, n, amount))

    def _look(self) -> None:
        """Whoever could not begin a session any more, and has none, pays after a while."""
        self._clockwork.after(LOOK_MS, "look", self._look)
        for account in self._found():
            available = account.available
            assert available is not None
            out = account.reserved == 0 and available < self.fleet.plan.minimum_credit_micros
            if out and account.account not in self._paying:
                self._paying.add(account.account)
                away_ms = round(self._random.uniform(*AWAY_S) * 1000)
                pay = lambda name=account.account: self._pay(name)  # noqa: E731 - one expression
                self._clockwork.after(away_ms, "top-up", pay)

    def _pay(self, name: str) -> None:
        self._paying.discard(name)
        [account] = _done(self._store.accounts([name]))
        assert account is not None
        charged = self._paid[name] - account.balance
        self.exhausted.append(
            Exhausted(
                name,
                charged - self._charged_before.get(name, 0),
                max(-account.balance, 0),
                max(account.balance, 0),
            )
        )
        self._charged_before[name] = charged
        self._top_up(name, self.fleet.topup)
        self.topped_up += 1

    def _found(self) -> list[Account]:
        return [each for each in _done(self._store.accounts(list(self._paid))) if each is not None]

    # NASes

    def _change_pace(self, nas: Nas) -> None:
        """One of its lines is used faster or slower from now on; the mean stays what it is."""
        random = self._nases[nas]
        sessions = list(nas.sessions.values())
        lines = max(len(sessions), 1)
        wait_ms = 1 + round(random.expovariate(lines / PACE_S) * 1000)
        self._clockwork.after(wait_ms, "pace", lambda: self._change_pace(nas))
        if sessions:
            session = random.choice(sessions)
            session.count(self._now)
            factor = math.exp(random.gauss(-(PACE_SIGMA**2) / 2, PACE_SIGMA))
            session.down = int(session.subscriber.habit.down * factor)
            session.up = int(session.subscriber.habit.up * factor)

    def _transmit(self, nas: Nas, datagrams: Sequence[bytes]) -> None:
        address = (nas.site.address, 1024 + nas.site.number)
        for datagram in datagrams:
            arrive = lambda octets=datagram: self._worker.receive(octets, address)  # noqa: E731
            self._clockwork.after(TRAVEL_MS, "record", arrive)
        self._plan(nas)

    def _plan(self, nas: Nas) -> None:
        """Wake a NAS when something is due for it."""
        due = nas.next_due()
        if due is None:
            return
        at_ms = max(math.ceil(due * 1000), self._clockwork.now_ms + 1)
        planned = self._planned.get(nas.site.name)
        if planned is None or planned <= self._clockwork.now_ms or at_ms < planned:
            self._planned[nas.site.name] = at_ms
            self._clockwork.at(at_ms, "nas", lambda: self._transmit(nas, nas.due(self._now)))

    def _nas_at(self, host: str) -> Nas:
        return list(self._nases)[int(host.rpartition(".")[2]) - 1]

    def _send_reply(self, datagram: bytes, address: Address) -> None:
        nas = self._nas_at(address[0])
        arrive = lambda: self._transmit(nas, nas.answered(datagram, self._now))  # noqa: E731
        self._clockwork.after(TRAVEL_MS, "reply", arrive)

    def _send_coa(self, datagram: bytes, host: str, replies: Mailbox[bytes]) -> None:
        nas = self._nas_at(host)

        def arrive() -> None:
            told, reports = nas.told(datagram, ("10.0.0.254", 3799), self._now)
            reply = told.reply
            if reply is not None:
                self._clockwork.after(TRAVEL_MS, "CoA reply", lambda: replies.put(reply))
            self._transmit(nas, reports)

        self._clockwork.after(TRAVEL_MS, "Disconnect-Request", arrive)

    # In the end

    def _check_books(self) -> None:
        """What was acknowledged is charged: octets of the stream, and its micros in balances."""
        assert not any(nas.unanswered for nas in self._nases)
        octets_in = octets_out = charged = 0
        at = Position(1, 0)
        while found := _done(self._store.entries_after(at, 1000)):
            at = found[-1].position
            for entry in found:
                for field, value in entry.items:
                    item = entries.decode(value) if field != b"j" else None
                    if isinstance(item, Used):
                        octets_in += item.usage.octets_in
                        octets_out += item.usage.octets_out
                        charged += item.charge_micros
        assert (octets_in, octets_out) == (self.tally.octets_in, self.tally.octets_out)
        assert charged == sum(self._paid[each.account] - each.balance for each in self._found())
        assert not any(each.reserved for each in self._found()), "something is held still"


def _done(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """Return what the store in memory answers: it never waits."""
    try:
        coroutine.send(None)
    except StopIteration as ended:
        return ended.value
    raise AssertionError("the store in memory waits")
