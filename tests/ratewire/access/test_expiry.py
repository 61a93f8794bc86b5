"""What logins reserved and nobody used comes back by itself."""

import asyncio

from balances.errors import StoreUnavailable
from balances.memory import MemoryStore
from ratewire.access.expiry import CHUNK, expire, run
from tests.balances.world import LIFETIME_MS, memory_world
from tests.ratewire.provider import Counting


async def test_what_has_expired_is_given_back_in_chunks() -> None:
    world, counting = memory_world(), Counting()
    await world.keeping.initialise(1)
    await world.fund(1000)
    for number in range(CHUNK + 1):
        await world.grant(f"n|{number}", station=f"{number}", want=1)
    assert not await expire(world.logins, counting)
    world.pass_ms(LIFETIME_MS)
    assert await expire(world.logins, counting)
    assert not await expire(world.logins, counting)
    assert await world.money() == (1000, 0)
    assert counting.counts == {"grants_expired": CHUNK + 1}


async def test_it_goes_on_after_the_store_was_away() -> None:
    answers: list[StoreUnavailable | tuple[int, None]] = [StoreUnavailable("away"), (3, None)]
    stop = asyncio.Event()

    class Flaky(MemoryStore):
        async def expire_grants(self, limit: int) -> tuple[int, int | None]:
            answer = answers.pop(0)
            if isinstance(answer, StoreUnavailable):
                raise answer
            stop.set()
            return answer

    async def wait(_: asyncio.Event, seconds: float) -> None:
        assert seconds > 0

    counting = Counting()
    await asyncio.wait_for(run(Flaky(lambda: 0), counting, stop, wait), 5)
    assert counting.counts == {"grants_expired": 3}
