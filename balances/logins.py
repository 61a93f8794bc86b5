"""Grants of logins in Valkey: balances.port.Logins."""

import msgspec

from balances.connection import Connection
from balances.messages import Login, LoginOutcome, LoginStatus, Occupant

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

    async def release_grants(self, uids: list[bytes]) -> int:
        return await self._connection.call("grants_release", *(uid.hex() for uid in uids))

    async def expire_grants(self, limit: int) -> tuple[int, int | None]:
        released, nearest = await self._connection.call(
            "grants_expire", self._connection.clock, limit
        )
        return released, None if nearest < 0 else nearest
