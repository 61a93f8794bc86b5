"""The books in Valkey: sweeps, enforcement jobs, the settlement stream, the books as a whole."""

from collections.abc import Mapping, Sequence
from typing import cast

from balances import layout
from balances.connection import Connection
from balances.errors import StoreEmpty
from balances.jobs import Change, Job
from balances.messages import (
    AccountAudit,
    Books,
    Claim,
    ClaimedJob,
    Due,
    DueSession,
    Position,
    StreamEntry,
    Totals,
)

#: Longest wait for an entry in one call: a client that waits for an answer longer than its timeout
#: (balances.connection) takes the store for dead.
_LONGEST_WAIT_MS = 1000


class Housekeeping:
    """balances.port.Sweeps and JobQueue."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def due(self, limit: int, lease_ms: int) -> Due:
        now_ms, nearest, flat = await self._connection.call(
            "due", self._connection.clock, limit, lease_ms
        )
        sessions = [
            DueSession(key.decode(), layout.session_of(value))
            for key, value in zip(flat[::2], flat[1::2], strict=True)
        ]
        return Due(now_ms, None if nearest < 0 else nearest, sessions)

    async def pending_sweeps(self) -> dict[str, int]:
        prefix = self._connection.prefix
        names = cast("set[bytes]", await self._connection.command("SMEMBERS", f"{prefix}:sweeps"))
        if not names:
            return {}
        ordered = sorted(names)
        marks = await self._connection.command("HMGET", f"{prefix}:boots", *ordered)
        return {name.decode(): int(mark) for name, mark in zip(ordered, marks, strict=True) if mark}

    async def sessions_of_nas(self, nas: str, cursor: int, count: int) -> tuple[int, list[str]]:
        following, keys = await self._connection.command(
            "SSCAN", f"{self._connection.prefix}:ns:{nas}", cursor, "COUNT", count
        )
        return int(following), [key.decode() for key in keys]

    async def swept(self, nas: str, mark: int) -> None:
        await self._connection.call("swept", nas, mark)

    async def claim_jobs(self, limit: int, lease_ms: int) -> Claim:
        now_ms, nearest, claimed = await self._connection.call(
            "jobs_take", self._connection.clock, limit, lease_ms
        )
        jobs = [
            ClaimedJob(
                uid.decode(),
                session.decode(),
                cause.decode(),
                state.decode(),
                attempts,
                noted,
                layout.session_of(value),
                *(text.decode() for text in change),
            )
            for uid, attempts, cause, session, value, state, noted, *change in claimed
        ]
        return Claim(now_ms, None if nearest < 0 else nearest, jobs)

    async def put_off_jobs(self, waits: Mapping[str, int]) -> None:
        flat = [part for uid, again_in_ms in waits.items() for part in (uid, again_in_ms)]
        await self._connection.call("jobs_put_off", self._connection.clock, *flat)

    async def may_transmit(self, uid: str, lease_ms: int, asked: str = "") -> bool:
        leave = await self._connection.call(
            "job_transmit", self._connection.clock, uid, lease_ms, asked
        )
        return bool(leave)

    async def report_job(
        self,
        uid: str,
        state: str,
        result: str,
        error_cause: int,
        again_in_ms: int,
        asked: str = "",
    ) -> bool:
        noted = await self._connection.call(
            "job_report",
            self._connection.clock,
            uid,
            state,
            result,
            error_cause,
            again_in_ms,
            asked,
        )
        return bool(noted)

    async def request_disconnect(self, session: str) -> str | None:
        uid = await self._connection.call("job_request", self._connection.clock, session)
        return uid.decode() or None

    async def request_change(self, session: str, change: Change) -> str | None:
        uid = await self._connection.call(
            "job_change",
            self._connection.clock,
            session,
            change.action,
            change.wanted,
            change.cause,
        )
        return uid.decode() or None

    async def treatments(self, uids: Sequence[bytes]) -> list[tuple[str, str]]:
        prefix = self._connection.prefix
        found: list[tuple[str, str]] = []
        for uid in uids:
            treatment, wanted = await self._connection.command(
                "HMGET", f"{prefix}:j:{uid.hex()}-change", "treatment", "wanted"
            )
            found.append(((treatment or b"").decode(), (wanted or b"").decode()))
        return found

    async def live_jobs(self, limit: int) -> list[Job]:
        hashes = await self._connection.call("jobs_live", limit)
        return [_job(flat) for flat in hashes if flat]


class StreamAndBooks:
    """balances.port.SettlementStream and BookKeeping."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def entries_after(
        self, position: Position, count: int, wait_ms: int = 0
    ) -> list[StreamEntry]:
        after = f"{position.generation}-{position.sequence}"
        wait = ("BLOCK", min(wait_ms, _LONGEST_WAIT_MS)) if wait_ms else ()
        answer = await self._connection.command(
            "XREAD", "COUNT", count, *wait, "STREAMS", f"{self._connection.prefix}:settle", after
        )
        streams = cast("dict[bytes, list[tuple[bytes, list[bytes]]]]", answer or {})
        return [_stream_entry(entry) for entries in streams.values() for entry in entries]

    async def trim(self, position: Position) -> None:
        least = f"{position.generation}-{position.sequence + 1}"
        await self._connection.command("XTRIM", f"{self._connection.prefix}:settle", "MINID", least)

    async def initialise(self, generation: int) -> Position:
        generation, sequence = await self._connection.call("initialise", generation)
        return Position(generation, sequence)

    async def books(self) -> Books:
        prefix = self._connection.prefix
        raw = await self._connection.command("HGETALL", f"{prefix}:meta")
        meta = {field.decode(): value.decode() for field, value in raw.items()}
        if "generation" not in meta:
            raise StoreEmpty("the store holds no books")
        return Books(
            position=Position(int(meta["generation"]), int(meta["sequence"])),
            settled_lag=await self._connection.command("XLEN", f"{prefix}:settle"),
            accounts=int(meta["accounts"]),
            open_sessions=await self._connection.command("ZCARD", f"{prefix}:wake"),
            live_jobs=await self._connection.command("ZCARD", f"{prefix}:jobs"),
            fence=meta.get("fence"),
            totals=_totals(meta),
        )

    async def fence(self, reason: str) -> Position:
        generation, sequence = await self._connection.call("fence", reason)
        return Position(generation, sequence)

    async def boots(self) -> dict[str, int]:
        raw = await self._connection.command("HGETALL", f"{self._connection.prefix}:boots")
        marks = cast("dict[bytes, bytes]", raw)
        return {nas.decode(): int(mark) for nas, mark in marks.items()}

    async def inspect(self, accounts: Sequence[str]) -> list[AccountAudit | None]:
        answers = await self._connection.call("inspect", *accounts)
        return [
            None if value is None else AccountAudit(layout.account_of(account, value), held, open_)
            for account, (value, held, open_) in zip(accounts, answers, strict=True)
        ]


def _job(flat: list[bytes]) -> Job:
    """A job from its hash, as fields and values alternating."""
    values = {
        field.decode(): value.decode() for field, value in zip(flat[::2], flat[1::2], strict=True)
    }
    return Job(
        uid=values["uid"],
        session=values["session"],
        account=values["account"],
        cause=values["cause"],
        state=values["state"],
        due_ms=int(values["due"]),
        created_ms=int(values["created"]),
        noted_ms=int(values["noted"]),
        attempts=int(values["attempts"]),
        result=values.get("result", ""),
        error_cause=int(values.get("error_cause", "0")),
        least=int(values.get("least", "0")),
        gardened=values.get("gardened") == "1",
        action=values.get("action", "cut"),
        treatment=values.get("treatment", ""),
        wanted=values.get("wanted", ""),
        pending=values.get("pending", ""),
        applied=values.get("applied", ""),
    )


def _stream_entry(entry: tuple[bytes, list[bytes]]) -> StreamEntry:
    identifier, flat = entry
    generation, sequence = identifier.split(b"-")
    return StreamEntry(
        Position(int(generation), int(sequence)),
        list(zip(flat[::2], flat[1::2], strict=True)),
    )


#: What a field total:<currency>:<name>:high counts: the field without it holds less than 2^63.
_CARRIED = 2**62


def _totals(meta: dict[str, str]) -> dict[str, Totals]:
    sums: dict[str, dict[str, int]] = {}
    for field, value in meta.items():
        match field.split(":"):
            case ["total", currency, name]:
                amount = int(value)
            case ["total", currency, name, "high"]:
                amount = int(value) * _CARRIED
            case _:
                continue
        parts = sums.setdefault(currency, {})
        parts[name] = parts.get(name, 0) + amount
    return {
        currency: Totals(part.get("balance", 0), part.get("reserved", 0), part.get("limit", 0))
        for currency, part in sums.items()
    }
