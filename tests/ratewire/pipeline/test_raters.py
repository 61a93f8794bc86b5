"""The plans are read when they have moved, and only then."""

from ratewire.pipeline.credit import Credit
from ratewire.pipeline.raters import Raters
from ratewire.pipeline.steps import Booking, Terms
from tests.ratewire.provider import START, Provider
from tests.ratewire.records import HOURLY, METERED

TERMS = Terms()


class Reads:
    """The directory of a provider, counting who reads the plans."""

    def __init__(self, provider: Provider) -> None:
        self._directory = provider.world.directory
        self.reads = 0

    async def published(self, what: str) -> tuple[int, dict[str, bytes]]:
        self.reads += 1
        return await self._directory.published(what)

    async def revision(self, what: str) -> int:
        return await self._directory.revision(what)


async def test_plans_are_read_once_for_each_revision(any_provider: Provider) -> None:
    reads = Reads(any_provider)
    raters = Raters(reads, TERMS, clock_ms=any_provider.clock, wraps_32=lambda client: False)
    first = await raters.at(1)
    assert await raters.at(1) is first
    assert reads.reads == 1
    await any_provider.publish(METERED, HOURLY)
    second = await raters.at(2)
    assert second is not first
    assert reads.reads == 2


async def test_who_has_read_an_older_revision_gets_the_newer_plans(
    any_provider: Provider,
) -> None:
    """Of two batches in flight, the one that read first must not bring the old plans back."""
    raters = Raters(
        any_provider.world.directory,
        TERMS,
        clock_ms=any_provider.clock,
        wraps_32=lambda client: False,
    )
    await any_provider.publish(HOURLY)
    await raters.at(2)
    await any_provider.subscribe(10**6, plan="hourly")
    found = await any_provider.world.find("pop1/bras|s1", "bob")
    booking = (await raters.at(1)).advance(
        "pop1/bras|s1",
        [any_provider.report(START)],
        found,
        boot=None,
        credit=Credit(),
        archived=False,
        now_ms=any_provider.clock(),
    )
    assert isinstance(booking, Booking)
    assert booking.findings == ("opened",)


async def test_each_session_gets_a_name_of_its_own(any_provider: Provider) -> None:
    await any_provider.subscribe(10**6)
    await any_provider.say(*(any_provider.report(START, session=f"s{n}") for n in range(20)))
    uids = {(await any_provider.session(f"s{n}")).uid for n in range(20)}
    assert len(uids) == 20
    assert all(int.from_bytes(uid[:6]) == any_provider.clock() for uid in uids)
