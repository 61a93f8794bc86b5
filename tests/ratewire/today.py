"""Workers on the books of a system, in the present."""

from balances.connection import Connection
from ratewire.wiring import now_ms
from tests.balances.world import store_world
from tests.ratewire.provider import Provider


def today(connection: Connection) -> Provider:
    """A provider whose workers' clock stands at now; the store's own goes on."""
    provider = Provider(store_world(connection))
    provider.world.pass_ms(now_ms() - provider.clock())
    connection.now_ms = None
    return provider
