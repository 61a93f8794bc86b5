"""Settlement entries: what is committed, on its way to Postgres.

Each is MessagePack, an array whose first element names its kind; a field is only ever added at the
end, with a default, so an entry written by an older worker is read by a newer settlement. Entries
of an account carry its charge sequence (the stream's field name), so that every balance can be said
to include an entry or not.
"""

from typing import Final

import msgspec

from rating.charge import Line
from rating.quantity import Counters
from rating.tally import Tally
from rating.threshold import Crossing


class _Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Common to all entries: `uid` names the session epoch (16 octets, UUIDv7)."""

    uid: bytes
    account: str
    at_ms: int


class Opened(_Entry, frozen=True, array_like=True, gc=False, tag=1):
    """A session epoch began.

    `identity` is how its NAS knows it (MessagePack of radius.records.SessionIdentity). `base` is
    where the counters' charging begins, zero but after some restarts.
    """

    session: str
    nas: str
    acct_session_id: str
    epoch: int
    username: str
    plan: str
    plan_version: int
    currency: str
    started: int
    base: Counters
    identity: msgspec.Raw


class Used(_Entry, frozen=True, array_like=True, gc=False, tag=2):
    """A record added usage and its charge. `used` and `total_micros` are after it, in the epoch.

    `lines` explain a charge that the counters and the plan alone do not; `tally` is then the
    session's after it.
    """

    kind: int
    event_time: int
    usage: Counters
    used: Counters
    charge_micros: int
    total_micros: int
    plan: str
    plan_version: int
    currency: str
    lines: tuple[Line, ...] = ()
    tally: Tally | None = None


class Closed(_Entry, frozen=True, array_like=True, gc=False, tag=3):
    """A session epoch ended, or was charged once more after its end: its final figures.

    `reason` is stop, lost, nas_down, restarted or plan_changed; `terminate_cause` is
    Acct-Terminate-Cause or 0.
    """

    reason: str
    terminate_cause: int
    event_time: int
    used: Counters
    total_micros: int


class Reopened(_Entry, frozen=True, array_like=True, gc=False, tag=4):
    """A session that was given up has reported again."""

    event_time: int


class Anomaly(_Entry, frozen=True, array_like=True, gc=False, tag=5):
    """Something staff should see; it changed no balance. `counters` are those of the record."""

    code: str
    event_time: int
    counters: Counters


class Unrated(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=6):
    """A record that could not be rated: acknowledged, and kept for staff.

    Counters are cumulative, so the last record of a session says all; `reason` is unknown_user,
    no_user, unknown_plan, no_account, other_currency, other_user (the session is another's) or
    too_old.
    """

    at_ms: int
    reason: str
    client: str
    nas: str
    acct_session_id: str
    username: str
    kind: int
    event_time: int
    counters: Counters
    identity: msgspec.Raw


class JobEvent(msgspec.Struct, frozen=True):
    """Something happened to an enforcement job; written by the store's own functions.

    `event` is requested, acknowledged, refused, unanswered, gardened, proven or cancelled; of a
    change also in_force, and ended: its session is over. `uid` is the session epoch's, in hex.
    `action` is one of balances.messages.Action.
    """

    uid: str
    session: str
    account: str
    cause: str
    event: str
    at_ms: int
    due_ms: int
    attempts: int
    result: str
    error_cause: int
    action: str | None = None


class Pooled(msgspec.Struct, frozen=True, array_like=True, tag=7):
    """What the sessions of an account share for rating, as it is now (see rating.pool)."""

    account: str
    at_ms: int
    pool: bytes


class Freed(_Entry, frozen=True, array_like=True, gc=False, tag=8):
    """What a session used in a walled garden is not charged: it is counted from `base` on."""

    base: Counters


class Noticed(msgspec.Struct, frozen=True, array_like=True, tag=9):
    """Charges took allowances of a plan to thresholds: somebody is to be told, once for each."""

    account: str
    at_ms: int
    plan: str
    username: str
    crossings: tuple[Crossing, ...]


Entry = Noticed | Pooled | Opened | Used | Closed | Reopened | Anomaly | Unrated | Freed

#: Field names in the stream that are no charge sequence.
LOOSE_FIELD: Final = b"0"
JOB_FIELD: Final = b"j"

encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Entry).decode
decode_job_event = msgspec.msgpack.Decoder(JobEvent).decode
