"""Who observes nothing takes whatever the working parts tell."""

from ratewire.observer import Observer, Silent
from ratewire.telemetry import Telemetry
from tests.ratewire.provider import START, Counting, Provider


async def test_the_working_parts_need_nobody_to_observe_them(provider: Provider) -> None:
    observers: list[Observer] = [Silent(), Telemetry("test"), Counting()]
    await provider.subscribe(5_000_000)
    for number, observer in enumerate(observers):
        provider.observer = observer  # pyright: ignore[reportAttributeAccessIssue] -- any will do
        start = provider.report(START, session=f"s{number}")
        assert await provider.say(start, to=provider.worker()) == [True]
