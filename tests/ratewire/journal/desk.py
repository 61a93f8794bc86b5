"""A listener's journal before books whose store can be away, and a NAS's records."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from balances.errors import StoreError
from balances.messages import CommitResult, Lookup, Outcome, Snapshot, Status, Step
from balances.port import BalanceStore
from radius.clients import Client, ClientTable, network
from radius.engine import Engine, Request
from radius.requests import accounting_request
from ratewire.journal.keeper import Keeper
from ratewire.journal.slots import Slot, claim
from tests.ratewire.provider import SECRET, Provider
from tests.ratewire.stores import Wrapped

MB = 1_000_000
USER = "bob"
HOST, PORT = "10.0.0.1", 40_000

_client = Client(name="pop1", source=network("10.0.0.0/8"), secret=SECRET)


class Door(Wrapped):
    """A store that can be away, slow, or refuse a session; it notes what is asked of it."""

    def __init__(self, store: BalanceStore) -> None:
        super().__init__(store)
        self.away: StoreError | None = None
        self.refused: dict[str, Status] = {}
        self.poison = ""
        self.asked: list[str] = []
        self.commits = 0
        self.leaves_after: int | None = None
        self.pause_s = 0.0

    async def _pass(self) -> None:
        await asyncio.sleep(self.pause_s)
        if self.away is not None:
            raise self.away

    async def read(self, lookups: Sequence[Lookup]) -> Snapshot:
        await self._pass()
        self.asked += [lookup.session for lookup in lookups]
        if self.poison in self.asked[-len(lookups) :]:
            raise ArithmeticError("a record too many")
        return await super().read(lookups)

    async def commit(self, steps: Sequence[Step], loose: Sequence[bytes] = ()) -> CommitResult:
        await self._pass()
        if steps:
            if self.leaves_after is not None and self.commits >= self.leaves_after:
                raise StoreError("gone")
            self.commits += 1
        taken = [step for step in steps if step.session not in self.refused]
        result = await super().commit(taken, loose)
        outcomes = iter(result.outcomes)
        return CommitResult(
            result.now_ms,
            [
                Outcome(self.refused[step.session])
                if step.session in self.refused
                else next(outcomes)
                for step in steps
            ],
        )

    async def mark_boot(self, nas: str, event_time: int) -> bool:
        await self._pass()
        return await super().mark_boot(nas, event_time)

    async def mark_boots(self, marks: Sequence[tuple[str, int]]) -> list[bool]:
        await self._pass()
        return await super().mark_boots(marks)


class Desk:
    """One listener without its sockets: engine, keeper, slot."""

    def __init__(
        self,
        provider: Provider,
        root: Path,
        *,
        grace_seconds: float | None = 0.0,
        max_octets: int = 1 << 20,
        batch: int = 4,
        number: int = 0,
    ) -> None:
        self.root = root
        self.provider = provider
        self.store = Door(provider.world.hot)
        self.slot: Slot = claim(root, number, max_octets=max_octets, now_ms=provider.clock)
        self.keeper = Keeper(
            provider.worker(self.store),
            self.slot,
            provider.observer,
            grace_seconds=grace_seconds,
            batch=batch,
        )
        self._engine = Engine(ClientTable([_client]))
        self._identifier = 0
        self.stop = asyncio.Event()

    def request(
        self, status: int, seconds: int = 0, octets: int = 0, session: str = "s1", delay: int = 0
    ) -> Request:
        """A record that arrives now."""
        self._identifier = (self._identifier + 1) % 256
        attributes: dict[str, str | int] = {
            "Acct-Status-Type": status,
            "User-Name": USER,
            "NAS-Identifier": "bras",
            "Acct-Session-Id": session,
        }
        if status != 1:
            attributes |= {"Acct-Session-Time": seconds, "Acct-Output-Octets": octets}
        if delay:
            attributes["Acct-Delay-Time"] = delay
        datagram = accounting_request(attributes, secret=SECRET, identifier=self._identifier)
        [request] = self._engine.receive(
            [(datagram, (HOST, PORT))], self.provider.world.now_ms
        ).requests
        return request

    async def say(self, *requests: Request) -> list[bool]:
        """Send a batch; return which of it is answered."""
        answered = await self.keeper.handle(requests)
        return [any(one is each for one in answered) for each in requests]

    async def report(self, first: int, last: int, session: str = "s1") -> list[bool]:
        """Interims one by one, each a second and 10,000 octets on; return which are answered."""
        answered: list[bool] = []
        for number in range(first, last):
            request = self.request(3, number, number * 10_000, session)
            answered += await self.say(request)
            self.provider.world.pass_ms(1000)
        return answered

    async def watch(self) -> None:
        """As the listener does every now and then."""
        await self.keeper.watch(self.stop)

    def files(self) -> list[str]:
        """What is on disk, by directory."""
        paths = self.root.glob("**/*.journal*")
        return sorted(str(path.parent.relative_to(self.root)) for path in paths)
