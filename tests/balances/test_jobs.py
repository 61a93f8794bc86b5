"""What enforcement jobs are."""

import msgspec

from balances.jobs import Action, Change, Job


def test_what_a_change_asks_for_is_one_text() -> None:
    job = Job("u-change", "n|1", "a", "policy", "scheduled", 0, 0, 0, 0)
    job = msgspec.structs.replace(
        job, action="throttle", treatment="throttle", wanted="9/9", pending="throttle,quota"
    )
    assert job.asked == "throttle,quota=throttle=9/9"


def test_a_change_goes_to_the_store_as_three_texts() -> None:
    packed = msgspec.msgpack.encode(Change(Action.REDIRECT, "portal", "policy"))
    assert msgspec.msgpack.decode(packed) == ["redirect", "portal", "policy"]
