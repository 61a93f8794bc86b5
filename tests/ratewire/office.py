"""Where the tests open accounts, add NASes and take money as staff do, and tell the store."""

from billing.accounts import register as accounts
from billing.accounts.account import AccountStatus
from billing.accounts.money import top_up
from billing.catalogue.plans import load_plans
from billing.nas import register as nas_register
from billing.subscribers import register as subscribers
from ratewire.preparation import prepare
from ratewire.wiring import System, now
from tests.ratewire.provider import SECRET
from tests.ratewire.records import HOURLY, METERED


class Office:
    """Staff, at work on a system."""

    def __init__(self, system: System) -> None:
        self._system = system

    async def begin(self) -> None:
        """Begin the books, and sell the plans `metered` and `hourly`."""
        await prepare(self._system, migrate=False)
        async with (await self._system.pool()).acquire() as conn:
            await load_plans(conn, [METERED, HOURLY], now())
        await self._tell()

    async def subscribe(
        self, balance: int, *, user: str = "bob", account: str = "acme", plan: str = "metered"
    ) -> None:
        """Open an account with a balance for one subscriber."""
        async with (await self._system.pool()).acquire() as conn:
            await accounts.create(conn, account, "EUR", now=now())
            await subscribers.add(
                conn, self._system.keyring, user, account=account, plan=plan, now=now()
            )
        if balance:
            await self.top_up(balance, account, tell=False)
        await self._tell()

    async def top_up(self, micros: int, account: str = "acme", *, tell: bool = True) -> None:
        """Take money for an account; `tell` the store, or leave it to the relay."""
        async with (await self._system.pool()).acquire() as conn:
            await top_up(conn, account, micros, actor="test", now=now())
        if tell:
            await self._tell()

    async def suspend(self, account: str = "acme") -> None:
        async with (await self._system.pool()).acquire() as conn:
            await accounts.set_status(conn, account, AccountStatus.SUSPENDED, now=now())
        await self._tell()

    async def add_nas(
        self, name: str = "pop1", *, source: str = "127.0.0.0/8", coa_port: int | None = None
    ) -> None:
        """Let a NAS speak; those of this machine unless it says otherwise."""
        async with (await self._system.pool()).acquire() as conn:
            await nas_register.add(
                conn,
                self._system.keyring,
                name,
                source=source,
                secret=SECRET,
                coa_port=coa_port,
                now=now(),
            )
        await self._tell()

    async def _tell(self) -> None:
        relay = await self._system.relay()
        await relay.publish()
        await relay.drain()
