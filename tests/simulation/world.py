"""A simulated world: NASes, a network, processes of the product, and whatever happens to them.

Everything is drawn from one seed and happens in virtual time, so a seed is a history.
"""

import hashlib
from collections import Counter, deque
from collections.abc import Callable, Sequence
from ipaddress import ip_network
from random import Random
from typing import Any

from balances.messages import (
    AnyMovement,
    OpenAccount,
    Position,
    Post,
    PutSubscriber,
    SetLimits,
    SetStatus,
)
from radius.clients import Client
from radius.engine import Address
from radius.profiles import builtin_profiles
from ratewire.enforcement.enforcer import Enforcer
from ratewire.enforcement.subjects import Subjects
from ratewire.fleet.network import Toll, Weather, deliveries
from ratewire.nas import NasDirectory
from ratewire.observer import Silent
from ratewire.pipeline.plans import encode_plan, published_name
from ratewire.pipeline.raters import PlanReader, Raters
from ratewire.pipeline.steps import Terms
from ratewire.sweeper import Sweeper
from rating.plan import Plan, Policy
from rating.tariff import Counter as Counts
from rating.tariff import Rule, Tariff
from tests.balances.world import START_MS
from tests.balances.world import World as Ports
from tests.simulation.auditor import Auditor
from tests.simulation.clockwork import Clockwork, Mailbox
from tests.simulation.lives import Name, Report, highest
from tests.simulation.nas import START, Nas, Traits
from tests.simulation.postgres import INTERVAL_S, Connection, Postgres
from tests.simulation.processes import Edges, Worker, enforce, relay, settle, sweep
from tests.simulation.road import Faults, Road, Run

SECRET = b"a simulated secret"
PROFILES = builtin_profiles()
FINE = Weather()

#: Each costs something in any slice, so that who has nothing left is cut.
TARIFFS = {
    "metered": Tariff("EUR", (Rule(Counts.OCTETS_TOTAL, 2_000_000, 10**9, 1000, 1000),)),
    "split": Tariff(
        "EUR",
        (Rule(Counts.OCTETS_IN, 7, 1009), Rule(Counts.OCTETS_OUT, 3, 1013, 5000, 700)),
        connect_fee_micros=5_000,
    ),
    "hourly": Tariff("EUR", (Rule(Counts.SECONDS, 600_000, 3600, 10, 3),)),
}

#: Within it, clocks of servers agree (ms).
TOLERATED_SKEW_MS = 2_000

EVENTS_KEPT = 60
PROCESSES: tuple[str, ...] = (
    "worker1",
    "worker2",
    "sweeper",
    "sweeper2",
    "enforcer",
    "settler",
    "settler2",
    "relay",
)


class World:
    """One history. `trace` is called for each event with a line that tells it."""

    def __init__(
        self, seed: int, ports: Ports, run: Run, trace: Callable[[str], None] | None = None
    ) -> None:
        self.seed = seed
        self.random = Random(seed)
        self.ports = ports
        self.run = run
        self.trace = trace
        self._digest = hashlib.sha256()
        self.last: deque[str] = deque(maxlen=EVENTS_KEPT)
        self.clockwork = Clockwork()
        self.edges = Edges(self.clockwork, self._send_coa)
        self.postgres = Postgres()
        self.faults = Faults()
        self.weather = FINE
        self.toll = Toll()
        self.happened: Counter[str] = Counter()
        self.calm = False
        self.plans: dict[tuple[str, int], Plan] = {}
        self.skew_ms: dict[str, int] = dict.fromkeys(PROCESSES, 0)
        self.up: dict[str, object] = {}
        self._lives_of: dict[str, dict[str, Name]] = {}
        self.auditor = Auditor(
            ports, run, self.clockwork, self.plans, self._name_of, self.postgres.posted,
            None if trace is None else self._detail,
        )  # fmt: skip
        run(ports.keeping.initialise(1))
        self.nases = self._nases()
        self.by_host = {nas.host: nas for nas in self.nases}
        self._lives_of = {nas.key: nas.names for nas in self.nases}
        self.users = [user for nas in self.nases for user in nas.users]
        clients = {
            nas.name: Client(name=nas.name, source=ip_network(f"{nas.host}/32"), secret=SECRET)
            for nas in self.nases
        }
        self.directory = NasDirectory(1, clients, PROFILES)
        self._open_shop()

    # Beginning

    def _nases(self) -> list[Nas]:
        random = self.random
        nases: list[Nas] = []
        user = 0
        for number in range(1, random.randrange(2, 4) + 1):
            traits = Traits(
                stamps=number == 1 or random.random() < 0.8,
                announces=random.random() < 0.8,
                remembers=random.random() < 0.5,
                reuses=random.random() < 0.4,
                ids=random.choice((5, 50, 1000)),
                interim_s=random.choice((15, 30, 60)),
            )
            users = [f"user{user + each}" for each in range(random.randrange(3, 9))]
            user += len(users)
            nases.append(
                Nas(
                    number, traits, users, SECRET, self.clockwork, random,
                    self._send_accounting, self.auditor.kept,
                )
            )  # fmt: skip
        return nases

    def _open_shop(self) -> None:
        random = self.random
        for name in TARIFFS:
            self._new_version(name)
        self._publish()
        for number in range(random.randrange(1, 5)):
            account = f"acc{number}"
            limit = random.choice((0, 0, 0, 200_000, None))
            self.postgres.post(
                account, lambda n, a=account, x=limit: OpenAccount(a, n, "EUR", x, 0)
            )
            self._top_up(account)
        for user in self.users:
            self._subscribe(user)
        for name in PROCESSES:
            self.start(name)
        for nas in self.nases:
            nas.begin()
        self.weather = self._drawn_weather()
        self.faults = Faults(0.003, 0.004, 0.04, 0.0008)
        self.clockwork.after(1_000, "chaos", self._chaos)

    def _new_version(self, name: str) -> None:
        version = 1 + sum(1 for plan, _ in self.plans if plan == name)
        random = self.random
        self.plans[name, version] = Plan(
            name, version, TARIFFS[name],
            policy=random.choice(list(Policy)),
            reserve_octets=random.choice((1_000_000, 10_000_000)),
            minimum_credit_micros=random.choice((0, 0, 30_000)),
        )  # fmt: skip

    def _publish(self) -> None:
        values = {published_name(plan): encode_plan(plan) for plan in self.plans.values()}
        self.run(self.ports.movements.publish("plans", len(self.plans), values))

    # Processes

    def start(self, name: str) -> None:
        """Start a process, or one in place of one that died."""
        if name in self.up:
            return
        clockwork, random = self.clockwork, self.random
        road = Road(
            self.ports, self.run, clockwork, random, self.faults, self.auditor,
            lambda: self.kill(name),
        )  # fmt: skip
        connection = Connection(self.postgres, clockwork, random)
        clock_ms = lambda: clockwork.now_ms + self.skew_ms[name]  # noqa: E731 - one expression
        raters = Raters(
            road,
            Terms(interim=INTERVAL_S),
            clock_ms=clock_ms,
            wraps_32=self.directory.wraps_32,
            random_octets=random.randbytes,
        )
        sweeper = Sweeper(road, road, raters, Silent(), clock_ms=clock_ms)
        match name.rstrip("0123456789"):
            case "worker":
                self.up[name] = Worker(
                    name, road, raters, connection, self.directory, clockwork, random, clock_ms,
                    self._send_reply, self.auditor.answering,
                )  # fmt: skip
            case "sweeper":
                self._begin(name, sweep(sweeper, clockwork, random))
            case "settler":
                self._begin(name, settle(road, connection, clockwork, random))
            case "relay":
                self._begin(name, relay(road, self.postgres, clockwork, random))
            case _:
                enforcer = Enforcer(
                    road,
                    sweeper,
                    Subjects(road, PlanReader(road)),
                    lambda: self.directory,
                    Silent(),
                    clock_ms=clock_ms,
                    random=random,
                )  # fmt: skip
                self._begin(name, enforce(enforcer, clockwork, random))

    def _begin(self, name: str, coroutine: Any) -> None:
        owner = object()
        self.up[name] = owner
        self.clockwork.start(name, owner, coroutine)

    def kill(self, name: str) -> None:
        """kill -9; another takes its place."""
        owner = self.up.pop(name, None)
        if owner is None:
            return
        self.tell(f"killed {name}")
        if isinstance(owner, Worker):
            owner.dead = True
        self.clockwork.kill(owner)
        self.clockwork.after(self.random.randrange(5_000), "restart", lambda: self.start(name))

    # Network

    def _drawn_weather(self) -> Weather:
        random = self.random
        bad = random.choice((0.0, 0.02, 0.1, 0.3))
        return Weather(
            bad, random.choice((0.0, 0.05, 0.3)), random.choice((0.0, 0.1, 0.4)),
            random.choice((0.5, 4.0)),
        )  # fmt: skip

    def _travel(self, name: str, arrive: Callable[[], object]) -> None:
        for delay_s in deliveries(self.weather, self.random, self.toll):
            self.clockwork.after(1 + round(delay_s * 1000), name, arrive)

    def _send_accounting(self, nas: Nas, datagram: bytes, report: Report) -> None:
        address = (nas.host, nas.port)

        def arrive() -> None:
            self._detail(f"{report.life.name.key if report.life else ''} {report.counters}")
            number = 1 + (nas.port + len(nas.name)) % 2
            if self.random.random() < 0.3:
                number = self.random.randrange(1, 3)
            worker = self.up.get(f"worker{number}")
            life = report.life
            if not isinstance(worker, Worker):
                return
            if not nas.traits.stamps and abs(self.skew_ms[worker.name]) > TOLERATED_SKEW_MS:
                nas.doubt_all("a NAS without a clock, seen by servers whose clocks disagree")
            if life is not None:
                life.arrived = highest(life.arrived, report.counters)
                if report.status is not START:
                    life.later_arrived = True
                elif life.later_arrived and not nas.traits.stamps:
                    life.name.doubts.add("a late Start that does not say when it was made")
            worker.receive(datagram, address)

        self._travel(f"{report.status.name} of {nas.name}", arrive)

    def _send_reply(self, datagram: bytes, address: Address) -> None:
        nas = self.by_host[address[0]]

        def arrive() -> None:
            if nas.port == address[1]:
                nas.answered(datagram)

        self._travel(f"reply to {nas.name}", arrive)

    def _send_coa(self, datagram: bytes, host: str, replies: Mailbox[bytes]) -> None:
        nas = self.by_host[host]

        def arrive() -> None:
            reply = nas.told(datagram)
            if reply is not None:
                self._travel(f"CoA reply of {nas.name}", lambda: replies.put(reply))

        self._travel(f"Disconnect-Request to {nas.name}", arrive)

    # What happens to it

    def tell(self, what: str) -> None:
        """Note something beside the events."""
        self.happened[what.partition(" ")[0]] += 1
        self._tell(f"    {what}")

    def _tell(self, line: str) -> None:
        self.last.append(line)
        self._digest.update(line.encode())
        if self.trace is not None:
            self.trace(line)

    def _detail(self, line: str) -> None:
        if self.trace is not None:
            self.trace(f"        {line}")

    @property
    def digest(self) -> str:
        """What all events so far come to."""
        return self._digest.hexdigest()

    def _post(self, account: str, make: Callable[[int], AnyMovement]) -> None:
        self.postgres.post(account, make)
        movement = self.postgres.posted[account][-1]
        self.tell(f"posted {movement}")

    def _accounts(self) -> list[str]:
        return list(self.postgres.posted)

    def _top_up(self, account: str, sign: int = 1) -> None:
        amount = sign * self.random.choice((1_000, 50_000, 300_000, 2_000_000))
        self._post(account, lambda n: Post(account, n, amount))

    def _subscribe(self, user: str) -> None:
        random = self.random
        account, plan = random.choice(self._accounts()), random.choice(list(TARIFFS))
        if self.calm:
            return
        if random.random() < 0.02:
            plan = "no such plan"
        self._post(account, lambda n: PutSubscriber(account, n, user, plan))

    def _chaos(self) -> None:
        if self.calm:
            return
        self.clockwork.after(self.random.choice((100, 1_000, 4_000, 12_000)), "chaos", self._chaos)
        actions: Sequence[tuple[int, Callable[[], None]]] = (
            (20, lambda: self._top_up(self.random.choice(self._accounts()))),
            (6, lambda: self._top_up(self.random.choice(self._accounts()), -1)),
            (8, self._change_status),
            (6, self._change_limits),
            (4, lambda: self._subscribe(self.random.choice(self.users))),
            (2, self._change_plan),
            (10, lambda: self.kill(self.random.choice(PROCESSES))),
            (3, self._lose_store),
            (3, self._lose_postgres),
            (6, self._restart_nas),
            (5, self._move_clock),
            (15, self._all_at_once),
            (6, self._change_weather),
            (2, self._disconnect),
            (1, self._rebuild),
        )
        [act] = self.random.choices(
            [act for _, act in actions], weights=[weight for weight, _ in actions]
        )
        act()

    def _change_status(self) -> None:
        account = self.random.choice(self._accounts())
        suspended = self.random.random() < 0.4
        self._post(account, lambda n: SetStatus(account, n, suspended, False))

    def _change_limits(self) -> None:
        account = self.random.choice(self._accounts())
        limit = self.random.choice((0, 0, 100_000, 1_000_000, None))
        minimum = self.random.choice((0, 0, 20_000))
        self._post(account, lambda n: SetLimits(account, n, limit, minimum))

    def _change_plan(self) -> None:
        self._new_version(self.random.choice(list(TARIFFS)))
        self._publish()
        self.tell("published plans")

    def _lose_store(self) -> None:
        self.faults.away = True
        self.tell("store is away")

        def back() -> None:
            self.faults.away = False

        self.clockwork.after(self.random.choice((50, 2_000, 40_000)), "store is back", back)

    def _lose_postgres(self) -> None:
        self.postgres.away = True
        self.tell("Postgres is away")

        def back() -> None:
            self.postgres.away = False

        self.clockwork.after(self.random.choice((50, 5_000, 90_000)), "Postgres is back", back)

    def _restart_nas(self) -> None:
        nas = self.random.choice(self.nases)
        announced = nas.traits.announces and self.random.random() < 0.85
        self.tell(f"restarted {nas.name}{', announced' if announced else ''}")
        nas.restart(announced=announced)

    def _all_at_once(self) -> None:
        self.tell("reports all at once")
        for nas in self.nases:
            nas.report_all()

    def _move_clock(self) -> None:
        by_s = self.random.choice((-100, -30, -2, 1, 15, 100))
        if self.random.random() < 0.5:
            nas = self.random.choice(self.nases)
            nas.move_clock(by_s)
            self.tell(f"moved the clock of {nas.name} by {by_s} s")
        else:
            name = self.random.choice(PROCESSES)
            self.skew_ms[name] = by_s * 300
            self.tell(f"moved the clock of {name} to {by_s * 300} ms")

    def _change_weather(self) -> None:
        self.weather = self._drawn_weather()
        self.tell(f"weather {self.weather}")

    def _disconnect(self) -> None:
        open_keys = list(self.auditor.held)
        if open_keys and not self.faults.away:
            key = self.random.choice(open_keys)
            self.tell(f"asked to disconnect {key}")
            self.run(self.ports.jobs.request_disconnect(key))
            self.auditor.changed("request_disconnect")

    def _rebuild(self) -> None:
        """Write the books anew from Postgres, as billing.rebuild does it, in one moment."""
        settled = self.postgres.settled
        if settled is None or self.faults.away or self.postgres.away:
            return
        run, ports = self.run, self.ports
        run(ports.keeping.fence("simulated rebuild"))
        while entries := run(ports.stream.entries_after(settled, 100)):
            assert self.postgres.book(settled, entries, self.clockwork.now_ms) is not None
            settled = entries[-1].position
        generation = settled.generation + 1
        run(ports.restoration.restart(generation))
        run(ports.restoration.restore_accounts(self.postgres.accounts(generation)))
        run(ports.restoration.restore_subscribers(self.postgres.subscribers()))
        run(ports.restoration.restore_sessions(self.postgres.living_sessions()))
        self.postgres.settled = Position(generation, 0)
        run(ports.keeping.fence(""))
        self.tell(f"rebuilt generation {generation}")
        self.auditor.rebuilt(generation)

    # Going on

    def step(self) -> bool:
        """Let the next event happen; False if nothing is planned."""
        planned = self.clockwork.next()
        if planned is None:
            return False
        name, act = planned
        behind = self.clockwork.now_ms - self.ports.now_ms
        if behind:
            self.ports.pass_ms(behind)
        line = f"{self.clockwork.events} {self.clockwork.now_ms - START_MS} ms: {name}"
        self._tell(line)
        act()
        return True

    def calm_down(self) -> None:
        """From now on nothing breaks, everybody obeys, and nobody comes in."""
        self.calm = True
        self.clockwork.slowness = 10
        self.weather = FINE
        self.faults.__init__()
        self.postgres.away = False
        for name in PROCESSES:
            self.start(name)
        for nas in self.nases:
            nas.calm = nas.closed = True

    def check_that_the_suspended_are_off(self) -> None:
        """Whoever was to be cut is off by now, since all have obeyed for long enough."""
        for nas in self.nases:
            for life in nas.up.values():
                if not life.name.doubts:
                    self.auditor.check_may_be_up(life.name.key)

    def is_at_rest(self) -> bool:
        """Whether nothing is left to be done."""
        return (
            not any(nas.outstanding for nas in self.nases)
            and not self.auditor.held
            and not self.auditor.jobs
            and not self.postgres.waiting()
            and self.postgres.settled == self.auditor.position
        )

    def names(self) -> list[Name]:
        """Return all session names that were ever used."""
        return [name for nas in self.nases for name in nas.names.values()]

    def _name_of(self, key: str) -> Name | None:
        nas, _, session_id = key.partition("|")
        return self._lives_of.get(nas, {}).get(session_id)
