"""What a job needs next. Pure: what was observed goes in, what to note and when to look again out.

An ACK is not proof (some NASes acknowledge before they cut, or cut another session of the user),
and a NAK 503 is none either. Proof is the Stop, which ends the job by itself, or that the session
does not report any more.
"""

import enum

import msgspec

from balances.messages import ClaimedJob
from radius.dynauth import Advice, Outcome, Verdict

#: A report may have been on its way while the NAS cut the session.
CROSSING_MS = 5_000

#: The least time to wait for the Stop that follows an ACK.
PROOF_WAIT_MS = 10_000

#: Between exchanges with a NAS that does not answer, doubling up to the longest.
RETRY_MS = 10_000
LONGEST_RETRY_MS = 300_000

#: Between two looks at a session that is in a walled garden; what ends that is told at once.
GARDEN_MS = 3_600_000

#: Before trying again at a NAS that is not set up to obey.
ALERT_MS = 600_000


class Look(enum.Enum):
    """What a claimed job is due for."""

    SEND = "send"
    WAIT = "wait"
    CLOSE = "close"


class Next(msgspec.Struct, frozen=True):
    """What to do with a claimed job; `again_ms` from now if it is to wait."""

    look: Look
    again_ms: int = 0


class Report(msgspec.Struct, frozen=True):
    """What to note about an exchange, and when the job is due again (from now)."""

    state: str
    result: str
    error_cause: int
    again_ms: int
    alert: bool = False


def look_at(job: ClaimedJob, now_ms: int, slice_ms: int) -> Next:
    """Return what a due job needs. `slice_ms` is how long its session may be silent and live."""
    if job.state == "gardened" and job.cause != "operator":
        return Next(Look.WAIT, GARDEN_MS)
    if job.state not in ("acknowledged", "gone"):
        return Next(Look.SEND)
    if job.stored.seen_ms > job.noted_ms + CROSSING_MS:
        return Next(Look.SEND)  # it still reports
    silent_until = max(job.stored.seen_ms, job.noted_ms) + max(slice_ms, PROOF_WAIT_MS)
    if now_ms >= silent_until:
        return Next(Look.CLOSE)
    return Next(Look.WAIT, silent_until - now_ms)


def report_on(verdict: Verdict, follow: Advice, attempts: int) -> Report:
    """Return what to note after the last exchange of a claim.

    `follow` is the advice when no further identification set is left to try; `attempts` counts all
    transmissions so far.
    """
    cause = verdict.error_cause or 0
    match follow:
        case Advice.AWAIT_STOP:
            return Report("acknowledged", "ack", cause, PROOF_WAIT_MS)
        case Advice.GONE:
            return Report("gone", _named(verdict), cause, PROOF_WAIT_MS)
        case Advice.RETRY:
            return Report("unanswered", _named(verdict), cause, _back_off(attempts))
        case _:
            return Report("refused", _named(verdict), cause, ALERT_MS, alert=True)


def report_on_change(verdict: Verdict, follow: Advice, attempts: int) -> Report:
    """Return what to note after the last exchange about a change: its ACK is all there can be."""
    if verdict.outcome is Outcome.ACK:
        return Report("in_force", "ack", verdict.error_cause or 0, 0)
    return report_on(verdict, follow, attempts)


def _named(verdict: Verdict) -> str:
    if verdict.outcome is Outcome.NAK:
        return "nak" if verdict.error_cause is None else f"nak {verdict.error_cause}"
    return f"{verdict.outcome.value} {verdict.detail}".strip()


def _back_off(attempts: int) -> int:
    """Four or five transmissions make an exchange; each one doubles the time to the next."""
    exchanges = min(-(-attempts // 5), 10)
    return min(RETRY_MS * 2 ** max(exchanges - 1, 0), LONGEST_RETRY_MS)
