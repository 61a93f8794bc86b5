"""Customers of the demo whose credit ran out, and who pay again after a while."""

import asyncio
from collections import deque
from random import Random

import msgspec

from balances.errors import StoreError
from billing.database import unavailable
from billing.payments.register import receive
from ratewire.demo.stock import ACTOR, POOR_MICROS, TOPUPS, Customer, debt_in_cents, top_up
from ratewire.roles.follow import pause
from ratewire.wiring import System, now

#: Somebody pays about this often.
EVERY_S = 1.0

_REMEMBERED = 50


class Paid(msgspec.Struct, frozen=True):
    """Somebody paid."""

    at_ms: int
    account: str
    micros: int


class Payer:
    """Tops up one account that is poor and has no session, every now and then."""

    def __init__(self, system: System, everybody: list[Customer], random: Random) -> None:
        self._system = system
        self._names = [customer.account for customer in everybody]
        self._random = random
        self.paid: deque[Paid] = deque(maxlen=_REMEMBERED)
        """The last payments."""
        self.payments = 0
        """How many there were in all."""

    async def run(self, stop: asyncio.Event) -> None:
        """Go on until `stop` is set. A server that is away is waited for."""
        while not stop.is_set():
            await pause(stop, EVERY_S * self._random.uniform(0.5, 1.5))
            try:
                await self._pay_one()
            except StoreError:
                continue
            except Exception as error:
                if not unavailable(error):
                    raise

    async def _pay_one(self) -> None:
        audits = await self._system.stream.inspect(self._names)
        broke = [
            audit.account
            for audit in audits
            if audit is not None and audit.account.balance < POOR_MICROS and not audit.sessions
        ]
        if not broke:
            return
        account = self._random.choice(broke)
        micros = self._random.choice(TOPUPS) + debt_in_cents(account.balance)
        async with (await self._system.pool()).acquire() as conn:
            await receive(conn, top_up(account.account, micros), actor=ACTOR, now=now())
        await (await self._system.relay()).drain([account.account])
        self.payments += 1
        self.paid.append(Paid(int(now().timestamp() * 1000), account.account, micros))
