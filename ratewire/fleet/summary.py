"""What a fleet tells in the end: what it sent, what was answered, what it was told. Pure."""

from collections.abc import Sequence

import msgspec

from ratewire.fleet.accounting import Tally
from ratewire.fleet.nas import Obedient
from ratewire.fleet.network import Toll


class Summary(msgspec.Struct, frozen=True):
    """What a fleet sent, and what came of it.

    `octets_in`, `octets_out` and `seconds` are what the acknowledged records say, summed over all
    sessions: what the books must show. `records` counts reports that were made, `superseded` the
    interim reports among them that a newer one took the place of; `answer_us_*` are of the last
    20,000 answers, from a record's first transmission on (microseconds).
    """

    nases: int
    users: int
    seed: int
    elapsed_ms: int
    records: int
    starts: int
    interims: int
    stops: int
    superseded: int
    acknowledged: int
    unanswered: int
    records_per_second: int
    answer_us_p50: int
    answer_us_p99: int
    transmissions: int
    retransmissions: int
    lost: int
    duplicated: int
    delayed: int
    unsendable: int
    last_error: str
    late_replies: int
    bad_replies: int
    disconnects: int
    disconnects_obeyed: int
    disconnects_refused: int
    disconnects_repeated: int
    changes: int
    octets_in: int
    octets_out: int
    seconds: int


def summarize(
    tally: Tally,
    obedient: Obedient,
    toll: Toll,
    *,
    nases: int,
    users: int,
    seed: int,
    elapsed: float,
    unanswered: int,
) -> Summary:
    """Return the summary of a run that took `elapsed` seconds."""
    times = sorted(tally.answer_times)
    return Summary(
        nases=nases,
        users=users,
        seed=seed,
        elapsed_ms=round(elapsed * 1000),
        records=tally.starts + tally.interims + tally.stops + tally.others,
        starts=tally.starts,
        interims=tally.interims,
        stops=tally.stops,
        superseded=tally.superseded,
        acknowledged=tally.acknowledged,
        unanswered=unanswered,
        records_per_second=round(tally.acknowledged / elapsed) if elapsed else 0,
        answer_us_p50=_percentile_us(times, 50),
        answer_us_p99=_percentile_us(times, 99),
        transmissions=tally.transmissions,
        retransmissions=tally.retransmissions,
        lost=toll.lost,
        duplicated=toll.duplicated,
        delayed=toll.delayed,
        unsendable=toll.unsendable,
        last_error=toll.last_error,
        late_replies=tally.late_replies,
        bad_replies=tally.bad_replies,
        disconnects=obedient.disconnects,
        disconnects_obeyed=obedient.disconnects_obeyed,
        disconnects_refused=obedient.disconnects_refused,
        disconnects_repeated=obedient.disconnects_repeated,
        changes=obedient.changes,
        octets_in=tally.octets_in,
        octets_out=tally.octets_out,
        seconds=tally.seconds,
    )


def _percentile_us(ordered: Sequence[float], percent: int) -> int:
    """Return the nearest-rank percentile of ordered seconds, in microseconds; 0 of none."""
    if not ordered:
        return 0
    rank = -(-len(ordered) * percent // 100)
    return round(ordered[rank - 1] * 1_000_000)
