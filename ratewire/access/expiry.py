"""Gives back what logins reserved whose session never began."""

import asyncio
from collections.abc import Awaitable, Callable

from balances.errors import StoreError
from balances.port import Logins
from ratewire.observer import Observer
from ratewire.outage import Outage

#: Grants given back in one call: it never stalls the store.
CHUNK = 256

#: A grant that expires is given back within this.
POLL_S = 1.0


async def expire(logins: Logins, observer: Observer) -> bool:
    """Give back a chunk of what has expired; whether there was that much. Raises StoreError."""
    released, _ = await logins.expire_grants(CHUNK)
    if released:
        observer.count("grants_expired", released)
    return released == CHUNK


async def run(
    logins: Logins,
    observer: Observer,
    stop: asyncio.Event,
    wait: Callable[[asyncio.Event, float], Awaitable[object]],
) -> None:
    """Do so until `stop` is set; `wait` sleeps so many seconds, or until that."""
    outage = Outage("giving back the grants of logins")
    while not stop.is_set():
        more = False
        try:
            more = await expire(logins, observer)
            outage.works()
        except StoreError as error:
            outage.failed(error)
        if not more:
            await wait(stop, POLL_S)
