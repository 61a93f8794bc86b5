"""The plans as they are published, and which version a session is rated by."""

import msgspec
from structlog.testing import capture_logs

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


def test_a_version_that_is_not_understood_is_left_to_who_understands_it() -> None:
    """A newer process published it, in a rolling update: nobody may be given the older price."""
    newer = PUBLISHED | {"metered@11": b'{"name": "metered", "version": 11, "news": true}'}
    with capture_logs() as lines:
        plans = Plans(4, newer)
    assert [line["plan"] for line in lines] == ["metered@11"]
    assert not plans.understands("metered")
    assert plans.version("metered", 10) == VERSIONS[0]
    assert plans.understands("hourly")
    assert plans.understands("nothing"), "what is not there is not sold"
    again = msgspec.structs.replace(METERED, version=12)
    assert Plans(5, newer | {"metered@12": encode_plan(again)}).understands("metered")


def test_nothing_published_is_nothing_sold() -> None:
    assert Plans().newest("metered") is None
