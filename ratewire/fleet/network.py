"""What happens to a datagram on its way: nothing, loss, a second copy, or a detour. Pure."""

from random import Random

import msgspec


class Weather(msgspec.Struct, frozen=True):
    """Probabilities, 0 to 1, per datagram and direction; a detour takes up to `detour_s` seconds.

    A datagram that takes a detour is overtaken by those sent after it: that is the reordering.
    """

    loss: float = 0.0
    duplicates: float = 0.0
    reorder: float = 0.0
    detour_s: float = 1.0

    @property
    def fine(self) -> bool:
        """Whether nothing ever happens."""
        return not (self.loss or self.duplicates or self.reorder)


class Toll(msgspec.Struct):
    """What the network did, in both directions. `unsendable` is what the system did not take."""

    lost: int = 0
    duplicated: int = 0
    delayed: int = 0
    unsendable: int = 0
    last_error: str = ""


_AT_ONCE = (0.0,)


def deliveries(weather: Weather, random: Random, toll: Toll) -> tuple[float, ...]:
    """Return after how many seconds a datagram arrives; none if it is lost, two if repeated."""
    if weather.fine:
        return _AT_ONCE
    if random.random() < weather.loss:
        toll.lost += 1
        return ()
    first, second = 0.0, None
    if random.random() < weather.duplicates:
        toll.duplicated += 1
        second = random.uniform(0, weather.detour_s)
    if random.random() < weather.reorder:
        toll.delayed += 1
        first = random.uniform(0, weather.detour_s)
    return (first,) if second is None else (first, second)
