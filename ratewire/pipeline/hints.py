"""What this worker's own commits left behind: what need not be read again.

Never the truth, only a guess at it that costs nothing: a commit compares the session's version, the
account's rating version, the NAS's boot mark and the grant, and where a guess was wrong the step is
stale and what is there is read. So a guess may be as old as it likes; but only a step that is
committed proves it right, so for records that change nothing the session is read. Only open
sessions are kept, since nothing else about them has to be looked up: neither a subscriber nor a
login's grant.
"""

import msgspec

from balances.messages import Account, Found, SessionState, Step, StoredSession

#: So many sessions are kept, at about 1.5 kB each.
CAPACITY = 100_000

#: Once full, every so many-th newcomer takes the place of the oldest. The sessions of a network
#: report in turn: if each newcomer did, none of them would be there when it is its turn again.
_ADMITTED = 16


class Hint(msgspec.Struct, frozen=True, gc=False):
    """What a read would find, and the boot mark of the NAS."""

    found: Found
    boot: int | None


class Hints:
    """The open sessions that were committed last. Bounded."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._sessions: dict[str, Hint] = {}
        self._turned_away = 0

    def __len__(self) -> int:
        """How many sessions are kept."""
        return len(self._sessions)

    def find(self, session: str, user_name: str | None) -> Hint | None:
        """Return what is known of a session; None if it has to be read.

        It has to if the record names another user, who must be looked up.
        """
        hint = self._sessions.get(session)
        if hint is None or not user_name:
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
