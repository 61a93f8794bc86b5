"""Random histories, told to the store in memory and to a server at once.

After every step both have answered alike and hold the same, and the books' invariants hold by a
third account of what happened, which the machine keeps from the outcomes alone.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from msgspec.structs import replace

from balances.connection import Connection
from balances.entries import JOB_FIELD, JobEvent, decode_job_event
from balances.errors import StoreError
from balances.jobs import Action, Change
from balances.keys import grant_pointers
from balances.messages import (
    AnyMovement,
    Claim,
    CutCause,
    DropSubscriber,
    Found,
    Grant,
    Login,
    LoginOutcome,
    LoginStatus,
    Lookup,
    Occupant,
    OpenAccount,
    Outcome,
    Position,
    Post,
    PutSubscriber,
    SetLimits,
    SetStatus,
    Status,
    Step,
    StoredSession,
    StreamEntry,
)
from rating.money import MAX_MICROS
from tests.balances.conftest import Servers
from tests.balances.world import (
    BEGINNING,
    GENERATION,
    START_MS,
    World,
    memory_world,
    store_world,
    uid_of,
)

Result = TypeVar("Result")

ACCOUNTS = ("a", "b", "c")
NASES = ("n", "m")
BOOTS = (0, 20, *(START_MS // 1000 + seconds for seconds in (0, 20, 100, 200)))
SESSIONS = tuple(f"{nas}|{number}" for nas in NASES for number in range(3))
USERS = ("ute", "uwe")

#: Small enough to meet, and the edges of what is exact.
AMOUNTS = st.one_of(
    st.integers(0, 30), st.sampled_from([0, 1, MAX_MICROS - 1, MAX_MICROS, MAX_MICROS + 1])
)


class Refusal(msgspec.Struct, frozen=True):
    """A StoreError, as something to compare."""

    kind: str
    message: str


class Plan(msgspec.Struct):
    """How a step is to be made of what is read: which of its expectations are right."""

    session: str
    account: str
    charge: int
    want: int
    open: bool
    new_epoch: bool
    cut_after_ms: int | None
    cause: CutCause
    least: int
    entries: int
    report: bool
    quiet: int
    stale: str
    takes_grant: bool
    change: Change | None


CHANGES = st.builds(
    Change, st.sampled_from([each for each in Action if each is not Action.CUT]), st.just("x")
)

PLANS = st.builds(
    Plan,
    session=st.sampled_from(SESSIONS),
    account=st.sampled_from(ACCOUNTS),
    charge=AMOUNTS,
    want=AMOUNTS,
    open=st.sampled_from([True, True, True, False]),
    new_epoch=st.sampled_from([False, False, False, True]),
    cut_after_ms=st.sampled_from([None, None, 0, 500, 60_000]),
    cause=st.sampled_from(CutCause),
    least=st.sampled_from([0, 0, 0, 50]),
    entries=st.integers(0, 3),
    report=st.sampled_from([True, True, False]),
    quiet=st.sampled_from([60, 900]),
    stale=st.sampled_from(["", "", "", "", "", "", "session", "rating", "boot", "grant"]),
    takes_grant=st.booleans(),
    change=st.one_of(st.none(), st.none(), st.none(), CHANGES),
)


class Ledger:
    """What the books must come to, from the outcomes alone (DESIGN: invariants of the store)."""

    def __init__(self) -> None:
        self.balance: dict[str, int] = defaultdict(int)
        self.held: dict[str | bytes, tuple[str, int]] = {}
        self.pointers: dict[str, bytes] = {}
        self.expiry: dict[bytes, int] = {}
        self.charged: dict[str, int] = defaultdict(int)

    def reserved(self, account: str) -> int:
        return sum(held for owner, held in self.held.values() if owner == account)

    def booked(self, step: Step, limit: int | None, minimum: int) -> None:
        """A step was committed: no more may have been granted than there was."""
        self.balance[step.account] -= step.charge
        self.charged[step.account] += len(step.entries)
        self.held.pop(step.session, None)
        if step.takes_grant:
            del self.held[step.uid]
        if limit is not None:
            there = self.balance[step.account] - self.reserved(step.account) + limit - minimum
            assert step.grant <= max(there, 0)
        self.held[step.session] = (step.account, step.grant)

    def granted(self, login: Login, now_ms: int) -> None:
        """A login was granted, in place of what its device was granted before."""
        for pointer in login.pointers:
            earlier = self.pointers.get(pointer, b"")
            if self.held.get(earlier, ("", 0))[0] == login.account:
                del self.held[earlier]
            self.pointers[pointer] = login.uid
        self.held[login.uid] = (login.account, login.grant)
        self.expiry[login.uid] = now_ms + login.lifetime_ms

    def grants(self) -> list[bytes]:
        return [uid for uid in self.held if isinstance(uid, bytes)]


class BooksMachine(RuleBasedStateMachine):
    """The model and a server side by side."""

    #: Set by the test.
    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.connection = Connection(self.url)
        self.ledger = Ledger()
        self.epochs: dict[str, int] = defaultdict(int)
        self.marks: dict[str, int] = {}
        self.trimmed = 0
        self.logins = 0
        self.model, self.store = memory_world(), store_world(self.connection)
        self.run(self.begin())

    async def begin(self) -> None:
        await self.connection.command("FLUSHALL")
        await self.connection.load()
        for world in (self.model, self.store):
            await world.keeping.initialise(GENERATION)

    def teardown(self) -> None:
        self.run(self.connection.close())
        self.runner.close()

    def run(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        return self.runner.run(coroutine)

    def both(self, ask: Callable[[World], Coroutine[Any, Any, Result]]) -> Result | Refusal:
        """Ask both the same; return the answer, which must be the same (or the same refusal)."""
        answers = [self.answer(ask, world) for world in (self.model, self.store)]
        assert answers[0] == answers[1]
        return answers[0]

    def answer(
        self, ask: Callable[[World], Coroutine[Any, Any, Result]], world: World
    ) -> Result | Refusal:
        try:
            return self.run(ask(world))
        except StoreError as error:
            return Refusal(type(error).__name__, str(error))

    # What happens

    @rule(milliseconds=st.sampled_from([1, 499, 60_000, 1_000_000, 7_200_000]))
    def time_passes(self, milliseconds: int) -> None:
        self.model.pass_ms(milliseconds)
        self.store.pass_ms(milliseconds)

    @rule(
        account=st.sampled_from(ACCOUNTS),
        limit=st.sampled_from([0, 0, 20, None, MAX_MICROS]),
        minimum=st.sampled_from([0, 0, 5]),
        balance=st.integers(0, 60),
    )
    def an_account_is_opened(
        self, account: str, limit: int | None, minimum: int, balance: int
    ) -> None:
        self.moved(OpenAccount(account, 1, "EUR", limit, minimum), Post(account, 2, balance))

    @rule(
        account=st.sampled_from(ACCOUNTS),
        off=st.sampled_from([0, 0, 0, 0, -1, 1]),
        change=st.one_of(
            st.tuples(st.just("post"), st.one_of(AMOUNTS, AMOUNTS.map(lambda n: -n))),
            st.tuples(st.just("limits"), st.sampled_from([0, 10, None, MAX_MICROS])),
            st.tuples(st.just("status"), st.sampled_from([0, 1, 2])),
            st.tuples(st.just("put"), st.sampled_from(USERS)),
            st.tuples(st.just("drop"), st.sampled_from(USERS)),
        ),
    )
    def an_account_is_moved(self, account: str, off: int, change: tuple[str, Any]) -> None:
        (audit,) = self.run(self.model.keeping.inspect([account]))
        sequence = (audit.account.moved if audit else 0) + 1 + off
        kind, value = change
        movement: AnyMovement
        match kind:
            case "post" if abs(value) > MAX_MICROS:
                return
            case "post":
                movement = Post(account, sequence, value)
            case "limits":
                movement = SetLimits(account, sequence, value, 0)
            case "status":
                movement = SetStatus(account, sequence, value == 1, value == 2)
            case "put":
                movement = PutSubscriber(account, sequence, value, "metered")
            case _:
                movement = DropSubscriber(account, sequence, value)
        self.moved(movement)

    def moved(self, *movements: AnyMovement) -> None:
        audits = self.run(self.model.keeping.inspect([movements[0].account]))
        before = audits[0].account.moved if audits[0] else 0
        applied = self.both(lambda world: world.movements.apply(movements))
        if isinstance(applied, Refusal):
            return
        for movement, sequence in zip(movements, applied, strict=True):
            if before < movement.sequence <= sequence and isinstance(movement, Post):
                self.ledger.balance[movement.account] += movement.amount

    @precondition(lambda self: not self.fenced())
    @rule(plans=st.lists(PLANS, min_size=1, max_size=4), loose=st.integers(0, 2))
    def a_batch_is_committed(self, plans: list[Plan], loose: int) -> None:
        accounts = self.run(self.model.keeping.inspect(ACCOUNTS))
        limits = {
            audit.account.account: (audit.account.credit_limit, audit.account.minimum)
            for audit in accounts
            if audit
        }
        for plan in plans:
            self.epochs[plan.session] += plan.new_epoch
        steps = {
            world: [self.run(self.step(world, plan)) for plan in plans]
            for world in (self.model, self.store)
        }
        outcomes = self.both(lambda world: self.commit(world, steps[world], loose))
        if isinstance(outcomes, Refusal):
            return
        for step, outcome in zip(steps[self.model], outcomes, strict=True):
            if outcome.status is Status.COMMITTED:
                self.ledger.booked(step, *limits[step.account])

    @rule(
        session=st.sampled_from([*SESSIONS, "n|"]),
        account=st.sampled_from(ACCOUNTS),
        user=st.sampled_from(USERS),
        station=st.sampled_from(["", "mac"]),
        want=AMOUNTS,
        most=st.sampled_from([0, 0, 1, 2]),
        lifetime_ms=st.sampled_from([500, 60_000]),
        stale=st.sampled_from(["", "", "", "", "rating", "grant"]),
    )
    def a_user_logs_in(
        self,
        session: str,
        account: str,
        user: str,
        station: str,
        want: int,
        most: int,
        lifetime_ms: int,
        stale: str,
    ) -> None:
        (audit,) = self.run(self.model.keeping.inspect([account]))
        there = audit.account.available if audit else 0
        nas, _, acct_session_id = session.partition("|")
        self.logins += 1
        login = Login(
            uid=self.logins.to_bytes(16),
            account=account,
            username=user,
            pointers=grant_pointers(nas, acct_session_id, user, station),
            expected_rating=(audit.account.rating_version if audit else 1) + (stale == "rating"),
            want=want,
            grant=(want if there is None else min(want, max(there, 0))) + (stale == "grant"),
            lifetime_ms=lifetime_ms,
            session_limit=most,
            counted=tuple(
                Occupant(one.session.uid, key)
                for key, one in zip(SESSIONS, self.run(found(self.model)), strict=True)
                if one.session is not None and one.session.open and one.session.account == account
            )
            if not self.fenced()
            else (),
        )

        async def ask(world: World) -> LoginOutcome:
            outcome = await world.logins.login(login)
            return replace(outcome, occupants=sorted(outcome.occupants, key=lambda o: o.uid))

        outcome = self.both(ask)
        if isinstance(outcome, LoginOutcome) and outcome.status is LoginStatus.GRANTED:
            self.ledger.granted(login, outcome.now_ms)

    @rule(limit=st.integers(1, 3))
    def grants_expire(self, limit: int) -> None:
        expired = self.both(lambda world: world.logins.expire_grants(limit))
        if isinstance(expired, Refusal):
            return
        due = [
            uid
            for uid in sorted(self.ledger.grants(), key=lambda uid: (self.ledger.expiry[uid], uid))
            if self.ledger.expiry[uid] <= self.model.now_ms
        ][:limit]
        assert expired[0] == len(due)
        for uid in due:
            del self.ledger.held[uid]

    @rule(index=st.integers(0, 3))
    def a_grant_is_given_back(self, index: int) -> None:
        grants = self.ledger.grants()
        uid = grants[index] if index < len(grants) else bytes(16)
        if self.both(lambda world: world.logins.release_grants([uid])) == 1:
            del self.ledger.held[uid]

    @precondition(lambda self: self.fenced())
    @rule(session=st.sampled_from(SESSIONS))
    def nothing_gets_through_the_fence(self, session: str) -> None:
        refused = self.both(lambda world: self.commit(world, [], 1))
        assert isinstance(refused, Refusal)
        assert refused == self.both(lambda world: world.find(session))

    async def step(self, world: World, plan: Plan) -> Step:
        there = await world.find(plan.session, USERS[0])
        stored, grant = there.session, there.grant
        quiet = plan.quiet if plan.report or stored is None else stored.quiet
        changes: dict[str, Any] = {
            "charge": plan.charge,
            "want": plan.want,
            "open": plan.open,
            "uid": uid_of(plan.session, self.epochs[plan.session]),
            "cut_after_ms": plan.cut_after_ms,
            "cut_cause": plan.cause,
            "least": plan.least,
            "entries": (b"%s" % plan.account.encode(),) * plan.entries,
            "report": plan.report,
            "quiet": quiet,
            "change": plan.change if plan.open else None,
        }
        account = plan.account
        if stored is not None and stored.open and plan.stale != "session":
            account = stored.account
            changes["entries"] = (b"%s" % account.encode(),) * plan.entries
        step = await world.step(plan.session, account, **changes)
        if plan.takes_grant and grant is not None:
            step = await begun(world, step, grant)
        match plan.stale:
            case "session":
                return replace(step, expected_version=step.expected_version + 1)
            case "rating":
                return replace(step, expected_rating=step.expected_rating + 1)
            case "boot":
                return replace(step, expected_boot=(step.expected_boot or 0) + 1)
            case "grant":
                return replace(step, grant=step.grant + 1)
            case _:
                return step

    @staticmethod
    async def commit(world: World, steps: list[Step], loose: int) -> list[Outcome]:
        result = await world.hot.commit(steps, [b"loose"] * loose)
        return [
            replace(outcome, session=unversioned(outcome.session)) for outcome in result.outcomes
        ]

    @rule(nas=st.sampled_from(NASES), event_time=st.sampled_from(BOOTS))
    def a_nas_boots(self, nas: str, event_time: int) -> None:
        if self.both(lambda world: world.hot.mark_boot(nas, event_time)) is True:
            self.marks[nas] = event_time

    @rule(nas=st.sampled_from(NASES), right=st.booleans())
    def a_nas_is_swept(self, nas: str, right: bool) -> None:
        mark = self.marks.get(nas, 0) if right else 7
        self.both(lambda world: world.sweeps.swept(nas, mark))

    @rule(lease_ms=st.sampled_from([500, 60_000]))
    def what_is_due_is_taken(self, lease_ms: int) -> None:
        async def take(world: World) -> tuple[int, dict[str, StoredSession | None]]:
            due = await world.due(lease_ms=lease_ms)
            self.next_ms[world] = due.next_ms
            return due.now_ms, {one.session: unversioned(one.stored) for one in due.sessions}

        self.next_ms: dict[World, int | None] = {}
        answer = self.both(take)
        if isinstance(answer, Refusal):
            return
        expected, asked = self.next_ms[self.model], self.next_ms[self.store]
        assert (expected is None) == (asked is None)
        if expected is not None and asked is not None:
            assert self.model.now_ms < asked <= expected  # its index is lazy: early, never late

    @rule(limit=st.integers(1, 3), lease_ms=st.sampled_from([500, 60_000]))
    def jobs_are_claimed(self, limit: int, lease_ms: int) -> None:
        async def claim(world: World) -> Claim:
            claim = await world.jobs.claim_jobs(limit, lease_ms)
            jobs = [replace(job, stored=replace(job.stored, version=0)) for job in claim.jobs]
            return replace(claim, jobs=jobs)

        self.both(claim)

    @rule(index=st.integers(0, 5), again_in_ms=st.sampled_from([100, 5000]))
    def a_job_is_put_off(self, index: int, again_in_ms: int) -> None:
        uid = self.some_job(index)
        self.both(lambda world: world.jobs.put_off_jobs({uid: again_in_ms}))

    @rule(index=st.integers(0, 5), lease_ms=st.sampled_from([500, 60_000]))
    def a_job_is_sent(self, index: int, lease_ms: int) -> None:
        uid = self.some_job(index)
        asked = self.asked_of(uid)
        self.both(lambda world: world.jobs.may_transmit(uid, lease_ms, asked))

    @rule(
        index=st.integers(0, 5),
        state=st.sampled_from(["done", "refused", "unanswered"]),
        again_in_ms=st.sampled_from([500, 60_000]),
    )
    def a_job_is_reported(self, index: int, state: str, again_in_ms: int) -> None:
        uid = self.some_job(index)
        if state == "done":
            done = {"": "acknowledged", "redirect": "gardened"}
            state = done.get(self.asked_of(uid), "in_force")
        asked = self.asked_of(uid)
        self.both(lambda world: world.jobs.report_job(uid, state, "é", 503, again_in_ms, asked))

    def some_job(self, index: int) -> str:
        jobs = self.run(self.model.jobs.live_jobs(100))
        return jobs[index].uid if index < len(jobs) else "0" * 32

    def asked_of(self, uid: str) -> str:
        """What a job asks for; of cuts every other one is to be a walled garden."""
        for job in self.run(self.model.jobs.live_jobs(100)):
            if job.uid == uid and job.action != Action.CUT:
                return job.asked
        return "redirect" if int(uid[:32], 16) % 2 else ""

    @rule(session=st.sampled_from(SESSIONS), change=CHANGES)
    def a_change_is_asked_for(self, session: str, change: Change) -> None:
        self.both(lambda world: world.jobs.request_change(session, change))

    @rule(session=st.sampled_from(SESSIONS))
    def a_person_disconnects(self, session: str) -> None:
        self.both(lambda world: world.jobs.request_disconnect(session))

    @rule(back=st.integers(0, 3))
    def entries_are_settled(self, back: int) -> None:
        position = self.run(self.model.keeping.books()).position
        settled = max(position.sequence - back, 0)
        self.trimmed = max(self.trimmed, settled)
        self.both(lambda world: world.stream.trim(Position(GENERATION, settled)))

    @precondition(lambda self: not self.fenced())
    @rule()
    def the_fence_goes_up(self) -> None:
        self.both(lambda world: world.keeping.fence("rebuilding"))

    @precondition(lambda self: self.fenced())
    @rule()
    def the_fence_comes_down(self) -> None:
        self.both(lambda world: world.keeping.fence(""))

    def fenced(self) -> bool:
        return self.run(self.model.keeping.books()).fence is not None

    # What holds after each of that

    @invariant()
    def both_hold_the_same(self) -> None:
        self.both(lambda world: world.keeping.books())
        self.both(lambda world: world.keeping.inspect(ACCOUNTS))
        self.both(lambda world: world.jobs.live_jobs(100))
        self.both(lambda world: world.sweeps.pending_sweeps())
        self.both(found)
        self.both(entries)
        self.both(sessions_by_nas)

    @invariant()
    def the_books_are_right(self) -> None:
        audits = self.run(self.store.keeping.inspect(ACCOUNTS))
        totals = self.run(self.store.keeping.books()).totals
        there = [audit for audit in audits if audit]
        for audit in there:
            account = audit.account
            assert account.balance == self.ledger.balance[account.account]
            assert account.reserved == audit.held == self.ledger.reserved(account.account)
            assert account.charged == self.ledger.charged[account.account]
        if there:
            sums = totals["EUR"]
            assert sums.balance == sum(audit.account.balance for audit in there)
            assert sums.reserved == sum(audit.account.reserved for audit in there)

    @invariant()
    def the_stream_has_no_gaps(self) -> None:
        stream = self.run(self.store.stream.entries_after(BEGINNING, 10_000))
        last = self.run(self.store.keeping.books()).position.sequence
        assert [entry.position.sequence for entry in stream] == list(
            range(self.trimmed + 1, last + 1)
        )
        charges: dict[bytes, list[int]] = defaultdict(list)
        for entry in stream:
            for field, value in entry.items:
                if field not in (JOB_FIELD, b"0"):
                    charges[value].append(int(field))
        for account, numbers in charges.items():
            last = self.ledger.charged[account.decode()]
            assert numbers == list(range(last - len(numbers) + 1, last + 1))

    @precondition(lambda self: not self.fenced())
    @invariant()
    def who_is_to_be_cut_has_a_job(self) -> None:
        jobs = {job.uid for job in self.run(self.store.jobs.live_jobs(100))}
        for one in self.run(found(self.store)):
            if one.session is not None:
                assert one.session.cutting == (one.session.uid.hex() in jobs)
                assert not one.session.cutting or one.session.open


async def begun(world: World, step: Step, grant: Grant) -> Step:
    """A step that begins its session with a grant, and may have what that holds."""
    (audit,) = await world.keeping.inspect([step.account])
    there = audit.account.available if audit else 0
    if there is not None:
        there = min(step.want, max(there + grant.held - step.charge, 0))
    granted = step.want if there is None else there
    return replace(step, uid=grant.uid, takes_grant=True, grant=granted)


def unversioned(stored: StoredSession | None) -> StoredSession | None:
    """A session without its version, which every store counts for itself."""
    return None if stored is None else replace(stored, version=0)


async def found(world: World) -> list[Found]:
    lookups = [
        Lookup(session, session[0], user) for session, user in zip(SESSIONS, USERS * 3, strict=True)
    ]
    snapshot = await world.hot.read(lookups)
    return [replace(one, session=unversioned(one.session)) for one in snapshot.found]


async def entries(world: World) -> list[tuple[Position, list[tuple[bytes, bytes | JobEvent]]]]:
    def decoded(entry: StreamEntry) -> list[tuple[bytes, bytes | JobEvent]]:
        return [
            (field, decode_job_event(value) if field == JOB_FIELD else value)
            for field, value in entry.items
        ]

    stream = await world.stream.entries_after(BEGINNING, 10_000)
    return [(entry.position, decoded(entry)) for entry in stream]


async def sessions_by_nas(world: World) -> list[list[str]]:
    rounds = [await world.sweeps.sessions_of_nas(nas, 0, 100) for nas in NASES]
    assert [cursor for cursor, _ in rounds] == [0, 0]
    return [sorted(keys) for _, keys in rounds]


@pytest.mark.parametrize("kind", ["valkey", "redis"])
def test_random_histories(servers: Servers, kind: str) -> None:
    class OnThisServer(BooksMachine):
        url = servers[kind].url

    run_state_machine_as_test(
        OnThisServer,
        settings=settings(
            max_examples=25,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
