"""Rating sessions that could not be rated, once their subscriber is there.

The last record of such a session goes the way of every record, into the intake: counters are
cumulative, so it says all, and the session's marks see to it that nothing is charged twice, whether
its NAS still reports or this is done again.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

import msgspec

from balances.keys import session_key
from balances.messages import Lookup, decode_state
from billing.database import Connection
from billing.errors import BillingError, Conflict
from billing.review import listings
from billing.review.listings import UnratedSession
from billing.review.resolving import Outcome, Unresolved, get, resolve
from billing.settlement.times import unix_ms, unix_seconds
from radius.profiles import builtin_profiles
from radius.records import AccountingRecord, AcctStatus, SessionIdentity, attributes_of
from ratewire.archive import Archive
from ratewire.nas import NasDirectory, directory_of
from ratewire.pipeline.intake import Intake
from ratewire.pipeline.raters import Raters
from ratewire.wiring import System, now_ms

#: Staff decide what is too old: no record is, that they have rated.
_ANY_AGE_S: Final = 100 * 366 * 86_400

#: Nobody will ever be known for these.
_NEVER: Final = {
    "no_user": "its records name no user",
    "other_user": "its usage is in the session of another user",
}

#: What a record may be taken for when all of its usage is charged.
_CHARGED: Final = frozenset({"opened", "advanced", "closed", "restarted", "nothing"})

_identity = msgspec.msgpack.Decoder(SessionIdentity).decode


class Rerated(msgspec.Struct, frozen=True):
    """What rating a session did. `total_micros` is what the session is charged in all.

    With a `refusal` nothing was charged, and it is still on the list.
    """

    nas: str
    acct_session_id: str
    username: str
    account: str | None = None
    session: str | None = None
    total_micros: int | None = None
    currency: str | None = None
    refusal: str | None = None


class _Findings:
    """ratewire.observer.Observer: what records were taken for."""

    def __init__(self) -> None:
        self.found: set[str] = set()

    def count(self, what: str, by: int = 1) -> None:
        """Note a finding."""
        prefix, _, finding = what.partition("_")
        if prefix == "record" and by:
            self.found.add(finding)

    def stage(self, name: str, seconds: float) -> None:
        """Nobody asks how long it took."""


async def rerate_all(
    system: System, conn: Connection, username: str, *, limit: int, actor: str, now: datetime
) -> list[Rerated]:
    """Rate the unrated sessions of a user name, the newest `limit`; each for itself.

    Raises what the store and the database raise when they are away: some are rated then.
    """
    found = await listings.unrated(conn, username=username, limit=limit)
    return [await _told(system, conn, each, actor, now) for each in reversed(found)]


async def _told(
    system: System, conn: Connection, each: UnratedSession, actor: str, now: datetime
) -> Rerated:
    try:
        return await rerate(
            system, conn, each.nas, each.acct_session_id, each.username, actor=actor, now=now
        )
    except BillingError as error:
        return Rerated(each.nas, each.acct_session_id, each.username, refusal=str(error))


async def rerate(
    system: System,
    conn: Connection,
    nas: str,
    acct_session_id: str,
    username: str,
    *,
    actor: str,
    now: datetime,
) -> Rerated:
    """Rate a session that could not be rated, by the plan its subscriber has now.

    Charged is what it had used, in full. Then it leaves the list; killed in between, it can be done
    again and charges nothing more. Raises NotFound; Conflict when it still cannot be rated; and
    StoreError.
    """
    unresolved = await get(conn, nas, acct_session_id, username)
    session = unresolved.session
    if session.reason in _NEVER:
        raise Conflict(f"it cannot be rated, {_NEVER[session.reason]}: write it off")
    key = session_key(nas, acct_session_id)
    [known] = (await system.store.read([Lookup(key, nas, username, always=True)])).found
    if known.subscriber is None or known.subscriber_account is None:
        raise Conflict(f"subscriber {username!r} is not known: add it first")
    findings = _Findings()
    booked = await (await _intake(system, findings)).book([_record(unresolved)])
    if booked.failure is not None:
        raise booked.failure
    if not booked.done or not findings.found <= _CHARGED:
        raise Conflict(f"it cannot be rated: {_why(findings.found)}")
    await resolve(conn, session, Outcome.RERATED, actor=actor, now=now)
    [after] = (await system.store.read([Lookup(key, nas, username)])).found
    if after.session is None:
        return Rerated(nas, acct_session_id, username)
    state = decode_state(after.session.state)
    return Rerated(
        nas,
        acct_session_id,
        username,
        account=after.session.account,
        session=after.session.uid.hex(),
        total_micros=state.meter.total_micros,
        currency=state.currency,
    )


async def _intake(system: System, findings: _Findings) -> Intake:
    revision, published = await system.store.published("nas")
    directory: NasDirectory = directory_of(revision, published, system.keyring, builtin_profiles())
    terms = msgspec.structs.replace(system.terms, late_window=_ANY_AGE_S)
    raters = Raters(system.store, terms, clock_ms=now_ms, wraps_32=directory.wraps_32)
    return Intake(system.store, raters, Archive(system), findings, clock_ms=now_ms)


def _record(unresolved: Unresolved) -> AccountingRecord:
    """The newest record of a session, as it came.

    A Start is taken for a report of nothing used: as a Start it would begin the session again if
    that has ended and the store has forgotten it.
    """
    session, known = unresolved.session, _identity(unresolved.identity)
    kind = AcctStatus.INTERIM if session.kind == AcctStatus.START else session.kind
    return AccountingRecord(
        status=kind,
        session_id=session.acct_session_id,
        user_name=session.username,
        client=session.client,
        nas=session.nas,
        source_host=known.source_host,
        source_port=0,
        session_seconds=session.seconds,
        octets_in=session.octets_in,
        octets_out=session.octets_out,
        has_gigawords=True,
        event_time=unix_seconds(session.event_at),
        arrived_ms=unix_ms(session.last_at),
        terminate_cause=None,
        attributes=attributes_of(known),
        classes=known.classes,
    )


def _why(findings: Iterable[str]) -> str:
    odd = sorted(finding.removeprefix("unrated_") for finding in set(findings) - _CHARGED)
    return ", ".join(odd) or "it is being changed by others; try again"
