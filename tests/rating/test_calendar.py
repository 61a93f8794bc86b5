"""Local time: bands, days of 23 and 25 hours, leap days, holidays, billing periods."""

import random
from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest

from rating.calendar import HOLIDAY, WEEKDAYS, Band, Calendar, Cycle, Period
from rating.plan import Plan
from rating.tariff import Tariff
from tests.rating.oracle import band_of
from tests.rating.rich import HOLIDAYS, SPECIAL, ZONES

BERLIN = ZoneInfo("Europe/Berlin")
NIGHT = Band("night", start=22 * 60, end=6 * 60)


def at(zone: ZoneInfo, *when: int) -> int:
    """The Unix second of a local time."""
    year, month, day, hour, minute = (*when, 0, 0)[:5]
    return int(datetime(year, month, day, hour, minute, tzinfo=zone).timestamp())


def days(*local: int, band: Band = NIGHT, holidays: tuple[date, ...] = ()) -> list[int]:
    """Hours outside and inside a band of one local day in Berlin."""
    year, month, day = local
    start, end = at(BERLIN, year, month, day), at(BERLIN, year, month, day + 1)
    found = Calendar([band], holidays, BERLIN).seconds(start, end)
    assert sum(found) == end - start
    return [seconds // 3600 for seconds in found]


def test_a_night_loses_the_hour_that_a_clock_skips_and_gains_the_one_it_repeats() -> None:
    assert days(2026, 3, 28) == [16, 8]
    assert days(2026, 3, 29) == [16, 7]
    assert days(2026, 10, 25) == [16, 9]


def test_a_holiday_is_no_weekday() -> None:
    weekend = Band("weekend", days=("sat", "sun", HOLIDAY))
    assert days(2026, 5, 1, band=weekend) == [24, 0]
    assert days(2026, 5, 1, band=weekend, holidays=(date(2026, 5, 1),)) == [0, 24]
    plain = Band("weekend", days=("sat", "sun"))
    assert days(2026, 5, 2, band=plain, holidays=(date(2026, 5, 2),)) == [24, 0]


def test_a_night_belongs_to_the_day_it_begins_on() -> None:
    friday = Band("friday night", days=("fri",), start=22 * 60, end=6 * 60)
    assert days(2026, 5, 1, band=friday) == [22, 2]
    assert days(2026, 5, 2, band=friday) == [18, 6]


def test_the_greater_weight_holds_then_the_earlier_band() -> None:
    start = at(BERLIN, 2026, 5, 1)
    peak = Band("peak", start=18 * 60, end=23 * 60, weight=1)
    assert Calendar([NIGHT, peak], (), BERLIN).seconds(start, start + 86_400) == [
        12 * 3600,
        7 * 3600,
        5 * 3600,
    ]
    again = Band("again", start=22 * 60, end=6 * 60)
    assert Calendar([NIGHT, again], (), BERLIN).seconds(start, start + 86_400)[2] == 0


def test_any_interval_is_as_a_clock_on_the_wall_shows() -> None:
    rnd = random.Random(4)
    for _ in range(60):
        bands = tuple(
            Band(
                str(number),
                tuple(rnd.sample((*WEEKDAYS, HOLIDAY), rnd.randint(1, 8))),
                rnd.randrange(1440),
                rnd.randrange(1440),
                rnd.randint(0, 2),
            )
            for number in range(rnd.randint(1, 4))
        )
        zone = rnd.choice(ZONES)
        start = rnd.choice(SPECIAL) + rnd.randrange(-90_000, 90_000)
        end = start + rnd.randrange(rnd.choice([100, 20_000]))
        plan = Plan("p", 1, Tariff("EUR", (), bands=bands, holidays=HOLIDAYS))
        expected = [0] * (len(bands) + 1)
        for moment in range(start, end):
            name = band_of(plan, moment, zone)
            expected[int(name) + 1 if name else 0] += 1
        assert Calendar(bands, HOLIDAYS, zone).seconds(start, end) == expected


def test_a_year_is_the_sum_of_its_days() -> None:
    bands = [NIGHT, Band("weekend", days=("sat", "sun"), weight=2)]
    made = Calendar(bands, HOLIDAYS, BERLIN)
    first = at(BERLIN, 2024, 1, 1)
    total = [0, 0, 0]
    for day in range(366):
        for band, seconds in enumerate(
            made.seconds(first + day * 86_400, first + (day + 1) * 86_400)
        ):
            total[band] += seconds
    assert made.seconds(first, first + 366 * 86_400) == total


@pytest.mark.parametrize("zone", ZONES, ids=str)
def test_each_moment_is_in_one_period(zone: ZoneInfo) -> None:
    rnd = random.Random(7)
    for _ in range(400):
        cycle = Cycle(zone, rnd.randint(1, 31))
        for period in (Period.CYCLE, Period.MONTH, Period.WEEK, Period.DAY):
            moment = rnd.choice([rnd.randrange(3 * 10**9), rnd.choice(SPECIAL)])
            number = cycle.number(period, moment)
            assert cycle.start(period, number) <= moment < cycle.start(period, number + 1)


def test_a_cycle_of_the_31st_begins_on_the_last_day_of_a_short_month() -> None:
    cycle = Cycle(BERLIN, 31)
    february = cycle.number(Period.CYCLE, at(BERLIN, 2024, 3, 1))
    assert cycle.start(Period.CYCLE, february) == at(BERLIN, 2024, 2, 29)
    assert cycle.start(Period.CYCLE, february + 1) == at(BERLIN, 2024, 3, 31)
    assert cycle.start(Period.CYCLE, february - 1) == at(BERLIN, 2024, 1, 31)
