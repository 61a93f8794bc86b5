"""What a fleet tells in the end."""

import msgspec
import pytest

from ratewire.fleet.accounting import Tally
from ratewire.fleet.nas import Obedient
from ratewire.fleet.network import Toll
from ratewire.fleet.summary import Summary, summarize


def summary(tally: Tally, *, elapsed: float = 2.0) -> Summary:
    return summarize(
        tally,
        Obedient(disconnects=3, disconnects_obeyed=2, disconnects_refused=1, changes=1),
        Toll(lost=5, unsendable=1, last_error="Network is unreachable"),
        nases=4,
        users=50,
        seed=9,
        elapsed=elapsed,
        unanswered=7,
    )


def test_it_says_what_was_counted() -> None:
    told = summary(Tally(starts=1, interims=20, stops=300, others=4000, acknowledged=101))
    assert told.records == 4321
    assert told.records_per_second == 50
    assert (told.lost, told.unsendable, told.last_error) == (5, 1, "Network is unreachable")
    assert (told.disconnects, told.disconnects_obeyed, told.disconnects_refused) == (3, 2, 1)
    assert (told.unanswered, told.nases, told.users, told.seed) == (7, 4, 50, 9)


@pytest.mark.parametrize(
    ("times", "p50", "p99"),
    [
        ([], 0, 0),
        ([0.0004], 400, 400),
        ([0.003, 0.001, 0.002], 2000, 3000),
        ([n / 1000 for n in range(100, 0, -1)], 50_000, 99_000),
        ([n / 1000 for n in range(1, 201)], 100_000, 198_000),
    ],
)
def test_percentiles_are_those_of_the_nearest_rank(times: list[float], p50: int, p99: int) -> None:
    tally = Tally()
    tally.answer_times.extend(times)
    told = summary(tally)
    assert (told.answer_us_p50, told.answer_us_p99) == (p50, p99)


def test_a_run_of_no_time_has_no_rate() -> None:
    assert summary(Tally(acknowledged=5), elapsed=0.0).records_per_second == 0


def test_it_is_plain_json() -> None:
    told = summary(Tally(octets_in=2**40))
    assert msgspec.json.decode(msgspec.json.encode(told), type=Summary) == told
