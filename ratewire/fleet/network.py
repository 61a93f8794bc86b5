"""What happens to a datagram on its way: nothing, loss, a second copy, or a detour. Pure."""

from random import Random

import msgspec


class Weather(msgspec.Struct, frozen=True):
    """Probabilities, 0 to 1, per datagram; a detour takes up to `detour_s` seconds."""

    loss: float = 0.0
    duplicates: float = 0.0
    reorder: float = 0.0
    detour_s: float = 1.0


class Toll(msgspec.Struct):
    """What the network did."""

    lost: int = 0
    duplicated: int = 0
    delayed: int = 0


def deliveries(weather: Weather, random: Random, toll: Toll) -> list[float]:
    """Return after how many seconds a datagram arrives; none if it is lost, two if repeated."""
    if random.random() < weather.loss:
        toll.lost += 1
        return []
    delays = [0.0]
    if random.random() < weather.duplicates:
        toll.duplicated += 1
        delays.append(random.uniform(0, weather.detour_s))
    if random.random() < weather.reorder:
        toll.delayed += 1
        delays[0] = random.uniform(0, weather.detour_s)
    return delays
