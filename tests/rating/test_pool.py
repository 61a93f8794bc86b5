"""Buckets that are renewed, roll over and end; units that are counted by cycle."""

from datetime import datetime
from zoneinfo import ZoneInfo

from rating.allowance import Allowance, Unit
from rating.calendar import DAY, Cycle, Period
from rating.pool import Pool, copy, decode_pool, encode_pool

BERLIN = ZoneInfo("Europe/Berlin")
CYCLE = Cycle(BERLIN)


def moment(*local: int) -> int:
    year, month, day = local
    return int(datetime(year, month, day, 12, tzinfo=BERLIN).timestamp())


def left(pool: Pool, at: int) -> list[int]:
    return [bucket.left for bucket in pool.usable(Unit.OCTETS, "p", "amy", at)]


def test_what_is_left_rolls_over_up_to_the_limit_and_stays_visible() -> None:
    monthly = Allowance("data", Unit.OCTETS, 100, rollover=30)
    pool = Pool()
    january, february = moment(2026, 1, 5), moment(2026, 2, 5)
    pool.renew(monthly, "p", "amy", CYCLE, january)
    pool.buckets[0].left = 50
    pool.renew(monthly, "p", "amy", CYCLE, february)
    assert left(pool, february) == [130]
    assert left(pool, january) == [20]  # what did not go over; late usage may still have it
    # Two months that nobody used at all do not add up beyond the limit.
    pool.renew(monthly, "p", "amy", CYCLE, moment(2026, 5, 5))
    assert left(pool, moment(2026, 5, 5)) == [130]


def test_late_usage_finds_the_period_that_nobody_had_opened() -> None:
    daily = Allowance("data", Unit.OCTETS, 100, period=Period.DAY)
    pool = Pool()
    pool.renew(daily, "p", "amy", CYCLE, moment(2026, 1, 6))
    pool.renew(daily, "p", "amy", CYCLE, moment(2026, 1, 5))
    assert left(pool, moment(2026, 1, 5)) == [100]
    assert len(pool.buckets) == 2


def test_days_count_from_the_first_use_and_go_on_without_a_gap() -> None:
    thirty = Allowance("data", Unit.OCTETS, 100, period=Period.DAYS, days=30)
    pool = Pool()
    first = moment(2026, 1, 5)
    pool.renew(thirty, "p", "amy", CYCLE, first)
    pool.renew(thirty, "p", "amy", CYCLE, first + 95 * DAY)
    assert [bucket.since for bucket in pool.buckets] == [first, first + 90 * DAY]


def test_each_has_its_own_unless_it_is_shared() -> None:
    own = Allowance("data", Unit.OCTETS, 100, shared=False)
    pool = Pool()
    for owner in ("amy", "bob", "amy"):
        pool.renew(own, "p", owner, CYCLE, moment(2026, 1, 5))
    assert [bucket.owner for bucket in pool.buckets] == ["amy", "bob"]
    assert left(pool, moment(2026, 1, 5)) == [100]


def test_only_so_many_ended_ones_are_kept() -> None:
    daily = Allowance("data", Unit.OCTETS, 100, period=Period.DAY)
    pool = Pool()
    for day in range(1, 29):
        pool.renew(daily, "p", "amy", CYCLE, moment(2026, 1, day))
    assert len(pool.buckets) == 17
    assert left(pool, moment(2026, 1, 28)) == [100]


def test_units_of_an_old_cycle_count_to_the_oldest_that_is_known() -> None:
    pool = Pool()
    for number in (5, 6, 7):
        pool.units("g", number).units += 10
    assert [count.number for count in pool.counts] == [6, 7]
    assert pool.units("g", 3).number == 6


def test_a_copy_is_another_and_octets_keep_their_value() -> None:
    pool = Pool()
    big = Allowance("data", Unit.OCTETS, 2**62, rollover=2**62)
    pool.renew(big, "p", "amy", CYCLE, moment(2026, 1, 5))
    pool.renew(big, "p", "amy", CYCLE, moment(2026, 2, 5))
    again = decode_pool(encode_pool(pool))
    assert again == pool
    assert again.buckets[1].left == 2**63
    other = copy(pool)
    other.buckets[0].left = 1
    assert pool.buckets[0].left != 1
