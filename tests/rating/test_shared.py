"""Buckets that are renewed, roll over and end; units that are counted by cycle."""

from datetime import datetime
from zoneinfo import ZoneInfo

from rating.allowance import Allowance, Unit
from rating.calendar import DAY, Cycle, Period
from rating.shared import Shared, copy, decode_shared, encode_shared

BERLIN = ZoneInfo("Europe/Berlin")
CYCLE = Cycle(BERLIN)


def moment(*local: int) -> int:
    year, month, day = local
    return int(datetime(year, month, day, 12, tzinfo=BERLIN).timestamp())


def left(shared: Shared, at: int) -> list[int]:
    return [bucket.left for bucket in shared.usable(Unit.OCTETS, "p", "amy", at)]


def test_what_is_left_rolls_over_up_to_the_limit_and_stays_visible() -> None:
    monthly = Allowance("data", Unit.OCTETS, 100, rollover=30)
    shared = Shared()
    january, february = moment(2026, 1, 5), moment(2026, 2, 5)
    shared.renew(monthly, "p", "amy", CYCLE, january)
    shared.buckets[0].left = 50
    shared.renew(monthly, "p", "amy", CYCLE, february)
    assert left(shared, february) == [130]
    assert left(shared, january) == [20]  # what did not go over; late usage may still have it
    # Two months that nobody used at all do not add up beyond the limit.
    shared.renew(monthly, "p", "amy", CYCLE, moment(2026, 5, 5))
    assert left(shared, moment(2026, 5, 5)) == [130]


def test_late_usage_finds_the_period_that_nobody_had_opened() -> None:
    daily = Allowance("data", Unit.OCTETS, 100, period=Period.DAY)
    shared = Shared()
    shared.renew(daily, "p", "amy", CYCLE, moment(2026, 1, 6))
    shared.renew(daily, "p", "amy", CYCLE, moment(2026, 1, 5))
    assert left(shared, moment(2026, 1, 5)) == [100]
    assert len(shared.buckets) == 2


def test_days_count_from_the_first_use_and_go_on_without_a_gap() -> None:
    thirty = Allowance("data", Unit.OCTETS, 100, period=Period.DAYS, days=30)
    shared = Shared()
    first = moment(2026, 1, 5)
    shared.renew(thirty, "p", "amy", CYCLE, first)
    shared.renew(thirty, "p", "amy", CYCLE, first + 95 * DAY)
    assert [bucket.since for bucket in shared.buckets] == [first, first + 90 * DAY]


def test_each_has_its_own_unless_it_is_shared() -> None:
    own = Allowance("data", Unit.OCTETS, 100, shared=False)
    shared = Shared()
    for owner in ("amy", "bob", "amy"):
        shared.renew(own, "p", owner, CYCLE, moment(2026, 1, 5))
    assert [bucket.owner for bucket in shared.buckets] == ["amy", "bob"]
    assert left(shared, moment(2026, 1, 5)) == [100]


def test_only_so_many_ended_ones_are_kept() -> None:
    daily = Allowance("data", Unit.OCTETS, 100, period=Period.DAY)
    shared = Shared()
    for day in range(1, 29):
        shared.renew(daily, "p", "amy", CYCLE, moment(2026, 1, day))
    assert len(shared.buckets) == 17
    assert left(shared, moment(2026, 1, 28)) == [100]


def test_units_of_an_old_cycle_count_to_the_oldest_that_is_known() -> None:
    shared = Shared()
    for number in (5, 6, 7):
        shared.units("g", number).units += 10
    assert [count.number for count in shared.counts] == [6, 7]
    assert shared.units("g", 3).number == 6


def test_a_copy_is_another_and_octets_keep_their_value() -> None:
    shared = Shared()
    big = Allowance("data", Unit.OCTETS, 2**62, rollover=2**62)
    shared.renew(big, "p", "amy", CYCLE, moment(2026, 1, 5))
    shared.renew(big, "p", "amy", CYCLE, moment(2026, 2, 5))
    again = decode_shared(encode_shared(shared))
    assert again == shared
    assert again.buckets[1].left == 2**63
    other = copy(shared)
    other.buckets[0].left = 1
    assert shared.buckets[0].left != 1
