"""Cumulative counters to usage: duplicates, disorder, lost records, wraps, restarts.

A NAS reports counters that are cumulative since the session began (RFC 2869, section 2.1), over a
transport that loses, repeats and reorders. So a session keeps high-water marks, and a report adds
only what goes beyond them: nothing is charged twice and nothing is refunded, whatever the order.

The one thing that must not be mistaken is a counter that fell. It is an old record far more often
than a session that began again under the same Acct-Session-Id, and charging the latter's counters
from zero would charge the former's twice. A new epoch is opened only

1. after an Accounting-On or -Off of its NAS, for a report that began after it;
2. after the session was closed, for a Start that is later than all that was seen of it;
3. when two successive reports agree on a later start (event time minus Acct-Session-Time), both
   with counters that fell, and neither a report that was seen before.

Otherwise the fallen counter charges nothing, and the finding says so. A NAS that sends neither
Event-Timestamp nor Acct-Delay-Time makes each record that it sends again look like one of a later
start: that is why the last reports are remembered, by a few octets each.
"""

import enum

import msgspec

from rating.quantity import NOTHING, Counters

#: Two derived starts this close are the same: clocks tick in seconds, and a NAS without
#: Event-Timestamp is seen through the jitter of its retransmissions.
START_TOLERANCE_S = 10

_WRAP = 2**32

#: So many of the last reports are known again, by so many octets each.
_REMEMBERED, _PRINT_OCTETS = 8, 4
_PRINT_MASK = 2 ** (8 * _PRINT_OCTETS) - 1


class Kind(enum.IntEnum):
    """What a report is, with the values of Acct-Status-Type (RFC 2866, section 5.1)."""

    START = 1
    STOP = 2
    INTERIM = 3


class Phase(enum.IntEnum):
    """Where a session stands. Only OPEN holds a reservation."""

    OPEN = 0
    STOPPED = 1
    LOST = 2
    NAS_DOWN = 3


class Finding(enum.StrEnum):
    """What a report meant for its session. Only the first five change it."""

    OPENED = "opened"
    ADVANCED = "advanced"
    CLOSED = "closed"
    RESTARTED = "restarted"
    SUSPECTED = "suspected"  # counters fell under a later start: a second such report will tell
    NOTHING = "nothing"  # a duplicate, or older than what is known
    EARLIER_EPOCH = "earlier_epoch"  # a late record of a session whose id was used again

    @property
    def changes(self) -> bool:
        """Whether the meter is another one than before."""
        return self is not _NOTHING and self is not _EARLIER_EPOCH


# Named here for what is done for every record: see rating.money.
_START, _STOP = Kind.START, Kind.STOP
_OPEN, _STOPPED, _LOST, _NAS_DOWN = Phase.OPEN, Phase.STOPPED, Phase.LOST, Phase.NAS_DOWN
_ADVANCED, _CLOSED, _NOTHING = Finding.ADVANCED, Finding.CLOSED, Finding.NOTHING
_EARLIER_EPOCH = Finding.EARLIER_EPOCH


class Report(msgspec.Struct, frozen=True, gc=False):
    """What rating needs of one accounting record; a counter that was not sent is None.

    `event_time` is Unix seconds on the NAS's clock, as well as it can be told.
    """

    kind: Kind
    event_time: int
    seconds: int | None = None
    octets_in: int | None = None
    octets_out: int | None = None

    @property
    def begun(self) -> int | None:
        """When the session began by this report alone, or None if it does not say."""
        if self.seconds is not None:
            return self.event_time - self.seconds
        return self.event_time if self.kind is _START else None

    @property
    def print(self) -> bytes:
        """A few octets by which a report with counters is known again; none for one without."""
        seconds, octets_in, octets_out = (
            self.seconds or 0,
            self.octets_in or 0,
            self.octets_out or 0,
        )
        if not (seconds or octets_in or octets_out):
            return b""
        mixed = ((octets_in * 31 + octets_out) * 1_000_003 + seconds) * 8 + self.kind
        return ((mixed ^ mixed >> 32) & _PRINT_MASK).to_bytes(_PRINT_OCTETS)


class Suspect(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A report that looked like a session begun again, kept until the next one agrees or not."""

    begun: int
    seconds: int
    continued: Counters  # marks of the counters that did not fall, which then go on


class Meter(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The counters of one session epoch, and how far they are charged.

    `marks` are the highest counters seen; `base` is where this epoch's charging began (zero but for
    counters that went on through a restart). `started` is the first derived start, `begun` the
    latest. `total_micros` is what the epoch was charged so far. `prints` are those of the last
    reports (`Report.print`), also of the epoch before.
    """

    epoch: int
    phase: Phase
    started: int
    begun: int
    last_event: int
    marks: Counters = NOTHING
    base: Counters = NOTHING
    total_micros: int = 0
    suspect: Suspect | None = None
    prints: bytes = b""

    @property
    def used(self) -> Counters:
        """What the epoch has used, as far as it is charged."""
        marks, base = self.marks, self.base
        return Counters(
            marks.seconds - base.seconds,
            marks.octets_in - base.octets_in,
            marks.octets_out - base.octets_out,
        )

    def charged(self, total_micros: int) -> "Meter":
        """Return the meter as it is once the epoch was charged so much in all."""
        return Meter(
            self.epoch,
            self.phase,
            self.started,
            self.begun,
            self.last_event,
            self.marks,
            self.base,
            total_micros,
            self.suspect,
            self.prints,
        )

    def has_seen(self, wanted: bytes) -> bool:
        """Whether a report is one of the last that came, sent again; by its print."""
        at = self.prints.find(wanted) if wanted else -1
        while at >= 0 and at % _PRINT_OCTETS:
            at = self.prints.find(wanted, at + 1)
        return at >= 0


class Fold(msgspec.Struct, frozen=True, gc=False):
    """The outcome of one report: the meter after it, what it added, and what it was taken for.

    `fell` tells that a counter was below its mark although the report was not an old one: the
    fallen counter added nothing, and staff should look at the NAS.
    """

    meter: Meter
    usage: Counters
    finding: Finding
    fell: bool = False


def unpriced(folded: Fold) -> Fold:
    """Return the same outcome with nothing to charge: what was used counts no more from now on."""
    base, usage = folded.meter.base, folded.usage
    if not usage:
        return folded
    meter = msgspec.structs.replace(folded.meter, base=base + usage)
    return Fold(meter, NOTHING, folded.finding, folded.fell)


def fold(meter: Meter | None, report: Report, *, boot: int | None, wraps_32: bool) -> Fold:
    """Return what a report adds to its session.

    `meter` is None for a session never seen. `boot` is the event time of the NAS's last
    Accounting-On or -Off, if any. `wraps_32` says that this NAS sends 32-bit octet counters without
    Gigawords, so that a fall while the session time grows is a wrap (at least one; more than one
    between two reports cannot be seen).

    The returned meter's `total_micros` is that of the meter given, or 0 for a new epoch: pricing is
    the caller's.
    """
    if meter is None:
        return _open(report, None, base=NOTHING)
    seen_by = report.print
    if meter.has_seen(seen_by):
        return Fold(meter, NOTHING, _NOTHING)
    counters = _counters(meter, report, wraps_32=wraps_32)
    if _begins_anew(meter, report, boot):
        return _open(report, meter, base=NOTHING)
    fell = _below(counters, meter.marks)
    if fell and _agrees(meter, report):
        assert meter.suspect is not None
        return _open(report, meter, base=meter.suspect.continued)
    begun = report.begun
    if meter.epoch and begun is not None and begun < meter.started - START_TOLERANCE_S:
        return Fold(meter, NOTHING, _EARLIER_EPOCH)
    if fell and begun is not None and begun > meter.begun + START_TOLERANCE_S:
        if report.kind is _STOP:
            return _stop_without_counters(meter, report)
        return _suspect(meter, report, begun, counters)
    return _advance(meter, report, counters, seen_by, fell=fell, boot=boot)


def begins_another(meter: Meter, report: Report) -> Fold | None:
    """Return the epoch that a report of another user begins under a session's name, if it does.

    Its NAS uses the name again and nothing else told so. Only a later start is evidence: what comes
    late of a user before is none.
    """
    begun = report.begun
    if begun is None or begun <= meter.begun + START_TOLERANCE_S or meter.has_seen(report.print):
        return None
    return _open(report, meter, base=NOTHING)


def close(meter: Meter, phase: Phase) -> Meter:
    """Return the meter closed without a report: its Stop never came, or its NAS went down.

    A suspected restart stays suspected: the next report may still confirm it.
    """
    assert phase is not _OPEN
    return msgspec.structs.replace(meter, phase=phase)


def went_down(meter: Meter, boot: int) -> bool:
    """Return whether an Accounting-On or -Off at `boot` ended this session.

    A session that was reported after it survived: some NASes send it for one service or site only.
    """
    return meter.phase is _OPEN and meter.started < boot and meter.last_event <= boot


def _begins_anew(meter: Meter, report: Report, boot: int | None) -> bool:
    begun = report.begun
    if begun is None:
        return False
    # One that reported after the Accounting-On survived it, whatever start its clock tells now.
    ended = boot is not None and meter.started < boot <= begun and meter.last_event <= boot
    if ended and begun > meter.begun + START_TOLERANCE_S:
        return True
    return (
        report.kind is _START and meter.phase is not _OPEN and report.event_time > meter.last_event
    )


def _agrees(meter: Meter, report: Report) -> bool:
    """Whether a second report confirms a suspected restart: the same start, and time has passed.

    Both starts must be later than that of the epoch, and than all that was seen of it.
    """
    suspect = meter.suspect
    if suspect is None or report.seconds is None or report.seconds <= suspect.seconds:
        return False
    begun = report.event_time - report.seconds
    return (
        abs(begun - suspect.begun) <= START_TOLERANCE_S
        and begun > meter.begun + START_TOLERANCE_S
        and suspect.begun >= meter.last_event - START_TOLERANCE_S
    )


def _open(report: Report, before: Meter | None, *, base: Counters) -> Fold:
    """Begin an epoch: the session's first, or the one after `before`."""
    begun = report.begun
    started = report.event_time if begun is None else begun
    marks = Counters(
        max(report.seconds or 0, base.seconds),
        max(report.octets_in or 0, base.octets_in),
        max(report.octets_out or 0, base.octets_out),
    )
    meter = Meter(
        epoch=0 if before is None else before.epoch + 1,
        phase=_STOPPED if report.kind is _STOP else _OPEN,
        started=started,
        begun=started,
        last_event=report.event_time,
        marks=marks,
        base=base,
        prints=_remember(before, report),
    )
    finding = Finding.OPENED if before is None else Finding.RESTARTED
    return Fold(meter, marks - base, finding)


def _counters(meter: Meter, report: Report, *, wraps_32: bool) -> Counters:
    """The report's counters, with the marks where it sent none and 32-bit octets made whole."""
    absent = NOTHING if report.kind is _START else meter.marks
    seconds = absent.seconds if report.seconds is None else report.seconds
    octets_in = absent.octets_in if report.octets_in is None else report.octets_in
    octets_out = absent.octets_out if report.octets_out is None else report.octets_out
    if wraps_32 and seconds > meter.marks.seconds:
        octets_in = _unwrapped(octets_in, meter.marks.octets_in)
        octets_out = _unwrapped(octets_out, meter.marks.octets_out)
    return Counters(seconds, octets_in, octets_out)


def _unwrapped(octets: int, mark: int) -> int:
    """The least value not below the mark that a 32-bit counter shows as `octets`."""
    return octets if octets >= mark else octets + -(-(mark - octets) // _WRAP) * _WRAP


def _below(counters: Counters, marks: Counters) -> bool:
    return (
        counters.seconds < marks.seconds
        or counters.octets_in < marks.octets_in
        or counters.octets_out < marks.octets_out
    )


def _remember(meter: Meter | None, report: Report) -> bytes:
    """Return the prints of the last reports, this one included."""
    kept = b"" if meter is None else meter.prints
    return (kept + report.print)[-_REMEMBERED * _PRINT_OCTETS :]


def _suspect(meter: Meter, report: Report, begun: int, counters: Counters) -> Fold:
    suspect = Suspect(
        begun=begun,
        seconds=report.seconds or 0,
        continued=Counters(
            *(
                0 if now < mark else mark
                for now, mark in zip(
                    msgspec.structs.astuple(counters),
                    msgspec.structs.astuple(meter.marks),
                    strict=True,
                )
            )
        ),
    )
    return Fold(
        msgspec.structs.replace(meter, suspect=suspect, prints=_remember(meter, report)),
        NOTHING,
        Finding.SUSPECTED,
        fell=True,
    )


def _stop_without_counters(meter: Meter, report: Report) -> Fold:
    """A Stop that counts from a later start: some NASes send zeros when they lost the session.

    Whatever it stood for, the session that we know is over. If that was known before, it may be the
    Stop of another one whose Start was lost: nothing is charged, and staff should see it.
    """
    if meter.phase is not _OPEN:
        return Fold(meter, NOTHING, _NOTHING, fell=True)
    after = msgspec.structs.replace(
        meter,
        phase=_STOPPED,
        last_event=max(meter.last_event, report.event_time),
        suspect=None,
        prints=_remember(meter, report),
    )
    return Fold(after, NOTHING, _CLOSED, fell=True)


def _advance(
    meter: Meter,
    report: Report,
    counters: Counters,
    seen_by: bytes,
    *,
    fell: bool,
    boot: int | None,
) -> Fold:
    before = meter.marks
    marks = counters
    if fell:
        marks = Counters(
            max(counters.seconds, before.seconds),
            max(counters.octets_in, before.octets_in),
            max(counters.octets_out, before.octets_out),
        )
    usage = marks - before
    if fell and not usage and report.kind is not _STOP:
        return Fold(meter, NOTHING, _NOTHING)
    phase = _phase_after(meter, report, boot, advanced=bool(usage))
    if not usage and phase is meter.phase:
        return Fold(meter, NOTHING, _NOTHING)
    begun = report.begun
    # By position: this is done for every record.
    after = Meter(
        meter.epoch,
        phase,
        meter.started if begun is None or begun > meter.started else begun,
        meter.begun if begun is None or not usage else begun,
        max(meter.last_event, report.event_time),
        marks,
        meter.base,
        meter.total_micros,
        None,
        (meter.prints + seen_by)[-_REMEMBERED * _PRINT_OCTETS :],
    )
    closed = phase is not _OPEN and meter.phase is _OPEN
    return Fold(after, usage, _CLOSED if closed else _ADVANCED, fell=fell and bool(usage))


def _phase_after(meter: Meter, report: Report, boot: int | None, *, advanced: bool) -> Phase:
    if report.kind is _STOP:
        return _STOPPED
    # A session that we gave up and that reports progress lives. Only a record of after the
    # Accounting-On brings one back that was closed by it.
    survived_boot = boot is None or report.event_time > boot
    if advanced and (meter.phase is _LOST or (meter.phase is _NAS_DOWN and survived_boot)):
        return _OPEN
    return meter.phase
