"""Enforcement jobs: what is to be done to a running session on its NAS, until it is proven."""

import enum

import msgspec


class Action(enum.StrEnum):
    """What an enforcement job does to a session on its NAS; all but a cut are changes."""

    CUT = "cut"
    THROTTLE = "throttle"
    REDIRECT = "redirect"
    RESTORE = "restore"
    QUOTA = "quota"
    PLAN = "plan"


class Change(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A change of a running session, to be carried out by a CoA-Request.

    Throttle and redirect put it under a treatment, until restore: `wanted` says which, a speed as
    "<down>/<up>" in kbit/s, or the name of a walled garden on the NAS. Quota tells the NAS the
    session's limits as they are now; plan tells it them and the speed of the plan that it has now.
    `cause` is why: a word for staff.
    """

    action: Action
    wanted: str = ""
    cause: str = "operator"


class Job(msgspec.Struct, frozen=True):
    """A live enforcement job.

    `state` is scheduled, sending, acknowledged, gone, refused or unanswered; gardened for a cut
    whose session is in a walled garden instead; in_force for a change that the NAS has taken.
    `noted_ms` is when a report last changed it. `least` is what must be available to end a job
    without credit (micros). `gardened` is whether a session to be cut may be in a walled garden.

    Of a change, `treatment` is what the session is to be under ("" for its plan), `wanted` its
    argument; `pending` are the actions, with commas between, that no answer has settled; `applied`
    the treatments that the NAS may be under.
    """

    uid: str
    session: str
    account: str
    cause: str
    state: str
    due_ms: int
    created_ms: int
    noted_ms: int
    attempts: int
    result: str = ""
    error_cause: int = 0
    least: int = 0
    gardened: bool = False
    action: str = "cut"
    treatment: str = ""
    wanted: str = ""
    pending: str = ""
    applied: str = ""

    @property
    def asked(self) -> str:
        """What a change asks for now, as `JobQueue.may_transmit` takes it."""
        return f"{self.pending}={self.treatment}={self.wanted}"
