"""What this worker's own commits left behind: what need not be read again.

Never the truth, only a guess at it that costs nothing: a commit compares the session's version, the
account's rating version, the NAS's boot mark and the grant, and where a guess was wrong the step is
stale and what is there is read. So a guess may be as old as it likes; but only a step that is
committed proves it right, so for records that change nothing the session is read. Only open
sessions are kept, since nothing else about them has to be looked up: neither a subscriber nor a
login's grant.

A guess is worth it where the records of a session reach one worker: a NAS sends them from one port.
Where a NAS's reach several (a proxy sends from many ports), a wrong guess costs more than the read
that it saved; so each NAS's guesses are judged, and while too many of them would be wrong, its
sessions are read.
"""

import msgspec

from balances.messages import Account, Found, SessionState, Step, StoredSession

#: So many sessions are kept, at about 1.5 kB each.
CAPACITY = 100_000

#: Once full, every so many-th newcomer takes the place of the oldest. The sessions of a network
#: report in turn: if each newcomer did, none of them would be there when it is its turn again.
_ADMITTED = 16

#: A wrong guess costs about three reads (bench.stages); so much credit a NAS has at most, and at
#: least, so that it is not long until a change of its ways is noticed.
_WRONG, _MOST_CREDIT = 3, 60

#: NAS names are what clients say. With so many, all start anew.
_MOST_NASES = 10_000


class Hint(msgspec.Struct, frozen=True, gc=False):
    """What a read would find, and the boot mark of the NAS."""

    found: Found
    boot: int | None


class Hints:
    """The open sessions that were committed last. Bounded."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._sessions: dict[str, Hint] = {}
        self._credit: dict[str, int] = {}
        self._turned_away = 0

    def __len__(self) -> int:
        """How many sessions are kept."""
        return len(self._sessions)

    def find(self, session: str, nas: str, user_name: str | None) -> Hint | None:
        """Return what is known of a session; None if it has to be read.

        It has to if the record names another user, who must be looked up; or where guesses at the
        sessions of this NAS are too often wrong.
        """
        hint = self._sessions.get(session)
        if hint is None or self._credit.get(nas, 0) < 0:
            return None
        if not user_name:
            return hint
        state = hint.found.state
        return hint if state is not None and state.username == user_name else None

    def committed(
        self,
        step: Step,
        account: Account,
        state: SessionState,
        *,
        held: int,
        version: int,
        seen_ms: int,
    ) -> None:
        """Note a step that was committed under this version.

        Sessions of an account that has a pool are read: each commit of a sibling moves that one.
        `account` is what it was computed from, and `held` what the session had held until then.
        """
        session = step.session
        if account.pool is not None or not (step.open and step.report and version):
            self.drop(session)
            return
        if session not in self._sessions and not self._make_room():
            return
        left = Account(
            account.account,
            account.currency,
            account.balance - step.charge,
            account.reserved - held + step.grant,
            account.credit_limit,
            account.minimum,
            account.rating_version,
            account.charged,
            account.moved,
            account.suspended,
            account.closed,
        )
        stored = StoredSession(
            step.uid,
            account.account,
            version,
            True,
            step.cut_after_ms is not None,
            False,
            step.grant,
            seen_ms,
            step.quiet,
            b"",
        )
        self._sessions[session] = Hint(Found(stored, left, state=state), step.expected_boot)

    def judge(self, nas: str, *, right: bool) -> None:
        """Note whether a guess at a session of this NAS was right."""
        credit = self._credit.get(nas, 0)
        if right:
            if credit == _MOST_CREDIT:
                return
            credit += 1
        else:
            credit = max(credit - _WRONG, -_MOST_CREDIT)
        if len(self._credit) >= _MOST_NASES and nas not in self._credit:
            self._credit.clear()
        self._credit[nas] = credit

    def compare(self, session: str, nas: str, read: StoredSession | None) -> None:
        """Judge the guess that would have been made, by what was read."""
        hint = self._sessions.get(session)
        if hint is None:
            return
        guessed = hint.found.session
        self.judge(
            nas,
            right=guessed is not None and read is not None and guessed.version == read.version,
        )

    def drop(self, session: str) -> None:
        """Forget a session."""
        self._sessions.pop(session, None)

    def _make_room(self) -> bool:
        """Whether one more session may be kept."""
        if len(self._sessions) < self._capacity:
            return True
        self._turned_away += 1
        if self._turned_away % _ADMITTED:
            return False
        del self._sessions[next(iter(self._sessions))]
        return True
