"""How much to set aside for the next slice of a session, and how long what was granted lasts.

The slice is what the session will probably use until its next report: its counters are projected
ahead at its recent pace, and priced as usage is. So one rule serves every tariff, and a reservation
can never disagree with the charge that replaces it.
"""

from collections.abc import Callable

import msgspec

from rating.charge import running_total
from rating.plan import Plan, Policy
from rating.pool import copy
from rating.quantity import NOTHING, Counters
from rating.tally import Sharing, add, of_meter
from rating.usage import Meter

#: Reports come later than asked for (jitter, retransmission): a slice lasts a quarter longer.
_MARGIN_NUMERATOR, _MARGIN_DENOMINATOR = 5, 4

#: An interval that a NAS would not use: RFC 2869, section 2.1 asks for at least 60 s; we follow
#: what it really does, within these bounds.
MIN_INTERVAL_S = 10

#: A report that comes sooner after another is an extra one (an address was assigned, say): it shows
#: neither how often the session is going to report nor how fast it uses.
EXTRA_REPORT_S = 5

#: After so many intervals a session is taken at its word about how often it reports.
KNOWN_INTERVALS = 3
MAX_INTERVAL_S = 86_400

#: A slice beyond a billion currency units is a broken counter's doing; it keeps sums exact.
MAX_SLICE_MICROS = 10**15


class Pace(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """How fast a session uses, from its last reports. Rates are octets per second.

    `rate_*` follow the session smoothly, `last_*` are the last interval's alone. `interval` is the
    longest recent time between two reports, in seconds, and what is expected as long as none was
    seen; `intervals` counts those seen, up to KNOWN_INTERVALS. `extra` is the time and the octets
    of reports that came too soon to make an interval.
    """

    interval: int
    intervals: int = 0
    rate_in: int = 0
    rate_out: int = 0
    last_in: int = 0
    last_out: int = 0
    extra: Counters = NOTHING

    @property
    def known(self) -> bool:
        """Whether the session has shown how fast it uses."""
        return self.intervals > 0


def observe(pace: Pace, usage: Counters, elapsed: int) -> Pace:
    """Return the pace after a report that came `elapsed` seconds after the one before it.

    The interval follows a longer one at once and a shorter one slowly: what may be used between
    two reports has to be set aside for the longest real interval, not for the one asked for.
    """
    if elapsed <= 0:
        return pace
    so_far = pace.extra + Counters(elapsed, usage.octets_in, usage.octets_out)
    if so_far.seconds < EXTRA_REPORT_S:
        return msgspec.structs.replace(pace, extra=so_far)
    elapsed = so_far.seconds
    last_in, last_out = so_far.octets_in // elapsed, so_far.octets_out // elapsed
    bounded = min(max(elapsed, MIN_INTERVAL_S), MAX_INTERVAL_S)
    return Pace(
        interval=max(bounded, (3 * pace.interval + bounded) // 4) if pace.intervals else bounded,
        intervals=min(pace.intervals + 1, KNOWN_INTERVALS),
        rate_in=(pace.rate_in + last_in) // 2 if pace.rate_in else last_in,
        rate_out=(pace.rate_out + last_out) // 2 if pace.rate_out else last_out,
        last_in=last_in,
        last_out=last_out,
    )


def longest_silence(pace: Pace, expected: int, factor: int) -> int:
    """Return for how many seconds a live session may say nothing: `factor` of its intervals.

    Until enough of them were seen, none counts as shorter than what is `expected`: a few early
    reports must not have a session taken for lost before its first regular one.
    """
    interval = pace.interval
    if pace.intervals < KNOWN_INTERVALS:
        interval = max(interval, expected)
    return factor * interval


def slice_seconds(pace: Pace) -> int:
    """Return for how long a slice is set aside."""
    return pace.interval * _MARGIN_NUMERATOR // _MARGIN_DENOMINATOR


#: What further usage of a session would be charged, were it to begin now.
Cost = Callable[[Counters], int]


def cost_of(plan: Plan, meter: Meter, sharing: Sharing | None = None) -> Cost:
    """Return what further usage of an open session would cost, by its tariff.

    With `sharing` also by the time bands that are ahead, and by what the account's allowances have
    left; its tally is the session's as it is now.
    """
    if sharing is None:
        return lambda ahead: running_total(plan.tariff, meter.used + ahead) - meter.total_micros
    subject, pool = sharing.subject, sharing.pool
    tally = sharing.tally or of_meter(plan, meter)
    return lambda ahead: (
        add(plan, tally, ahead, tally.at + ahead.seconds, copy(pool), subject).charge_micros
        if ahead
        else 0
    )


def wanted(plan: Plan, meter: Meter, pace: Pace, cost: Cost | None = None) -> int:
    """Return the micros to set aside for an open session until its next report."""
    ahead = _ahead(plan, pace, slice_seconds(pace))
    return min((cost or cost_of(plan, meter))(ahead), MAX_SLICE_MICROS)


def lasts(
    plan: Plan, meter: Meter, pace: Pace, granted_micros: int, cost: Cost | None = None
) -> int | None:
    """Return for how many seconds after its last report a session may go on with what it has.

    The greatest number of seconds at which the projected charge does not exceed `granted_micros`;
    None if it would not within a slice, or if the policy is to wait for a report. Seconds advance
    exactly, so for a tariff of seconds the answer is exact; octets advance at the pace that the
    plan's policy names. With nothing granted, octets are taken to be used at the plan's reserve
    rate whatever the policy, so that an idle session without credit ends too.
    """
    horizon = slice_seconds(pace)
    price_ahead = cost or cost_of(plan, meter)

    def affordable(seconds: int) -> bool:
        if granted_micros <= 0:
            ahead = _reserve_rate(plan, pace, seconds, horizon)
        else:
            ahead = _forecast(plan, pace, seconds, horizon)
        return price_ahead(ahead) <= granted_micros

    if affordable(horizon):
        return None
    low, high = 0, horizon  # affordable at low (what is paid is paid), not at high
    while high - low > 1:
        middle = (low + high) // 2
        if affordable(middle):
            low = middle
        else:
            high = middle
    return low


class Slice(msgspec.Struct, frozen=True, gc=False):
    """What an open session is given until its next report.

    `want_micros` is what it should have, `grant_micros` what there is for it (0 <= grant <= want).
    `lasts_seconds` counts from its last report to the moment it must be cut; None if it need not.
    """

    want_micros: int
    grant_micros: int
    lasts_seconds: int | None


#: A session that may not begin.
REFUSED = Slice(0, 0, 0)


def size(
    plan: Plan,
    meter: Meter,
    pace: Pace,
    available_micros: int | None,
    *,
    begins: bool,
    sharing: Sharing | None = None,
) -> Slice:
    """Return the next slice of an open session.

    `available_micros` is what its account has beyond all other reservations, None for unlimited
    credit; it is negative after an overspend. A session that only begins needs the plan's minimum
    credit.
    """
    cost = cost_of(plan, meter, sharing)
    want = wanted(plan, meter, pace, cost)
    if want == 0 or available_micros is None:
        return Slice(want, want, None)
    if begins and (available_micros <= 0 or available_micros < plan.minimum_credit_micros):
        return REFUSED
    grant = min(want, max(available_micros, 0))
    return Slice(want, grant, None if grant == want else lasts(plan, meter, pace, grant, cost))


def _ahead(plan: Plan, pace: Pace, seconds: int) -> Counters:
    """What a slice is set aside for: the fastest recent pace, but at least the plan's reserve."""
    return Counters(
        seconds,
        max(max(pace.rate_in, pace.last_in) * seconds, plan.reserve_octets),
        max(max(pace.rate_out, pace.last_out) * seconds, plan.reserve_octets),
    )


def _reserve_rate(plan: Plan, pace: Pace, seconds: int, horizon: int) -> Counters:
    """The slice of `_ahead`, used up evenly."""
    whole = _ahead(plan, pace, horizon)
    return Counters(
        seconds,
        whole.octets_in * seconds // horizon,
        whole.octets_out * seconds // horizon,
    )


def _forecast(plan: Plan, pace: Pace, seconds: int, horizon: int) -> Counters:
    match plan.policy:
        case Policy.LENIENT:
            return Counters(seconds)
        case Policy.BALANCED if pace.known:
            return Counters(seconds, pace.rate_in * seconds, pace.rate_out * seconds)
        case Policy.STRICT | Policy.BALANCED:
            return _reserve_rate(plan, pace, seconds, horizon)
