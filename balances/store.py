"""The books in Valkey (or Redis 7): the hot path and the movements.

`read` is of plain commands, every other method a function of the library; `housekeeping` has the
rest.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import cast

import msgspec

from balances import layout
from balances.connection import Connection
from balances.keys import all_pointers, parts_of
from balances.messages import (
    COMMITTED,
    Account,
    AnyMovement,
    CommitResult,
    DropSubscriber,
    Found,
    Grant,
    GrantAllowance,
    Lookup,
    OpenAccount,
    Outcome,
    Post,
    PutSubscriber,
    SetCalendar,
    SetLimits,
    SetStatus,
    Snapshot,
    Status,
    Step,
    Subscriber,
)
from rating.pool import NO_POOL

#: A second Accounting-On this soon after another is the same one, resent without its delay.
BOOT_REPEAT_S = 30

_pack = msgspec.msgpack.Encoder().encode
_subscriber = msgspec.msgpack.Decoder(Subscriber).decode


class Store:
    """The hot path and the movements: balances.port.BalanceStore, Movements and Directory."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def read(self, lookups: Sequence[Lookup]) -> Snapshot:
        # Plain commands: a function that gathers the same costs the store four times as much. What
        # is not of one moment is no matter, since a commit compares all that it was computed from.
        names = list(dict.fromkeys(lookup.nas for lookup in lookups))
        keys = [lookup.session for lookup in lookups]
        now_ms, revision, boots, values = await self._sessions(names, keys)
        sessions = [None if value is None else layout.session_or_none(value) for value in values]
        users = [
            lookup.username if session is None or not session.open or lookup.always else ""
            for lookup, session in zip(lookups, sessions, strict=True)
        ]
        accounts, subscribers = await self._owners(
            {session.account for session in sessions if session is not None},
            {user for user in users if user},
        )
        beginning = [
            lookup if session is None or not session.open else None
            for lookup, session in zip(lookups, sessions, strict=True)
        ]
        grants: list[Grant | None] = [None] * len(lookups)
        if any(beginning):
            grants = await self._grants(beginning)
        found = [
            Found(
                session,
                None if session is None else accounts.get(session.account),
                subscriber,
                None if subscriber is None else accounts.get(subscriber.account),
                grant,
            )
            for session, subscriber, grant in zip(
                sessions, map(subscribers.get, users), grants, strict=True
            )
        ]
        return Snapshot(now_ms, revision, boots, found)

    async def _sessions(
        self, names: Sequence[str], keys: Sequence[str]
    ) -> tuple[int, int, dict[str, int], Sequence[bytes | None]]:
        """Return the time, the revision of the plans, boot marks by NAS, and session values."""
        connection, prefix = self._connection, self._connection.prefix
        commands: list[tuple[str, ...]] = [("TIME",)]
        if names:
            commands.append(("HMGET", f"{prefix}:boots", *names))
            commands.append(("MGET", *[f"{prefix}:s:{key}" for key in keys]))
        revision, (time, *found) = await connection.read_books("revision:plans", *commands)
        marks, values = found or ((), ())
        boots = {name: int(mark) for name, mark in zip(names, marks, strict=True) if mark}
        seconds, micros = time
        now_ms = connection.now_ms
        if now_ms is None:
            now_ms = int(seconds) * 1000 + int(micros) // 1000
        return now_ms, int(revision or 0), boots, values

    async def _owners(
        self, names: set[str], users: set[str]
    ) -> tuple[dict[str, Account], dict[str, Subscriber]]:
        """Return accounts by name, also those of the users, and subscribers by user name.

        What is not understood is not there; a commit that is computed from that is FAULTY.
        """
        prefix = self._connection.prefix
        subscribers: dict[str, Subscriber] = {}
        if users:
            # Behind the fence nobody is known, so it is looked at once more.
            asked = list(users)
            keys = [f"{prefix}:u:{user}" for user in asked]
            _, (values,) = await self._connection.read_books("generation", ("MGET", *keys))
            for user, value in zip(asked, values, strict=True):
                subscriber = None if value is None else _subscriber_or_none(value)
                if subscriber is not None:
                    subscribers[user] = subscriber
        wanted = list(names | {subscriber.account for subscriber in subscribers.values()})
        if not wanted:
            return {}, subscribers
        values = await self._connection.ask(("MGET", *[f"{prefix}:a:{name}" for name in wanted]))
        accounts = {
            name: account
            for name, value in zip(wanted, values, strict=True)
            if value is not None and (account := layout.account_or_none(name, value)) is not None
        }
        return await self._with_pools(accounts), subscribers

    async def _with_pools(self, accounts: dict[str, Account]) -> dict[str, Account]:
        """Return the accounts with their pools; most have none, and cost nothing here.

        A pool is never older than its account as it was read: a commit from the two is stale then.
        """
        names = [name for name, account in accounts.items() if account.pool is not None]
        if not names:
            return accounts
        prefix = self._connection.prefix
        values = await self._connection.ask(("MGET", *[f"{prefix}:p:{name}" for name in names]))
        return accounts | {
            name: msgspec.structs.replace(accounts[name], pool=NO_POOL if value is None else value)
            for name, value in zip(names, values, strict=True)
        }

    async def _grants(self, lookups: Sequence[Lookup | None]) -> list[Grant | None]:
        """Return the grant that each session may begin with: by Class, by session, by device."""
        prefix = self._connection.prefix
        pointers = {
            f"{prefix}{pointer}": b""
            for lookup in lookups
            if lookup is not None and lookup.username
            for pointer in _pointers(lookup)
        }
        if not pointers:
            return [None] * len(lookups)
        values = await self._connection.ask(("MGET", *pointers))
        pointers |= {
            key: value for key, value in zip(pointers, values, strict=True) if value is not None
        }
        candidates = [
            []
            if lookup is None or not lookup.username
            else [
                *lookup.grants,
                *(_uid(pointers[f"{prefix}{pointer}"]) for pointer in _pointers(lookup)),
            ]
            for lookup in lookups
        ]
        wanted = list(dict.fromkeys(uid for each in candidates for uid in each if uid))
        if not wanted:
            return [None] * len(lookups)
        values = await self._connection.ask(("MGET", *(f"{prefix}:g:{u.hex()}" for u in wanted)))
        grants = {
            uid: layout.grant_or_none(uid, value)
            for uid, value in zip(wanted, values, strict=True)
            if value is not None
        }
        return [
            next(
                (
                    grant
                    for uid in each
                    if (grant := grants.get(uid)) is not None
                    and lookup is not None
                    and grant.username == lookup.username
                ),
                None,
            )
            for lookup, each in zip(lookups, candidates, strict=True)
        ]

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
        now_ms, outcomes, version = await self._connection.call(
            "book",
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
            version,
        )

    async def accounts(self, names: Sequence[str]) -> list[Account | None]:
        if not names:
            return []
        keys = [f"{self._connection.prefix}:a:{name}" for name in names]
        values = await self._connection.ask(("MGET", *keys))
        accounts = {
            name: layout.account_of(name, value)
            for name, value in zip(names, values, strict=True)
            if value is not None
        }
        accounts = await self._with_pools(accounts)
        return [accounts.get(name) for name in names]

    async def mark_boot(self, nas: str, event_time: int) -> bool:
        moved = await self._connection.call(
            "boot", self._connection.clock, nas, event_time, BOOT_REPEAT_S
        )
        return bool(moved)

    async def mark_boots(self, marks: Sequence[tuple[str, int]]) -> list[bool]:
        # The connection keeps their order.
        calls = (self.mark_boot(nas, event_time) for nas, event_time in marks)
        found = await asyncio.gather(*calls, return_exceptions=True)
        for each in found:
            if isinstance(each, BaseException):
                raise each
        return cast("list[bool]", found)

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


def _pointers(lookup: Lookup) -> list[str]:
    _, acct_session_id = parts_of(lookup.session)
    return all_pointers(lookup.nas, acct_session_id, lookup.username, lookup.station)


def _uid(value: bytes) -> bytes:
    """The uid that a pointer holds in hex; empty for what is none."""
    try:
        return bytes.fromhex(value.decode())
    except ValueError:
        return b""


def _subscriber_or_none(value: bytes) -> Subscriber | None:
    try:
        return _subscriber(value)
    except msgspec.DecodeError:
        return None


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
        case PutSubscriber(username=username, plan=plan, login=login):
            return (*head, "subscriber", username, plan, login)
        case DropSubscriber(username=username):
            return (*head, "drop", username)
        case GrantAllowance() | SetCalendar():
            return (
                *head,
                "pool",
                layout.packed_octets(movement.part()),
                layout.packed_octets(NO_POOL),
            )
