"""A settler in a process of its own, to be killed: python -m ... STORE_URL DATABASE_URL."""

import asyncio
import sys

from billing.database import connect
from billing.settlement.consumer import Settler
from tests.billing.settlement.world import Books


async def main(store_url: str, database_url: str) -> None:
    """Settle an entry a transaction, without a pause, until killed."""
    books = Books(store_url)
    async with await connect(database_url, size=2) as pool:
        settler = Settler(pool, books.streams, books.streams)
        while True:
            await settler.settle_once(1, wait_ms=100)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
