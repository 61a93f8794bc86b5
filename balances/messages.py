"""What is said to the books and what they answer: plain values, the same for every store."""

import enum

import msgspec

from balances.jobs import Change
from rating.allowance import Bucket
from rating.money import MAX_MICROS
from rating.pool import Granted, Placed, encode_part
from rating.reservation import Pace
from rating.tally import Tally
from rating.usage import Meter


class SessionState(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A session as its workers know it; opaque to the store.

    `reported_ms` is when its last report was made, by our own clocks (a NAS's clock may be wrong).
    `identity` is how its NAS knows it: MessagePack of radius.records.SessionIdentity. `admitted` is
    False as long as its account lacked the credit to begin. `tally` is there once
    its price is not a function of its counters alone. What it uses in a walled garden, where it was
    put while it ran (`garden`), is not charged.

    New fields go to the end, with a default: an old worker beside a new one reads and drops them.
    """

    username: str
    plan: str
    plan_version: int
    currency: str
    meter: Meter
    pace: Pace
    reported_ms: int
    identity: msgspec.Raw
    admitted: bool = True
    tally: Tally | None = None
    garden: bool = False


encode_state = msgspec.msgpack.Encoder().encode
decode_state = msgspec.msgpack.Decoder(SessionState).decode


class Account(msgspec.Struct, frozen=True, gc=False):
    """An account in the store, at one moment. Amounts are micros of its currency.

    `credit_limit` is None for unlimited credit. `rating_version` moves when something changes that
    rating reads; `pool` is what its sessions share for that (rating.pool), None if there is
    nothing; `charged` counts its settlement entries, `moved` its movements from outside.
    """

    account: str
    currency: str
    balance: int
    reserved: int
    credit_limit: int | None
    minimum: int
    rating_version: int
    charged: int
    moved: int
    suspended: bool = False
    closed: bool = False
    pool: bytes | None = None

    @property
    def available(self) -> int | None:
        """What may still be granted; negative after an overspend, None for unlimited credit."""
        if self.credit_limit is None:
            return None
        return self.balance - self.reserved + self.credit_limit - self.minimum


class StoredSession(msgspec.Struct, frozen=True, gc=False):
    """A session in the store. `held` is its reservation (micros), `quiet` its longest silence (s).

    `cutting` tells that a job to end it is live, `regrant` that it waits for a new grant.
    """

    uid: bytes
    account: str
    version: int
    open: bool
    cutting: bool
    regrant: bool
    held: int
    seen_ms: int
    quiet: int
    state: bytes


class Subscriber(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Who a user name belongs to, and on which plan.

    `login` is what a login has to know (billing.subscribers.login), a text that is opaque to the
    store; empty for a subscriber that was put before there was any.
    """

    account: str
    plan: str
    login: str = ""


class Lookup(msgspec.Struct, frozen=True, gc=False):
    """What to read for one session: its key, its NAS, and the user name of the record, if any.

    The subscriber of an open session is that of its state; `always` looks the user name up even so.
    Where no session is open, a grant is looked for: by `grants`, the uids that Class may have
    brought back, then by `station`, the device.
    """

    session: str
    nas: str
    username: str = ""
    always: bool = False
    grants: tuple[bytes, ...] = ()
    station: str = ""


class Grant(msgspec.Struct, frozen=True, gc=False):
    """What a login was granted and no session has begun to use yet.

    The session that takes it over has its `uid`. `held` is its reservation (micros).
    """

    uid: bytes
    account: str
    held: int
    username: str


class Found(msgspec.Struct, frozen=True, gc=False):
    """What the store holds for a lookup.

    `account` is the session's; `subscriber` and `subscriber_account` are looked up only when there
    is no open session, or always if the lookup says so. `grant` is what a login of the user was
    granted for the session, as far as it is found. `state` is the session's, where it need not be
    decoded any more.
    """

    session: StoredSession | None
    account: Account | None
    subscriber: Subscriber | None = None
    subscriber_account: Account | None = None
    grant: Grant | None = None
    state: SessionState | None = None


class Snapshot(msgspec.Struct, frozen=True):
    """The answer to a read: a `Found` per lookup in order, boot marks by NAS, plans' revision."""

    now_ms: int
    plans_revision: int
    boots: dict[str, int]
    found: list[Found]


class CutCause(enum.IntEnum):
    """Why a session is to be cut, and so what ends the job."""

    EXHAUSTED = 1
    SUSPENDED = 2
    OPERATOR = 3


class Step(msgspec.Struct, frozen=True, gc=False):
    """What to book for one session: at most one step per session in a commit.

    The `expected_*` fields are what the step was computed from; `version` 0 is a session that is
    not there. The session is given min(want, what is available) and the step is committed only if
    that is `grant`. `cut_after_ms` is when the session must end, from now; None if it need not.
    `takes_grant` tells that the session begins with the grant of its `uid`, which is then its own:
    what that held is given back in the same step, and without it the step is stale.
    `least` is what must be available again before the session need not end after all; 0 for
    anything, MAX_MICROS where no credit helps. `quiet` is after how many seconds of silence it is
    taken for lost. `report` is False when no record of its own caused the step, so that its silence
    goes on. `pool` takes the place of the account's, under a new rating version. `change` is to be
    made of the session on its NAS, by a job that is written with the step.
    """

    session: str
    nas: str
    account: str
    uid: bytes
    state: bytes
    open: bool
    expected_version: int
    expected_rating: int
    expected_boot: int | None
    charge: int
    want: int
    grant: int
    cut_after_ms: int | None
    cut_cause: CutCause
    quiet: int
    entries: tuple[bytes, ...]
    report: bool = True
    least: int = 0
    takes_grant: bool = False
    pool: bytes | None = None
    change: Change | None = None


class Occupant(msgspec.Struct, frozen=True):
    """What takes a place of a user's session limit: an open session, or a grant (session "")."""

    uid: bytes
    session: str


class Login(msgspec.Struct, frozen=True):
    """What to reserve for a login.

    As in a step, `expected_rating` is what it was computed from, and it is granted only if
    min(want, what is available) is `grant`. `pointers` are those of balances.keys.grant_pointers:
    what the same device was granted before is given back. `counted` are the open sessions of the
    user that the caller knows of; at most `session_limit` may be there before this one (0: any).
    """

    uid: bytes
    account: str
    username: str
    pointers: list[str]
    expected_rating: int
    want: int
    grant: int
    lifetime_ms: int
    session_limit: int = 0
    counted: tuple[Occupant, ...] = ()


class LoginStatus(enum.IntEnum):
    """What became of a login. STALE_*: decide again from what is there now."""

    GRANTED = 0
    NO_ACCOUNT = 2
    STALE_RATING = 3
    STALE_CREDIT = 4
    BEYOND_BOUNDS = 6
    FULL = 8


class LoginOutcome(msgspec.Struct, frozen=True):
    """What became of a login, and what took the places of its user's limit before it."""

    now_ms: int
    status: LoginStatus
    occupants: list[Occupant]


class Status(enum.IntEnum):
    """What became of a step. STALE_* mean: rate again from what is returned."""

    COMMITTED = 0
    STALE_SESSION = 1
    NO_ACCOUNT = 2
    STALE_RATING = 3
    STALE_CREDIT = 4
    STALE_BOOT = 5
    BEYOND_BOUNDS = 6
    FAULTY = 7


class Movement(msgspec.Struct, frozen=True, tag_field="kind"):
    """A change from outside, posted in Postgres under the account's next sequence."""

    account: str
    sequence: int


class OpenAccount(Movement, frozen=True, tag="open"):
    """The account exists from now on. `credit_limit` None is unlimited."""

    currency: str
    credit_limit: int | None = 0
    minimum: int = 0


class Post(Movement, frozen=True, tag="post"):
    """Money in (positive) or out."""

    amount: int

    def __post_init__(self) -> None:
        assert abs(self.amount) <= MAX_MICROS, self.amount


class SetLimits(Movement, frozen=True, tag="limits"):
    """The credit limit (None: unlimited) and the balance that must remain."""

    credit_limit: int | None
    minimum: int


class SetStatus(Movement, frozen=True, tag="status"):
    """Whether the account's sessions may run."""

    suspended: bool
    closed: bool


class PutSubscriber(Movement, frozen=True, tag="subscriber"):
    """A user name belongs to the account, on this plan; see `Subscriber`."""

    username: str
    plan: str
    login: str = ""


class DropSubscriber(Movement, frozen=True, tag="drop"):
    """A user name is no longer known."""

    username: str


class GrantAllowance(Movement, frozen=True, tag="grant"):
    """The account is granted an allowance, by a top-up or a promotion."""

    bucket: Bucket

    def part(self) -> bytes:
        """Return it as it is appended to the account's pool."""
        return encode_part(Granted(self.sequence, self.bucket))


class SetCalendar(Movement, frozen=True, tag="calendar"):
    """The account's time zone (IANA), and the day of the month on which its cycles begin."""

    zone: str
    billing_day: int

    def part(self) -> bytes:
        """Return it as it is appended to the account's pool."""
        return encode_part(Placed(self.sequence, self.zone, self.billing_day))


AnyMovement = (
    OpenAccount
    | Post
    | SetLimits
    | SetStatus
    | PutSubscriber
    | DropSubscriber
    | GrantAllowance
    | SetCalendar
)

encode_movement = msgspec.json.Encoder().encode
decode_movement = msgspec.json.Decoder(AnyMovement).decode


class DueSession(msgspec.Struct, frozen=True):
    """A session that needs a look: it is silent for too long, or waits for a new grant."""

    session: str
    stored: StoredSession


class Due(msgspec.Struct, frozen=True):
    """What is due now, and when to ask again at the latest (Unix ms; None: nothing is waiting)."""

    now_ms: int
    next_ms: int | None
    sessions: list[DueSession]


class ClaimedJob(msgspec.Struct, frozen=True):
    """A job that is due and whose cause holds, with the session it is about; see `Job`.

    `noted_ms` is when a report last changed its state.
    """

    uid: str
    session: str
    cause: str
    state: str
    attempts: int
    noted_ms: int
    stored: StoredSession
    action: str = "cut"
    treatment: str = ""
    wanted: str = ""
    pending: str = ""
    applied: str = ""

    @property
    def asked(self) -> str:
        """What a change asks for now, as `JobQueue.may_transmit` takes it."""
        return f"{self.pending}={self.treatment}={self.wanted}"


class Claim(msgspec.Struct, frozen=True):
    """The jobs taken, and when the next is due (Unix ms; None: no job is waiting)."""

    now_ms: int
    next_ms: int | None
    jobs: list[ClaimedJob]


class Position(msgspec.Struct, frozen=True, order=True):
    """A place in the settlement stream: the last entry taken."""

    generation: int
    sequence: int


class StreamEntry(msgspec.Struct, frozen=True):
    """One committed batch: (field, value) pairs; see balances.entries for the fields."""

    position: Position
    items: list[tuple[bytes, bytes]]


class AccountAudit(msgspec.Struct, frozen=True):
    """An account beside what its open sessions and grants really hold, at one moment."""

    account: Account
    held: int
    sessions: int


class Totals(msgspec.Struct, frozen=True):
    """Sums over all accounts of a currency (micros); limits count less the minimum balances."""

    balance: int
    reserved: int
    limit: int


class RestoredSession(msgspec.Struct, frozen=True):
    """A session to be written back into the books; it holds nothing until it is granted anew."""

    session: str
    nas: str
    account: str
    uid: bytes
    open: bool
    quiet: int
    state: bytes


class Books(msgspec.Struct, frozen=True):
    """The partition as a whole: its position, how much waits, and the totals by currency."""

    position: Position
    settled_lag: int
    accounts: int
    open_sessions: int
    live_jobs: int
    fence: str | None
    totals: dict[str, Totals]


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """What became of one step; `session` and `account` are what is there, unless committed."""

    status: Status
    session: StoredSession | None = None
    account: Account | None = None


COMMITTED = Outcome(Status.COMMITTED)


class CommitResult(msgspec.Struct, frozen=True):
    """The outcomes of a commit's steps, in order, and the version that all sessions it wrote have.

    `version` is 0 if no session was written.
    """

    now_ms: int
    outcomes: list[Outcome]
    version: int = 0
