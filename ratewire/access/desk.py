"""Where logins are answered: who it is, what there is for it, reserved at once, and told.

The answer is computed from what was read, and the store grants it only if that still holds; else it
is computed anew. So of two logins at the same moment each gets what is really there.
"""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec
import structlog

from balances.errors import StoreError
from balances.keys import grant_pointers, session_key
from balances.messages import (
    Account,
    LoginOutcome,
    LoginStatus,
    Lookup,
    Occupant,
    StoredSession,
    decode_state,
)
from balances.messages import (
    Login as StoreLogin,
)
from balances.port import BalanceStore, JobQueue, Logins
from billing.subscribers.login import LoginTerms, PasswordKind, WhenFull, decode_login
from radius.access import Answer, Login
from radius.access_engine import AccessRequest
from radius.passwords import MsChap2Success, Pap
from radius.profiles import Profile
from ratewire.access import answer
from ratewire.access.credentials import Credentials, Proven, Unprovable
from ratewire.access.decision import (
    Promise,
    Refusal,
    Rules,
    promise_of,
    refusal_of,
    session_limit,
    takes_in,
)
from ratewire.access.limits import cost_of_login
from ratewire.access.slowing import FORGET_MS, guessed, hold_ms
from ratewire.observer import Observer
from ratewire.outage import Outage
from ratewire.pipeline.plans import Plans
from ratewire.pipeline.raters import PlanReader
from ratewire.pipeline.sharing import service_of
from ratewire.pipeline.tickets import garden_class
from ratewire.pipeline.uids import session_uid
from rating.plan import Plan

_log = structlog.get_logger(__name__)

#: A login is tried this often before it is left to the NAS's retransmission.
MAX_ATTEMPTS = 8

#: Sessions of one account that are looked at to count a subscriber's; an account has fewer.
MOST_COUNTED = 1_000


class Vouchers(Protocol):
    """Logins by voucher."""

    async def open(self, login: Login) -> bool:
        """Make the subscriber of a login that is a voucher's code; whether there is one now."""
        ...


class _Known(msgspec.Struct, frozen=True):
    """A subscriber that is who it says."""

    login: Login
    account: Account
    plan: Plan | None
    terms: LoginTerms
    mschap2: MsChap2Success | None


class Desk:
    """Answers logins; any number at the same time."""

    def __init__(
        self,
        store: BalanceStore,
        logins: Logins,
        jobs: JobQueue,
        plans: PlanReader,
        credentials: Credentials,
        observer: Observer,
        *,
        vouchers: Vouchers | None = None,
        rules: Rules,
        reject_delay_s: float,
        clock_ms: Callable[[], int],
    ) -> None:
        """A refusal is told only after `reject_delay_s`. Without `vouchers` no code logs in."""
        self._store = store
        self._logins = logins
        self._jobs = jobs
        self._plans = plans
        self._credentials = credentials
        self._observer = observer
        self._vouchers = vouchers
        self._rules = rules
        self._reject_delay_s = reject_delay_s
        self._clock_ms = clock_ms
        self._outage = Outage("answering logins")

    async def handle(
        self, requests: Sequence[AccessRequest], profile: Callable[[str], Profile]
    ) -> Sequence[AccessRequest]:
        """Decide on requests; return those that are to be answered.

        Without the store nobody is let in and nobody refused: the NAS asks again, or elsewhere.
        """
        answered: list[AccessRequest] = []
        for request in requests:
            try:
                request.answer = await self.answer(request.login, profile(request.client.name))
                self._outage.works()
            except StoreError as error:
                self._observer.count("logins_unanswered")
                self._outage.failed(error)
                continue
            answered.append(request)
            if not request.answer.accepted:
                await asyncio.sleep(self._reject_delay_s)
        return answered

    async def answer(self, login: Login, profile: Profile, *, proven: bool = False) -> Answer:
        """Return the answer to a login, which somebody else may have `proven`.

        Raises StoreError.
        """
        for _ in range(MAX_ATTEMPTS):
            known = await self._identify(login, proven=proven)
            if isinstance(known, Refusal):
                return self._refuse(login, known)
            given = await self._decide(known, profile)
            if given is not None:
                return given
            self._observer.count("logins_stale")
        return self._refuse(login, Refusal.NO_PLAN)

    async def vouch(
        self, login: Login, profile: Profile
    ) -> tuple[PasswordKind, bytes] | Refusal | None:
        """Return why a login is refused, or, for who else is to find out who it is, what is kept.

        None if it proves who it is, and would be let in now.

        That is the password or its NT hash, for any proof that is not the password itself: EAP,
        CHAP, MS-CHAP. Nothing is reserved. Raises StoreError.
        """
        if not isinstance(login.proof, Pap):
            [found] = (await self._store.read([_lookup(login)])).found
            if found.subscriber is None:
                return Refusal.UNKNOWN_USER
            terms = decode_login(found.subscriber.login)
            if terms.password_sealed is not None:
                return self._credentials.kept(login.user_name, terms) or Refusal.NOT_PROVEN
        known = await self._identify(login, proven=False)
        if isinstance(known, Refusal):
            return known
        judged = self._judge(known, profile)
        if isinstance(judged, Refusal) and not takes_in(judged, known.plan, profile):
            return judged
        return None

    # Who it is

    async def _identify(self, login: Login, *, proven: bool) -> _Known | Refusal:
        who = guessed(login.user_name, login.client)
        held, has_failed = await self._logins.is_held(who)
        if held:
            return Refusal.HELD
        snapshot = await self._store.read([_lookup(login)])
        [found] = snapshot.found
        subscriber, account = found.subscriber, found.subscriber_account
        if subscriber is None and self._vouchers is not None and await self._vouchers.open(login):
            return await self._identify(login, proven=proven)
        if subscriber is None or account is None:
            return Refusal.UNKNOWN_USER
        try:
            terms = decode_login(subscriber.login)
        except msgspec.MsgspecError as error:
            _log.error("a login is not understood", user=login.user_name, error=str(error))
            return Refusal.NO_PLAN
        proof = Proven() if proven else await self._credentials.check(login, terms)
        if isinstance(proof, Unprovable):
            self._observer.count(f"logins_{proof.reason}")
            if proof.wrong:
                await self._slow_down(who)
            return Refusal.NOT_PROVEN
        if has_failed:
            await self._logins.forget_failures(who)
        plans: Plans = await self._plans.at(snapshot.plans_revision)
        return _Known(login, account, plans.newest(subscriber.plan), terms, proof.mschap2)

    async def _slow_down(self, who: str) -> None:
        failures = await self._logins.count_failure(who, FORGET_MS)
        if pause_ms := hold_ms(failures):
            await self._logins.hold(who, pause_ms)

    # What it gets

    async def _decide(self, known: _Known, profile: Profile) -> Answer | None:
        """The answer to a login that is proven; None if what it was computed from has moved."""
        plan, judged = known.plan, self._judge(known, profile)
        if isinstance(judged, Promise):
            assert plan is not None
            return await self._reserve(known, plan, judged, profile)
        if takes_in(judged, plan, profile):
            assert plan is not None
            return self._put_into_garden(known, plan, judged, profile)
        return self._refuse(known.login, judged)

    def _judge(self, known: _Known, profile: Profile) -> Promise | Refusal:
        plan = known.plan
        refusal = refusal_of(known.login, known.account, plan, known.terms)
        if refusal is not None:
            return refusal
        assert plan is not None
        login = known.login
        cost = cost_of_login(
            plan,
            known.account,
            username=login.user_name,
            service=service_of(plan, login.nas, login.user_name, login.attributes, ()),
            now=self._clock_ms() // 1000,
        )
        if cost is None:
            return Refusal.NO_PLAN
        return promise_of(plan, cost, known.account.available, profile, self._rules)

    async def _reserve(
        self, known: _Known, plan: Plan, promise: Promise, profile: Profile
    ) -> Answer | None:
        login, bounds = known.login, known.terms.bounds
        uid = session_uid(self._clock_ms(), secrets.token_bytes(10))
        most = session_limit(bounds, plan)
        asked = StoreLogin(
            uid=uid,
            account=known.account.account,
            username=login.user_name,
            pointers=grant_pointers(login.nas, login.session_id, login.user_name, login.station),
            expected_rating=known.account.rating_version,
            want=promise.want_micros,
            grant=promise.grant_micros,
            lifetime_ms=self._rules.grant * 1000,
            session_limit=most,
            counted=await self._count(known) if most else (),
        )
        outcome = await self._logins.login(asked)
        if outcome.status is LoginStatus.FULL:
            if bounds.when_full is WhenFull.REFUSE:
                return self._refuse(login, Refusal.FULL)
            await self._make_room(outcome)
            return None
        if outcome.status is not LoginStatus.GRANTED:
            return None
        self._observer.count("logins_accepted")
        return answer.accepted(
            promise,
            uid=uid,
            access=plan.access,
            bounds=bounds,
            profile=profile,
            rules=self._rules,
            mschap2=known.mschap2,
        )

    async def _count(self, known: _Known) -> tuple[Occupant, ...]:
        """The open sessions of the subscriber."""
        sessions = await self._logins.open_sessions(known.account.account, MOST_COUNTED)
        return tuple(
            Occupant(stored.uid, key)
            for key, stored in sessions
            if _user_of(stored) == known.login.user_name
        )

    async def _make_room(self, outcome: LoginOutcome) -> None:
        """Have the oldest session cut; or, while there are only logins, give the oldest up.

        A uid begins with the time at which it was made.
        """
        oldest = min(outcome.occupants, key=lambda each: (not each.session, each.uid))
        if oldest.session:
            await self._jobs.request_disconnect(oldest.session)
            self._observer.count("logins_replacing")
        else:
            await self._logins.release_grants([oldest.uid])

    def _put_into_garden(
        self, known: _Known, plan: Plan, refusal: Refusal, profile: Profile
    ) -> Answer:
        self._observer.count("logins_in_garden")
        return answer.in_garden(
            plan.access,
            mark=garden_class(),
            bounds=known.terms.bounds,
            profile=profile,
            rules=self._rules,
            refusal=refusal,
            mschap2=known.mschap2,
        )

    def _refuse(self, login: Login, refusal: Refusal) -> Answer:
        self._observer.count(f"logins_refused_{refusal}")
        return answer.refused(login, refusal)


def _lookup(login: Login) -> Lookup:
    key = session_key(login.nas, login.session_id)
    return Lookup(key, login.nas, login.user_name, always=True)


def _user_of(stored: StoredSession) -> str | None:
    try:
        return decode_state(stored.state).username
    except msgspec.DecodeError:
        return None
