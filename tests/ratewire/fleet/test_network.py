"""Loss, copies and detours."""

from random import Random

import pytest

from ratewire.fleet.network import Toll, Weather, deliveries

MANY = 10_000


def test_in_fine_weather_everything_arrives_at_once_and_nothing_is_drawn() -> None:
    random, toll = Random(1), Toll()
    before = random.getstate()
    assert deliveries(Weather(), random, toll) == (0.0,)
    assert (random.getstate(), toll) == (before, Toll())


@pytest.mark.parametrize(
    "weather",
    [
        Weather(loss=0.2),
        Weather(duplicates=0.2),
        Weather(reorder=0.2),
        Weather(loss=0.2, duplicates=0.2, reorder=0.2, detour_s=0.5),
    ],
)
def test_shares_are_as_asked_and_the_toll_says_what_happened(weather: Weather) -> None:
    random, toll = Random(7), Toll()
    seen = [deliveries(weather, random, toll) for _ in range(MANY)]
    arrived = [each for each in seen if each]
    assert toll.lost == MANY - len(arrived)
    assert toll.duplicated == sum(len(each) == 2 for each in arrived)
    assert toll.delayed == sum(each[0] > 0 for each in arrived)
    assert all(0 <= delay <= weather.detour_s for each in arrived for delay in each)
    assert toll.lost / MANY == pytest.approx(weather.loss, abs=0.02)
    assert toll.duplicated / len(arrived) == pytest.approx(weather.duplicates, abs=0.02)
    assert toll.delayed / len(arrived) == pytest.approx(weather.reorder, abs=0.02)


def test_the_same_seed_makes_the_same_weather() -> None:
    weather = Weather(0.3, 0.3, 0.3)
    one, other, another = (
        [deliveries(weather, random, Toll()) for _ in range(50)]
        for random in (Random(5), Random(5), Random(6))
    )
    assert one == other != another
