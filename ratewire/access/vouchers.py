"""Logging in with a voucher: its code is user name and password, its amount the balance.

The first login makes the account and the subscriber and redeems the voucher, in one transaction;
all later ones are a subscriber's like any other.
"""

import structlog

from billing.accounts import register as accounts
from billing.database import unavailable
from billing.errors import BillingError, InvalidInput
from billing.subscribers import register as subscribers
from billing.vouchers import code
from billing.vouchers.batches import SQL
from billing.vouchers.redeeming import redeem
from radius.access import Login
from radius.passwords import Pap
from ratewire.wiring import System, now

_log = structlog.get_logger(__name__)


class Vouchers:
    """Opens accounts for vouchers, on one plan."""

    def __init__(self, system: System, plan: str) -> None:
        self._system = system
        self._plan = plan

    async def open(self, login: Login) -> bool:
        """Open an account for a login that is a voucher's code; whether there is one now.

        The password is the code once more, or nothing but PAP could tell it. Without Postgres no
        voucher is redeemed: the login is refused as an unknown one, and can be tried again.
        """
        typed = _code_of(login)
        if typed is None:
            return False
        try:
            account = await self._redeem(login.user_name, typed)
            await (await self._system.relay()).drain([account])
        except BillingError as error:
            _log.info("a voucher is not redeemed", nas=login.client, reason=str(error))
            return False
        except Exception as error:
            if not unavailable(error):
                raise
            _log.warning("a voucher has to wait", nas=login.client, error=str(error))
            return False
        return True

    async def _redeem(self, user_name: str, typed: str) -> str:
        """Make what the voucher pays for; return the account. Raises BillingError."""
        hashed = code.digest(typed)
        account = f"voucher-{hashed.hex()[:24]}"
        async with (await self._system.pool()).acquire() as conn, conn.transaction():
            row = await conn.fetchrow(SQL["lock"], hashed)
            if row is None:
                raise InvalidInput("no voucher has that code")
            moment = now()
            await accounts.create(conn, account, row["currency"], now=moment)
            await redeem(conn, account, typed, actor="login", now=moment)
            await subscribers.add(
                conn,
                self._system.keyring,
                user_name,
                account=account,
                plan=self._plan,
                password=user_name.encode(),
                now=moment,
            )
        return account


def _code_of(login: Login) -> str | None:
    """The voucher's code that a login is; None if it is none."""
    if not isinstance(login.proof, Pap):
        return None
    try:
        typed = code.parse(login.user_name)
        again = code.parse(login.proof.password.decode("ascii", "replace"))
    except InvalidInput:
        return None
    return typed if typed == again else None
