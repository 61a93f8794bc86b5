"""New limits in the Accounting-Response, for NASes that take them there (CoovaChilli, Huawei).

So a session's quota follows its credit with each report, without a CoA-Request: a top-up reaches
the NAS with the next Interim.
"""

from collections.abc import Awaitable, Callable, Sequence

import msgspec
import structlog

from balances.errors import StoreError
from balances.jobs import Action
from balances.keys import session_key
from balances.messages import Found, Lookup, decode_state
from balances.port import BalanceStore, JobQueue
from radius.encoding import Attribute
from radius.engine import Request
from radius.profiles import Profile
from radius.records import AcctStatus
from ratewire.access.answer import rate_attributes
from ratewire.access.running import limit_attributes, remaining
from ratewire.enforcement.changes import speed_of
from ratewire.pipeline.plans import Plans
from ratewire.pipeline.raters import PlanReader

_log = structlog.get_logger(__name__)

_RUNNING = (AcctStatus.START, AcctStatus.INTERIM)

Book = Callable[[Sequence[Request]], Awaitable[Sequence[Request]]]


class Refills:
    """Has records booked, and puts limits into the answers to those whose NAS heeds them."""

    def __init__(
        self,
        book: Book,
        store: BalanceStore,
        jobs: JobQueue,
        plans: PlanReader,
        profile: Callable[[str], Profile],
    ) -> None:
        """`profile` returns that of a NAS client by its name."""
        self._book = book
        self._store = store
        self._jobs = jobs
        self._plans = plans
        self._profile = profile

    async def handle(self, requests: Sequence[Request]) -> Sequence[Request]:
        """Return the requests that are to be answered."""
        booked = await self._book(requests)
        asked = [request for request in booked if self._heeds(request)]
        if asked:
            try:
                await self._fill(asked)
            except (StoreError, msgspec.MsgspecError, ValueError) as error:
                # What is booked is answered all the same: the NAS keeps the limits that it has.
                _log.warning("no new limits are told", error=str(error))
        return booked

    def _heeds(self, request: Request) -> bool:
        profile = self._profile(request.client.name)
        return profile.quota.in_accounting_response and request.record.status in _RUNNING

    async def _fill(self, requests: Sequence[Request]) -> None:
        records = [request.record for request in requests]
        keys = [session_key(record.nas, record.session_id) for record in records]
        snapshot = await self._store.read(
            [Lookup(key, record.nas) for key, record in zip(keys, records, strict=True)]
        )
        plans = await self._plans.at(snapshot.plans_revision)
        uids = [found.session.uid if found.session else b"" for found in snapshot.found]
        treatments = await self._jobs.treatments(uids)
        for request, found, treatment in zip(requests, snapshot.found, treatments, strict=True):
            profile = self._profile(request.client.name)
            request.attributes = tuple(_limits(found, profile, plans, treatment, snapshot.now_ms))


def _limits(
    found: Found, profile: Profile, plans: Plans, treatment: tuple[str, str], now_ms: int
) -> list[Attribute]:
    """What an open session's NAS is told; nothing where a cut, or a garden, is to decide."""
    stored, account = found.session, found.account
    if stored is None or account is None or not stored.open or stored.cutting:
        return []
    if account.suspended or account.closed or treatment[0] == Action.REDIRECT:
        return []
    state = decode_state(stored.state)
    plan = plans.version(state.plan, state.plan_version)
    left = None if plan is None else remaining(plan, state, account, stored.held)
    if plan is None or left is None:
        return []
    attributes = limit_attributes(profile, state, left, now_ms, volume=True)
    if attributes and profile.coa.resend_full_set:
        access = plan.access
        if treatment[0] == Action.THROTTLE:
            down, up = speed_of(treatment[1])
            access = msgspec.structs.replace(access, rate_down_kbps=down, rate_up_kbps=up)
        if access.rate_down_kbps:
            attributes += rate_attributes(profile, access)
    return attributes
