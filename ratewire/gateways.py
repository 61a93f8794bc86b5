"""Gateways as they are set up, and what has to be done about them: the cashier's round."""

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Final

from balances.errors import StoreError
from billing.database import Pool, unavailable
from billing.errors import InvalidInput
from billing.gateways import inbox, polling, topups
from billing.gateways.stripe import Keys, Stripe
from billing.payments.payment import Payment
from config.settings import StripeSettings
from ratewire.documents import DOCUMENTS
from ratewire.outage import Outage
from ratewire.roles.follow import pause
from ratewire.wiring import System, now

#: Between two rounds of the cashier (seconds): no session waits longer for its automatic top-up.
ROUND_S: Final = 2.0


def stripe_of(settings: StripeSettings) -> Stripe:
    """Return the port to Stripe. Raises InvalidInput if its keys are not there or not allowed."""
    mode = settings.mode
    api = _key("stripe.api_key_file", settings.api_key_file, (f"sk_{mode}_", f"rk_{mode}_"), mode)
    signing = _key("stripe.signing_secret_file", settings.signing_secret_file, ("whsec_",), mode)
    return Stripe(Keys(api, signing), settings.api_url)


def desk(system: System) -> inbox.Desk:
    """Return what events of the gateways that are set up are acted on with."""
    return inbox.Desk(system.gateways, DOCUMENTS, system.keyring)


class Cashier:
    """Acts on events that had to wait, asks about payments, tops accounts up.

    Any number may run.
    """

    def __init__(self, system: System, pool: Pool) -> None:
        self._system = system
        self._pool = pool

    async def run(self, stop: asyncio.Event) -> None:
        """Make a round every two seconds until `stop` is set."""
        outage = Outage("the cashier's database or store")
        while not stop.is_set():
            try:
                await self.round(now())
            except Exception as error:
                if not (unavailable(error) or isinstance(error, StoreError)):
                    raise
                outage.failed(error)
            else:
                outage.works()
            await pause(stop, ROUND_S)

    async def round(self, moment: datetime) -> list[Payment]:
        """Do what is due; return the payments of which something was heard or tried.

        What it posts is on its way to the store by the outbox.
        """
        gateways = self._system.gateways
        done = await inbox.act_on_waiting(self._pool, desk(self._system), moment)
        done += await polling.ask(self._pool, gateways.values(), moment)
        done += await topups.run(
            self._pool, self._system.stream, gateways, self._system.keyring, moment
        )
        return done


def _key(setting: str, file: str | None, prefixes: tuple[str, ...], mode: str) -> str:
    allowed = " or ".join(f"{prefix}..." for prefix in prefixes)
    if file is None:
        raise InvalidInput(f"{setting}: allowed with mode {mode} is a file that holds {allowed}")
    try:
        key = Path(file).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{setting}: {file} cannot be read: {error}") from error
    if not key.startswith(prefixes):
        raise InvalidInput(f"{setting}: {file} holds no {allowed}, as mode {mode} needs")
    return key
