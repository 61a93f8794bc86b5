"""Reading both sides in the order that makes their comparison exact.

Settlement is held (its position's row is locked), so the ledger has exactly the charges up to the
position. Then:

1. The store's accounts are read, each with its balance, the last movement it has applied, and the
   sequence of its last charge.
2. The stream is read from the position on. Charges up to an account's sequence are in the balance
   that was read and not in the ledger; those after it came later.
3. The ledger and the outbox are read in one snapshot. What was posted and is not in the balance
   that was read is on the road: the outbox has it.

An account for which a movement left the outbox between 1 and 3 is read again, until none is left.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from balances.messages import AccountAudit, Books, Position, Totals
from balances.port import BookKeeping, SettlementStream
from billing.database import Connection, Pool
from billing.reconcile.charges import StreamChanged, UnsettledCharges, parked_charges
from billing.reconcile.terms import AccountDrift, LedgerSide, applied, compare, moved_between
from billing.settlement import position as positions
from billing.statements import load

_SQL = load(__package__, "queries.sql")

#: Accounts of one look into the store, which serves nobody else meanwhile.
_CHUNK: Final = 500

#: Settlement stands still no longer than this; its statements would wait as long.
LIMIT_S: Final = 45.0


class BooksDiffer(Exception):
    """The store's books are other ones than those Postgres has settled: there is no comparison."""


class ReconcileUnfinished(Exception):
    """It took too long, so settlement was let go on; the message says how far it came."""


class Reconciliation(msgspec.Struct, frozen=True):
    """How the store and the ledger stand to each other. They agree if `exact`.

    `drift_micros` is the sum of the absolute drifts of all accounts. `unknown_accounts` are those
    that the store holds and Postgres does not know. `totals_drift_micros` tells how far the store's
    own totals are from the sums of its accounts; None if they moved meanwhile.
    `ledger_remainders_micros` are the currencies in which the ledger does not sum to zero.
    `unreadable_entries` of the stream are going to be parked.
    """

    at: datetime
    position: Position
    accounts: int
    drift_micros: int
    drifting: list[AccountDrift]
    unknown_accounts: int
    ledger_remainders_micros: dict[str, int]
    totals_drift_micros: int | None
    unsettled_entries: int
    unsettled_micros: int
    unapplied_movements: int
    unreadable_entries: int
    parked_entries: int

    @property
    def exact(self) -> bool:
        """Whether everything agrees to the micro. Parked entries alone are no disagreement."""
        return not (
            self.drifting
            or self.unknown_accounts
            or self.ledger_remainders_micros
            or self.totals_drift_micros
        )


async def reconcile(
    pool: Pool,
    books: BookKeeping,
    stream: SettlementStream,
    *,
    partition: int = 0,
    limit_seconds: float = LIMIT_S,
) -> Reconciliation:
    """Compare the store's balances with the ledger, while both go on working.

    Settlement waits meanwhile, nothing else does. Repairs nothing. Raises BooksDiffer,
    ReconcileUnfinished, StoreError, or what asyncpg raises.
    """
    run = _Run(books, stream, partition)
    try:
        async with asyncio.timeout(limit_seconds), pool.acquire() as conn, conn.transaction():
            return await run.compare(conn)
    except TimeoutError as error:
        raise ReconcileUnfinished(
            f"after {limit_seconds} seconds {len(run.compared)} of {run.accounts} accounts were"
            " compared"
        ) from error
    except StreamChanged as error:
        raise BooksDiffer(str(error)) from error


class _Run:
    def __init__(self, books: BookKeeping, stream: SettlementStream, partition: int) -> None:
        self._books = books
        self._stream = stream
        self._partition = partition
        self.accounts = 0
        self.compared: dict[str, AccountDrift | None] = {}
        self._unsettled_micros = 0
        self._unapplied = 0

    async def compare(self, conn: Connection) -> Reconciliation:
        """Do all of it, in the caller's transaction."""
        settled = await positions.hold(conn, self._partition)
        if settled is None:
            raise BooksDiffer("settlement never began, so there is nothing to compare")
        before = await self._books_after(settled.position)
        # Accounts come to the store from here, so this list has all that the books had before it.
        accounts: list[str] = [row["account_id"] for row in await conn.fetch(_SQL["accounts"])]
        self.accounts = len(accounts)
        charges = UnsettledCharges(settled.position)
        audits = await self._inspect(accounts)
        totals = await self._totals_drift(before, audits)
        present = sum(audit is not None for audit in audits.values())
        await self._compare(conn, charges, audits, {})
        while again := [account for account in accounts if account not in self.compared]:
            earlier = {account: audits[account] for account in again}
            audits = await self._inspect(again)
            await self._compare(conn, charges, audits, earlier)
        await self._books_after(settled.position)
        drifting = [drift for drift in self.compared.values() if drift is not None]
        if drifting:
            drifting = await self._with_causes(conn, drifting, settled.position.generation)
        return Reconciliation(
            at=await conn.fetchval(_SQL["now"]),
            position=settled.position,
            accounts=len(accounts),
            drift_micros=sum(abs(drift.drift_micros) for drift in drifting),
            drifting=drifting,
            unknown_accounts=max(0, before.accounts - present),
            ledger_remainders_micros={
                row["currency"]: row["remainder_micros"]
                for row in await conn.fetch(_SQL["ledger_remainders"])
            },
            totals_drift_micros=totals,
            unsettled_entries=charges.entries,
            unsettled_micros=self._unsettled_micros,
            unapplied_movements=self._unapplied,
            unreadable_entries=charges.unreadable,
            parked_entries=await conn.fetchval(_SQL["parked_count"]),
        )

    async def _books_after(self, settled: Position) -> Books:
        """The books, which must be those that are settled up to a position, and not behind it."""
        books = await self._books.books()
        if books.position.generation != settled.generation or books.position < settled:
            raise BooksDiffer(
                f"the store's books stand at {books.position}, Postgres has settled {settled}"
            )
        return books

    async def _inspect(self, accounts: Sequence[str]) -> dict[str, AccountAudit | None]:
        audits: dict[str, AccountAudit | None] = {}
        for start in range(0, len(accounts), _CHUNK):
            chunk = accounts[start : start + _CHUNK]
            audits.update(zip(chunk, await self._books.inspect(chunk), strict=True))
        return audits

    async def _compare(
        self,
        conn: Connection,
        charges: UnsettledCharges,
        audits: Mapping[str, AccountAudit | None],
        earlier: Mapping[str, AccountAudit | None],
    ) -> None:
        """Compare the accounts just read, except those that a movement has reached meanwhile.

        `earlier` is what was read of them when that was so the last time. If no movement is found
        to have reached them since, those that are missing are neither here nor there.
        """
        await charges.read_to(self._stream, (await self._books.books()).position)
        moved = [applied(audit) for audit in audits.values()]
        for row in await conn.fetch(_SQL["ledger_side"], list(audits), moved):
            ledger = LedgerSide(
                account=row["account_id"],
                currency=row["currency"],
                balance_micros=row["balance_micros"],
                posted=row["movement_sequence"],
                waiting=row["movements"],
                waiting_micros=row["posted_micros"],
            )
            account, audit = ledger.account, audits[ledger.account]
            stands_still = account in earlier and applied(earlier[account]) == applied(audit)
            if moved_between(audit, ledger) and not stands_still:
                continue
            unsettled = 0 if audit is None else charges.up_to(ledger.account, audit.account.charged)
            self.compared[ledger.account] = compare(audit, ledger, unsettled)
            self._unsettled_micros += unsettled
            self._unapplied += ledger.waiting

    async def _totals_drift(
        self, before: Books, audits: Mapping[str, AccountAudit | None]
    ) -> int | None:
        """How far the store's totals are from the sums of its accounts, if they stood still."""
        after = await self._books.books()
        if after.totals != before.totals or after.position != before.position:
            return None
        sums: dict[str, list[int]] = {}
        for audit in audits.values():
            if audit is not None:
                account = audit.account
                part = sums.setdefault(account.currency, [0, 0, 0])
                part[0] += account.balance
                part[1] += account.reserved
                part[2] += (account.credit_limit or 0) - account.minimum
        drift = 0
        for currency in sums.keys() | after.totals.keys():
            there = after.totals.get(currency, Totals(0, 0, 0))
            summed = sums.get(currency, [0, 0, 0])
            drift += sum(
                abs(one - other)
                for one, other in zip(
                    (there.balance, there.reserved, there.limit), summed, strict=True
                )
            )
        return drift

    async def _with_causes(
        self, conn: Connection, drifting: Sequence[AccountDrift], generation: int
    ) -> list[AccountDrift]:
        """The drifting accounts with what of it lies in parked entries; the largest drift first."""
        rows = await conn.fetch(_SQL["parked_entries"], self._partition, generation)
        parked = parked_charges(row["entry"] for row in rows)
        told = [
            msgspec.structs.replace(drift, parked_micros=parked.get(drift.account, 0))
            for drift in drifting
        ]
        return sorted(told, key=lambda drift: (-abs(drift.drift_micros), drift.account))
