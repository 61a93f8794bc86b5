"""The plans as they are published, and which version a session is rated by."""

import msgspec

from ratewire.pipeline.plans import Plans, encode_plan, published_name
from tests.ratewire.records import HOURLY, METERED

VERSIONS = [msgspec.structs.replace(METERED, version=number) for number in (10, 2, 9)]
PUBLISHED = {published_name(plan): encode_plan(plan) for plan in (*VERSIONS, HOURLY)}


def test_a_session_opens_with_the_newest_version_whatever_the_order() -> None:
    plans = Plans(3, PUBLISHED)
    assert plans.newest("metered") == VERSIONS[0]
    assert plans.newest("hourly") == HOURLY
    assert plans.newest("nothing") is None


def test_a_session_keeps_the_version_it_was_opened_with() -> None:
    plans = Plans(3, PUBLISHED)
    assert [plans.version("metered", n) for n in (2, 9, 10)] == [
        VERSIONS[1],
        VERSIONS[2],
        VERSIONS[0],
    ]
    assert plans.version("metered", 1) is None


def test_nothing_published_is_nothing_sold() -> None:
    assert Plans().newest("metered") is None
