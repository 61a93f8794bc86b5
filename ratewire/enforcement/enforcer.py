"""Carries out enforcement jobs: claims what is due, sends, notes what came of it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from random import Random, SystemRandom

import msgspec
import structlog

from balances.errors import StoreError
from balances.jobs import Action
from balances.keys import parts_of
from balances.messages import ClaimedJob, decode_state
from balances.port import JobQueue
from radius import dynauth_client
from radius.clients import Client
from radius.dynauth import (
    Advice,
    Exchange,
    Outcome,
    Timers,
    Verdict,
    advice,
    coa_request,
    disconnect_request,
    next_set,
)
from radius.encoding import Attribute, Line
from radius.identification import Attributes, identification_sets
from radius.profiles import Profile
from radius.records import SessionIdentity
from ratewire.enforcement.changes import Cannot, attributes_for
from ratewire.enforcement.decisions import (
    ALERT_MS,
    GARDEN_MS,
    Look,
    Next,
    Report,
    look_at,
    report_on,
    report_on_change,
)
from ratewire.enforcement.lanes import Lanes
from ratewire.enforcement.subjects import Subjects
from ratewire.nas import NasDirectory, identity_of, target_of
from ratewire.observer import Observer
from ratewire.outage import Outage
from ratewire.sweeper import Sweeper
from rating.access import Access
from rating.reservation import slice_seconds

_log = structlog.get_logger(__name__)

#: Jobs carried out at the same time by one enforcer; an exchange takes a socket.
IN_FLIGHT = 512

#: And with those that wait for an answer after more than one transmission: they cost a socket.
MOST_SOCKETS = 4096

#: Jobs claimed at once.
CLAIM = 256

#: Longer than the longest time between two transmissions (RFC 5080, section 2.2.1: MRT + 10 %).
LEASE_MS = 25_000

#: The longest sleep between two looks when no notice comes.
LONGEST_WAIT_S = 0.25

_ANSWERS = (Outcome.ACK, Outcome.NAK)
_CONTINUE = (Advice.NEXT_SET, Advice.WITHOUT_NAS, Advice.MORE_IDENTIFIERS)


class Peer(msgspec.Struct, frozen=True):
    """The NAS of a session, and how it knows the session."""

    client: Client
    profile: Profile
    identity: SessionIdentity


class Enforcer:
    """Any number of them may run; a job is leased to one at a time."""

    def __init__(
        self,
        jobs: JobQueue,
        sweeper: Sweeper,
        subjects: Subjects,
        directory: Callable[[], NasDirectory],
        observer: Observer,
        *,
        clock_ms: Callable[[], int],
        random: Random | None = None,
        timers: Timers | None = None,
    ) -> None:
        """`directory` returns the NASes that are configured now."""
        self._jobs = jobs
        self._sweeper = sweeper
        self._subjects = subjects
        self._directory = directory
        self._observer = observer
        self._clock_ms = clock_ms
        self._random = random or SystemRandom()
        self._timers = timers or Timers()
        self._tasks: set[asyncio.Task[None]] = set()
        self._waited: set[str] = set()
        self._lanes = Lanes(most_probes=IN_FLIGHT // 2)

    async def run(self, stop: asyncio.Event, wait: Callable[[float], Awaitable[object]]) -> None:
        """Carry out jobs until `stop` is set, then let those in flight end.

        `wait` sleeps so many seconds, or until there is a notice.
        """
        outage = Outage("the enforcer's store")
        while not stop.is_set():
            pause = LONGEST_WAIT_S
            try:
                pause = min(await self.step(), LONGEST_WAIT_S)
                outage.works()
            except StoreError as error:
                outage.failed(error)
                pause = 1.0
            await wait(max(pause, 0.001))
        for task in self._tasks:
            task.cancel()  # its lease runs out, and another enforcer goes on
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def step(self) -> float:
        """Claim what is due and begin it; return the seconds until the next job is due."""
        young = len(self._tasks) - self._lanes.waiting
        room = min(IN_FLIGHT - young, MOST_SOCKETS - len(self._tasks), CLAIM)
        if room <= 0:
            return LONGEST_WAIT_S
        claim = await self._jobs.claim_jobs(room, LEASE_MS)
        waits: dict[str, int] = {}
        for job in claim.jobs:
            if wait_ms := self._begin(job, claim.now_ms):
                waits[job.uid] = wait_ms
        if waits:
            await self._jobs.put_off_jobs(waits)
        pauses_ms = [round(LONGEST_WAIT_S * 1000), *waits.values()]
        if claim.next_ms is not None:
            pauses_ms.append(max(0, claim.next_ms - claim.now_ms))
        return min(pauses_ms) / 1000

    async def drain(self) -> None:
        """Wait for the jobs in flight."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin(self, job: ClaimedJob, now_ms: int) -> int:
        """Begin a job and return 0, or return for how long to put it off: its NAS is busy."""
        try:
            state = decode_state(job.stored.state)
        except msgspec.MsgspecError:
            _log.exception("a job failed", job=job.uid, session=job.session)
            return 0
        following = look_at(job, now_ms, slice_seconds(state.pace) * 1000)
        nas = parts_of(job.session)[0] if following.look is Look.SEND else None
        if nas is not None and (wait_ms := self._lanes.enter(nas, now_ms)):
            return wait_ms
        task = asyncio.create_task(self._carry_out(job, following))
        self._tasks.add(task)

        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            if nas is not None:
                self._lanes.leave(nas, waited=job.uid in self._waited)
            self._waited.discard(job.uid)

        task.add_done_callback(ended)
        return 0

    async def _carry_out(self, job: ClaimedJob, following: Next) -> None:
        try:
            await self._follow(job, following)
        except StoreError as error:
            # Its lease runs out, and it is claimed again.
            _log.warning("a job is left to its lease", job=job.uid, error=str(error))
        except Exception:  # noqa: BLE001 - one job's fault must not end the others; it is logged whole
            _log.exception("a job failed", job=job.uid, session=job.session)

    async def _follow(self, job: ClaimedJob, following: Next) -> None:
        if following.look is Look.SEND:
            await self._send(job)
        elif following.look is Look.CLOSE:
            await self._sweeper.close_lost(job.session, job.stored.seen_ms)
        else:
            why = "in a walled garden" if job.state == "gardened" else "awaiting the Stop"
            await self._jobs.report_job(job.uid, job.state, why, 0, following.again_ms, asked(job))

    async def _send(self, job: ClaimedJob) -> None:
        identity = identity_of(job.stored)
        directory = self._directory()
        client = directory.clients.get(identity.client)
        if client is None:
            await self._refuse(job, "no such NAS client")
            return
        peer = Peer(client, directory.profile(client), identity)
        if job.action != Action.CUT:
            await self._change(job, peer)
        elif not await self._put_into_garden(job, peer):
            await self._cut(job, peer)

    async def _cut(self, job: ClaimedJob, peer: Peer) -> None:
        sets = identification_sets(peer.identity, peer.profile.disconnect.identify)
        if not sets:
            why = "nothing identifies it" if peer.profile.can_cut else "its NAS takes no Disconnect"
            await self._refuse(job, why)
            return
        result = await self._ask(job, peer, sets, None, "")
        if result is not None:
            await self._note(job, report_on(*result))

    async def _put_into_garden(self, job: ClaimedJob, peer: Peer) -> bool:
        """Put a session whose plan says so into its walled garden; whether that is its treatment.

        Where the NAS refuses, it is cut.
        """
        if job.cause == "operator" or not peer.profile.can_redirect:
            return False
        subject = await self._subjects.of(job.session, job.stored.uid, peer.profile)
        if subject is None or subject.account.closed:
            return False
        if not garden_for(job.cause, subject.plan.access):
            return False
        sets = identification_sets(peer.identity, peer.profile.coa.identify)
        places = {"garden": subject.plan.access.garden}
        attributes = [Line(line).attribute(places) for line in peer.profile.garden.attributes]
        if not sets:
            return False
        result = await self._ask(job, peer, sets, attributes, Action.REDIRECT)
        if result is None:
            return True
        report = report_on(*result)
        if report.state == "refused":
            return False
        if report.state == "acknowledged":
            report = Report("gardened", "ack", report.error_cause, GARDEN_MS)
            await self._sweeper.mark_garden(job.session, job.stored.uid, garden=True)
        await self._note(job, report)
        return True

    async def _change(self, job: ClaimedJob, peer: Peer) -> None:
        subject = await self._subjects.of(job.session, job.stored.uid, peer.profile)
        if subject is None:
            await self._refuse(job, "its plan is not known here")
            return
        attributes = attributes_for(
            job,
            peer.profile,
            subject.plan.access,
            subject.limits,
            began_in_garden=subject.began_in_garden,
        )
        if isinstance(attributes, Cannot):
            await self._cut_instead(job, peer, attributes.why)
            return
        sets = identification_sets(peer.identity, peer.profile.coa.identify)
        if not attributes or not sets:
            # Only what asks for nothing but limits comes here without a way to tell them.
            await self._settle(job, Report("in_force", "its NAS has nothing to be told", 0, 0))
            return
        result = await self._ask(job, peer, sets, attributes, job.asked)
        if result is None:
            return
        report = report_on_change(*result)
        if report.state == "in_force":
            await self._settle(job, report)
        else:
            await self._note(job, report)

    async def _settle(self, job: ClaimedJob, report: Report) -> None:
        """Note a change that is in force, and what it means for what the session uses."""
        if job.treatment == Action.REDIRECT or Action.REDIRECT in job.applied.split(","):
            garden = job.treatment == Action.REDIRECT
            await self._sweeper.mark_garden(job.session, job.stored.uid, garden=garden)
        await self._note(job, report)

    async def _cut_instead(self, job: ClaimedJob, peer: Peer, why: str) -> None:
        """Its next login gets what the NAS cannot change while the session runs."""
        if not peer.profile.can_cut:
            await self._refuse(job, f"{why}, nor cut it")
            return
        await self._jobs.request_disconnect(job.session)
        await self._note(job, Report("refused", f"{why}: it is cut instead", 0, ALERT_MS))

    async def _ask(
        self,
        job: ClaimedJob,
        peer: Peer,
        sets: Sequence[Attributes],
        changes: Sequence[Attribute] | None,
        asked: str,
    ) -> tuple[Verdict, Advice, int] | None:
        """Ask the NAS by one identification set after the other, as its answers say.

        To cut the session, or to make `changes`. Returns the last verdict, what follows from it,
        and how often the job was transmitted; None if its cause was gone before a transmission.
        """
        nas = parts_of(job.session)[0]
        kind = "disconnect" if changes is None else "coa"
        tried: int | None = 0
        attempts = job.attempts
        while True:
            verdict = await self._exchange(job, peer, sets[tried], changes, asked)
            attempts += verdict.transmissions
            self._observer.count(f"{kind}_{verdict.outcome.value}")
            if verdict.outcome is Outcome.CANCELLED:
                return None
            if verdict.outcome is Outcome.TIMED_OUT:
                self._lanes.timed_out(nas)
            elif verdict.outcome in _ANSWERS:
                self._lanes.answered(nas)
            follow = advice(verdict, sent_before=job.attempts > 0)
            following = next_set(sets, tried, follow) if follow in _CONTINUE else None
            if following is None:
                return verdict, follow, attempts
            tried = following

    async def _exchange(
        self,
        job: ClaimedJob,
        peer: Peer,
        identification: Attributes,
        changes: Sequence[Attribute] | None,
        asked: str,
    ) -> Verdict:
        client, profile = peer.client, peer.profile
        identifier, event_time = self._random.randrange(256), self._clock_ms() // 1000
        if changes is None:
            request = disconnect_request(
                identification,
                identifier=identifier,
                secret=client.secret,
                rules=profile.coa,
                event_time=event_time,
            )
        else:
            request = coa_request(
                identification,
                tuple(changes),
                identifier=identifier,
                secret=client.secret,
                rules=profile.coa,
                event_time=event_time,
            )
        exchange = Exchange(request, client.secret, self._random, self._timers)
        target = target_of(client, profile, peer.identity.source_host)

        async def cause_holds() -> bool:
            if exchange.transmissions == 1 and job.uid not in self._waited:
                self._waited.add(job.uid)
                self._lanes.waits(parts_of(job.session)[0])
            return await self._jobs.may_transmit(job.uid, LEASE_MS, asked)

        return await dynauth_client.send(
            (target.host, target.port),
            exchange,
            before_transmit=cause_holds,
            bind_host=client.bind_host,
        )

    async def _refuse(self, job: ClaimedJob, why: str) -> None:
        await self._note(job, Report("refused", why, 0, ALERT_MS, alert=True))

    async def _note(self, job: ClaimedJob, report: Report) -> None:
        if report.alert:
            self._observer.count("disconnect_alerts")
            told = {"session": job.session, "result": report.result}
            if job.action == Action.CUT:
                _log.error("a session cannot be cut", **told, error_cause=report.error_cause)
            else:
                _log.error(
                    "a session cannot be changed",
                    **told,
                    action=job.action,
                    error_cause=report.error_cause,
                )
        await self._jobs.report_job(
            job.uid, report.state, report.result, report.error_cause, report.again_ms, asked(job)
        )


def asked(job: ClaimedJob) -> str:
    """Return what a change asked for when it was claimed; nothing for a cut."""
    return "" if job.action == Action.CUT else job.asked


def garden_for(cause: str, access: Access) -> bool:
    """Return whether a plan has a session put into its walled garden for this cause."""
    return access.garden_suspended if cause == "suspended" else access.garden_running
