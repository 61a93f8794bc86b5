"""Grants of logins in Valkey: balances.port.Logins."""

import msgspec

from balances import layout
from balances.connection import Connection
from balances.messages import Login, LoginOutcome, LoginStatus, Occupant, StoredSession

_pack = msgspec.msgpack.Encoder().encode


class Logins:
    """What logins reserve before their sessions begin."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def login(self, login: Login) -> LoginOutcome:
        counted = [part for each in login.counted for part in (each.uid.hex(), each.session)]
        packed = _pack(
            (
                login.uid.hex(),
                login.account,
                login.username,
                login.pointers,
                login.expected_rating,
                login.want,
                login.grant,
                login.lifetime_ms,
                login.session_limit,
                counted,
            )
        )
        now_ms, status, occupants = await self._connection.call(
            "login", self._connection.clock, packed
        )
        return LoginOutcome(
            now_ms,
            LoginStatus(status),
            [Occupant(bytes.fromhex(uid.decode()), member.decode()) for uid, member in occupants],
        )

    async def open_sessions(self, account: str, most: int) -> list[tuple[str, StoredSession]]:
        prefix = self._connection.prefix
        keys: list[str] = []
        cursor = 0
        while len(keys) < most:
            following, members = await self._connection.command(
                "SSCAN", f"{prefix}:as:{account}", cursor, "COUNT", most
            )
            keys += [member.decode() for member in members]
            cursor = int(following)
            if cursor == 0:
                break
        if not keys:
            return []
        values = await self._connection.command("MGET", *(f"{prefix}:s:{key}" for key in keys))
        sessions = [None if value is None else layout.session_or_none(value) for value in values]
        return [
            (key, session)
            for key, session in zip(keys, sessions, strict=True)
            if session is not None and session.open
        ]

    async def count_failure(self, who: str, forget_ms: int) -> int:
        key = f"{self._connection.prefix}:lf:{who}"
        failures = await self._connection.command("INCR", key)
        await self._connection.command("PEXPIRE", key, forget_ms)
        return failures

    async def forget_failures(self, who: str) -> None:
        await self._connection.command("DEL", f"{self._connection.prefix}:lf:{who}")

    async def hold(self, who: str, hold_ms: int) -> None:
        await self._connection.command(
            "SET", f"{self._connection.prefix}:lh:{who}", "1", "PX", hold_ms
        )

    async def is_held(self, who: str) -> tuple[bool, bool]:
        prefix = self._connection.prefix
        held, failures = await self._connection.command(
            "MGET", f"{prefix}:lh:{who}", f"{prefix}:lf:{who}"
        )
        return held is not None, failures is not None

    async def release_grants(self, uids: list[bytes]) -> int:
        return await self._connection.call("grants_release", *(uid.hex() for uid in uids))

    async def expire_grants(self, limit: int) -> tuple[int, int | None]:
        released, nearest = await self._connection.call(
            "grants_expire", self._connection.clock, limit
        )
        return released, None if nearest < 0 else nearest
