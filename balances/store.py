"""The books in Valkey (or Redis 7): the hot path and the movements.

One method per function of the library, one round trip per call; `housekeeping` has the rest.
"""

from collections.abc import Mapping, Sequence
from typing import cast

import msgspec

from balances import layout
from balances.connection import Connection
from balances.messages import (
    COMMITTED,
    Account,
    AnyMovement,
    CommitResult,
    DropSubscriber,
    Found,
    Lookup,
    OpenAccount,
    Outcome,
    Post,
    PutSubscriber,
    SetLimits,
    SetStatus,
    Snapshot,
    Status,
    Step,
    Subscriber,
)

#: A second Accounting-On this soon after another is the same one, resent without its delay.
BOOT_REPEAT_S = 30

_pack = msgspec.msgpack.Encoder().encode
_subscriber = msgspec.msgpack.Decoder(Subscriber).decode


class Store:
    """The hot path and the movements: balances.port.BalanceStore, Movements and Directory."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def read(self, lookups: Sequence[Lookup]) -> Snapshot:
        names = list(dict.fromkeys(lookup.nas for lookup in lookups))
        keys: list[str] = []
        for lookup in lookups:
            keys += (lookup.session, lookup.username)
        now_ms, revision, marks, records, values = await self._connection.call(
            "read", self._connection.clock, len(names), *names, *keys
        )
        accounts = _Accounts(values)
        found: list[Found] = []
        for session, index, subscriber, its_index in records:
            stored = None if session is None else layout.session_of(session)
            owner = None if subscriber is None else _subscriber(subscriber)
            found.append(
                Found(
                    stored,
                    None if stored is None else accounts.at(index, stored.account),
                    owner,
                    None if owner is None else accounts.at(its_index, owner.account),
                )
            )
        boots = {name: int(mark) for name, mark in zip(names, marks, strict=True) if mark}
        return Snapshot(now_ms, int(revision), boots, found)

    async def commit(self, steps: Sequence[Step], loose: Sequence[bytes] = ()) -> CommitResult:
        # Steps of one NAS may come from different reads, so they may expect different marks.
        expected: dict[tuple[str, int | None], int] = {}
        marks: list[str] = []
        body: list[bytes | str] = []
        for step in steps:
            index = expected.get((step.nas, step.expected_boot))
            if index is None:
                index = expected[step.nas, step.expected_boot] = len(expected) + 1
                mark = step.expected_boot
                marks += (step.nas, "" if mark is None else str(mark))
            body += layout.step_arguments(step, index)
        now_ms, outcomes = await self._connection.call(
            "commit",
            self._connection.clock,
            len(expected),
            *marks,
            len(loose),
            *loose,
            *body,
        )
        return CommitResult(
            now_ms,
            [
                COMMITTED if outcome == 0 else _outcome(step, outcome)
                for step, outcome in zip(steps, outcomes, strict=True)
            ],
        )

    async def accounts(self, names: Sequence[str]) -> list[Account | None]:
        if not names:
            return []
        keys = [f"{self._connection.prefix}:a:{name}" for name in names]
        values = await self._connection.command("MGET", *keys)
        return [
            None if value is None else layout.account_of(name, value)
            for name, value in zip(names, values, strict=True)
        ]

    async def mark_boot(self, nas: str, event_time: int) -> bool:
        moved = await self._connection.call(
            "boot", self._connection.clock, nas, event_time, BOOT_REPEAT_S
        )
        return bool(moved)

    async def apply(self, movements: Sequence[AnyMovement]) -> list[int]:
        _now, applied = await self._connection.call(
            "apply", self._connection.clock, *(_pack(_movement(m)) for m in movements)
        )
        return applied

    async def publish(self, what: str, revision: int, values: Mapping[str, bytes]) -> None:
        pairs: list[bytes | str] = []
        for field, value in values.items():
            pairs += (field, value)
        await self._connection.call("publish", what, revision, *pairs)

    async def published(self, what: str) -> tuple[int, dict[str, bytes]]:
        # The revision first: reading newer values under an older revision only reads them again.
        revision = await self.revision(what)
        raw = await self._connection.command("HGETALL", f"{self._connection.prefix}:{what}")
        pairs = cast("dict[bytes, bytes]", raw)
        return revision, {field.decode(): value for field, value in pairs.items()}

    async def revision(self, what: str) -> int:
        value = await self._connection.command(
            "HGET", f"{self._connection.prefix}:meta", f"revision:{what}"
        )
        return int(value or 0)


class _Accounts:
    """The accounts of a read, each decoded once."""

    def __init__(self, values: list[bytes | None]) -> None:
        self._values = values
        self._decoded: dict[int, Account] = {}

    def at(self, index: int, account: str) -> Account | None:
        """Return the account at an index, which counts from 1; None if it is not there."""
        value = self._values[index - 1]
        if value is None:
            return None
        if index not in self._decoded:
            self._decoded[index] = layout.account_of(account, value)
        return self._decoded[index]


def _outcome(step: Step, outcome: tuple[int, bytes | None, bytes | None]) -> Outcome:
    status, session, account = outcome
    return Outcome(
        Status(status),
        None if session is None else layout.session_of(session),
        None if account is None else layout.account_of(step.account, account),
    )


def _movement(movement: AnyMovement) -> tuple[object, ...]:
    """A movement as the apply function takes it."""
    head = (movement.account, movement.sequence)
    match movement:
        case OpenAccount(currency=currency, credit_limit=limit, minimum=minimum):
            return (*head, "open", currency, "" if limit is None else limit, minimum)
        case Post(amount=amount):
            return (*head, "post", amount)
        case SetLimits(credit_limit=limit, minimum=minimum):
            return (*head, "limits", "" if limit is None else limit, minimum)
        case SetStatus(suspended=suspended, closed=closed):
            return (*head, "status", layout.status_flags(suspended=suspended, closed=closed))
        case PutSubscriber(username=username, plan=plan):
            return (*head, "subscriber", username, plan)
        case DropSubscriber(username=username):
            return (*head, "drop", username)
