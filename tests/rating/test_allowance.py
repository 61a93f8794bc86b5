"""What allowances may be, and the order in which buckets burn."""

from rating.allowance import NEVER, Allowance, Bucket, Scope, Unit
from rating.calendar import Period
from rating.tariff import Counter


def test_all_faults_are_named() -> None:
    faults = Allowance(
        name="",
        unit=Unit.SECONDS,
        amount=-1,
        period=Period.DAYS,
        scope=Scope((Counter.OCTETS_IN,)),
    ).faults()
    assert len(faults) == 4
    text = "; ".join(faults)
    for part in ("amount is -1", "days is 0, allowed is 1", "name of 1 to 64", "cannot be used"):
        assert part in text


def test_what_is_granted_once_does_not_roll_over() -> None:
    (fault,) = Allowance("a", Unit.OCTETS, 1, period=Period.ONCE, rollover=1).faults()
    assert "does not roll over" in fault


def bucket(name: str, priority: int, since: int, until: int, order: int) -> Bucket:
    return Bucket(name, Unit.OCTETS, 1, 1, priority, since, until, order)


def test_priority_burns_first_then_the_soonest_to_expire_then_the_oldest() -> None:
    buckets = [
        bucket("last", 2, 0, 10, 1),
        bucket("never", 1, 0, NEVER, 2),
        bucket("younger", 1, 5, 20, 3),
        bucket("older", 1, 4, 20, 4),
        bucket("soon", 1, 9, 15, 5),
        bucket("same, granted later", 1, 5, 20, 6),
    ]
    buckets.sort(key=lambda each: each.burn_order)
    assert [each.name for each in buckets] == [
        "soon",
        "older",
        "younger",
        "same, granted later",
        "never",
        "last",
    ]


def test_a_bucket_may_belong_to_a_plan_and_a_user() -> None:
    mine = Bucket("a", Unit.OCTETS, 1, 1, 1, 0, NEVER, plan="family", owner="amy")
    assert mine.open_to("family", "amy")
    assert not mine.open_to("family", "bob")
    assert not mine.open_to("other", "amy")
