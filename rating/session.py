"""One report's way through rating: fold the counters, price what they add, follow the pace."""

import msgspec

from rating.charge import Line, running_total
from rating.money import MAX_MICROS
from rating.plan import Plan
from rating.pool import copy
from rating.quantity import NOTHING, Counters
from rating.reservation import Pace, observe
from rating.tally import Sharing, Tally, add, begin, of_meter
from rating.tally import total as tally_total
from rating.usage import Finding, Fold, Meter, Report, fold

# Named here for what is done for every record: see rating.money.
_CLOSED, _RESTARTED = Finding.CLOSED, Finding.RESTARTED

#: No session uses more than this in a direction, in octets a second (100 Gbit/s), nor more at once
#: than in so many seconds; a counter that says so is a broken one.
MAX_RATE = 12_500_000_000
BURST_S = 60

#: No session lasts longer than ten years. A broken NAS sends -1, or the time of day.
MAX_SECONDS = 10 * 366 * 86_400


class Rated(msgspec.Struct, frozen=True, gc=False):
    """What one report did to its session.

    `usage` and `charge_micros` are what it added (never negative). `implausible` tells that its
    counters are beyond what any line carries, or would cost more than any account can hold: a
    broken NAS, not usage; then the session is as it was and nothing is charged. `tally` and `lines`
    are there if it was priced by a tally.
    """

    meter: Meter
    pace: Pace
    usage: Counters
    charge_micros: int
    finding: Finding
    fell: bool = False
    implausible: bool = False
    tally: Tally | None = None
    lines: tuple[Line, ...] = ()


def rate(
    plan: Plan,
    meter: Meter | None,
    pace: Pace,
    report: Report,
    *,
    boot: int | None = None,
    wraps_32: bool = False,
) -> Rated:
    """Rate one report of a session under a plan; see `rating.usage.fold` for the arguments."""
    return price(plan, meter, pace, fold(meter, report, boot=boot, wraps_32=wraps_32))


def price(
    plan: Plan, before: Meter | None, pace: Pace, folded: Fold, sharing: Sharing | None = None
) -> Rated:
    """Price what a report added to a session that stood at `before`.

    The charge is the running total after the report minus the total charged so far, so the charges
    of a session epoch always sum to the price of its counters. Without `sharing` the plan's tariff
    must be simple and without allowances.
    """
    if sharing is not None:
        return _price_by_tally(plan, before, pace, folded, sharing)
    if not folded.finding.changes or not folded.usage:
        return Rated(folded.meter, pace, NOTHING, 0, folded.finding, folded.fell)
    total = running_total(plan.tariff, folded.meter.used)
    if total > MAX_MICROS or _beyond(folded.meter):
        return _implausible(before, pace, folded)
    charge = total - folded.meter.total_micros
    assert charge >= 0, (folded.meter, total)
    return Rated(
        folded.meter.charged(total),
        _follow(pace, before, folded),
        folded.usage,
        charge,
        folded.finding,
        folded.fell,
    )


def _price_by_tally(
    plan: Plan, before: Meter | None, pace: Pace, folded: Fold, sharing: Sharing
) -> Rated:
    refused = _implausible(before, pace, folded) if _beyond(folded.meter) else None
    meter = folded.meter if refused is None else refused.meter
    begins = before is None or folded.finding is _RESTARTED
    tally = None if begins else sharing.tally
    if tally is None:
        if before is None or begins:
            tally = begin(
                plan,
                meter.started,
                meter.started + meter.base.seconds,
                sharing.subject.service,
            )
        else:
            tally = of_meter(plan, before)
    if refused is not None:
        return msgspec.structs.replace(refused, tally=tally)
    if not folded.finding.changes or not folded.usage:
        return Rated(meter, pace, NOTHING, 0, folded.finding, folded.fell, tally=tally)
    trial = copy(sharing.pool)
    priced = add(plan, tally, folded.usage, moment_of(tally, meter), trial, sharing.subject)
    if tally_total(plan, priced.tally) > MAX_MICROS:
        return msgspec.structs.replace(_implausible(before, pace, folded), tally=tally)
    sharing.pool = trial
    return Rated(
        meter.charged(meter.total_micros + priced.charge_micros),
        _follow(pace, before, folded),
        folded.usage,
        priced.charge_micros,
        folded.finding,
        folded.fell,
        tally=priced.tally,
        lines=priced.lines,
    )


def moment_of(tally: Tally, meter: Meter) -> int:
    """Return the moment up to which a meter's usage reaches, on the session's own axis of time.

    A NAS that sends no session time leaves only its event times to go by.
    """
    seconds = meter.marks.seconds
    return tally.anchor + seconds if seconds else max(tally.at, meter.last_event)


def _beyond(meter: Meter) -> bool:
    """Whether no line could have carried what a session counts in the time that it has lasted."""
    marks = meter.marks
    lasted = meter.last_event - meter.started
    most = MAX_RATE * (BURST_S + (max(marks.seconds, lasted)))
    return marks.octets_out > most or marks.octets_in > most or marks.seconds > MAX_SECONDS


def _follow(pace: Pace, before: Meter | None, folded: Fold) -> Pace:
    if before is None or folded.finding is _RESTARTED:
        return Pace(pace.interval)
    return observe(pace, folded.usage, folded.meter.last_event - before.last_event)


def _implausible(before: Meter | None, pace: Pace, folded: Fold) -> Rated:
    """The session opens or closes all the same, but without the counters that cannot be."""
    if before is None:
        meter = msgspec.structs.replace(folded.meter, marks=folded.meter.base)
        if folded.meter.marks.seconds > MAX_SECONDS:
            # Neither can that be when it began.
            meter = msgspec.structs.replace(meter, started=meter.last_event, begun=meter.last_event)
    elif folded.finding is _CLOSED:
        meter = msgspec.structs.replace(before, phase=folded.meter.phase)
    else:
        return Rated(before, pace, NOTHING, 0, Finding.NOTHING, implausible=True)
    return Rated(meter, pace, NOTHING, 0, folded.finding, implausible=True)
