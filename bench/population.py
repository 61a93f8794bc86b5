"""Very many subscribers with money, in a fraction of the time that their import takes.

Postgres makes the rows by itself, and the store's books are rebuilt from them. What comes of it is
what `bench.main_job.set_up` makes; how fast an import is, is not what is measured with it.
"""

from typing import Final

from bench.main_job import set_up
from billing.rebuild.run import rebuild
from billing.statements import load
from ratewire.wiring import System, now

#: What each account has: EUR 100,000.
CREDIT_MICROS: Final = 100_000 * 1_000_000

_TIMEOUT_S: Final = 600.0
_SQL = load(__package__, "population.sql")


async def populate(system: System, sessions: int) -> None:
    """Load the plans and the NAS, and a subscriber with an account and money for each session."""
    await set_up(system, 0)
    pool = await system.pool()
    async with pool.acquire() as conn, conn.transaction():
        await conn.execute(f"SET LOCAL statement_timeout = '{_TIMEOUT_S:.0f}s'")
        # As who logged in, without the audit trail and the checks of references, which are most
        # of the time.
        await conn.execute("SET LOCAL ROLE NONE")
        await conn.execute("SET LOCAL session_replication_role = replica")
        at = now()
        for name, values in (
            ("accounts", (sessions, at)),
            ("subscribers", (sessions, "metered", at)),
            ("money", (CREDIT_MICROS, at)),
        ):
            await conn.execute(_SQL[name], *values, timeout=_TIMEOUT_S)
    terms = system.terms
    await rebuild(
        pool,
        system.stream,
        system.stream,
        system.restoration,
        interval_seconds=terms.interim,
        quiet_seconds=terms.interim * terms.stale_factor,
    )
