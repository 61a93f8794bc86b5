"""The session that a job is about, with what decides how it is treated."""

import msgspec

from balances.keys import parts_of
from balances.messages import Account, Lookup, SessionState, StoredSession, decode_state
from balances.port import BalanceStore
from radius.encoding import Attribute
from radius.profiles import Profile
from ratewire.access.running import limit_attributes, remaining
from ratewire.nas import identity_of
from ratewire.pipeline.raters import PlanReader
from ratewire.pipeline.tickets import is_in_garden
from rating.plan import Plan


class Subject(msgspec.Struct, frozen=True):
    """An open session under its plan, and what tells its NAS the limits that it has now."""

    stored: StoredSession
    account: Account
    state: SessionState
    plan: Plan
    limits: list[Attribute]
    began_in_garden: bool


class Subjects:
    """Reads them from the store, as they are now."""

    def __init__(self, store: BalanceStore, plans: PlanReader) -> None:
        self._store = store
        self._plans = plans

    async def of(self, session: str, uid: bytes, profile: Profile) -> Subject | None:
        """Return the session, unless its epoch is over or its plan is not known here.

        Raises StoreError.
        """
        snapshot = await self._store.read([Lookup(session, parts_of(session)[0])])
        [found] = snapshot.found
        stored, account = found.session, found.account
        if stored is None or account is None or not stored.open or stored.uid != uid:
            return None
        state = decode_state(stored.state)
        plan = (await self._plans.at(snapshot.plans_revision)).version(
            state.plan, state.plan_version
        )
        if plan is None:
            return None
        left = remaining(plan, state, account, stored.held)
        limits: list[Attribute] = []
        if left is not None:
            limits = limit_attributes(
                profile, state, left, snapshot.now_ms, volume=profile.quota.in_coa
            )
        in_garden = is_in_garden(identity_of(stored).classes)
        return Subject(stored, account, state, plan, limits, in_garden)
