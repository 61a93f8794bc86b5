"""Open sessions, as people see them."""

from datetime import UTC, datetime

import msgspec
import structlog

from balances.keys import parts_of
from balances.messages import Lookup, StoredSession, decode_state
from ratewire.nas import identity_of
from ratewire.wiring import System

_log = structlog.get_logger(__name__)


class SessionView(msgspec.Struct, frozen=True):
    """One open session, as it is charged so far. `session` names it for `session disconnect`."""

    session: str
    user: str
    account: str
    plan: str
    nas: str
    acct_session_id: str
    address: str | None
    started_at: datetime
    last_report_at: datetime
    seconds: int
    octets_in: int
    octets_out: int
    charged_micros: int
    reserved_micros: int
    currency: str
    cutting: bool

    @property
    def last_report(self) -> int:
        """Unix seconds, to compute with."""
        return int(self.last_report_at.timestamp())


def view_of(key: str, stored: StoredSession) -> SessionView:
    """Return a stored session as people see it."""
    state = decode_state(stored.state)
    identity = identity_of(stored)
    used = state.meter.used
    return SessionView(
        session=stored.uid.hex(),
        user=state.username,
        account=stored.account,
        plan=f"{state.plan}@{state.plan_version}",
        nas=identity.nas,
        acct_session_id=parts_of(key)[1],
        address=identity.framed_ip or identity.framed_ipv6_prefix,
        started_at=datetime.fromtimestamp(state.meter.started, UTC),
        last_report_at=datetime.fromtimestamp(state.reported_ms / 1000, UTC),
        seconds=used.seconds,
        octets_in=used.octets_in,
        octets_out=used.octets_out,
        charged_micros=state.meter.total_micros,
        reserved_micros=stored.held,
        currency=state.currency,
        cutting=stored.cutting,
    )


async def session_views(system: System, *, user: str | None, limit: int) -> list[SessionView]:
    """Return the open sessions, of one user if one is given; the latest reports first."""
    views: list[SessionView] = []
    if user is None:
        walk = system.listing.open_sessions()
    else:
        [found] = (await system.store.read([Lookup("", "", user)])).found
        # Sessions of a subscriber that was removed go on until they end.
        subscriber = found.subscriber
        walk = (
            system.listing.open_sessions()
            if subscriber is None
            else system.listing.of_account(subscriber.account)
        )
    async for each in walk:
        try:
            view = view_of(each.session, each.stored)
        except msgspec.DecodeError as error:
            _log.error("a session cannot be shown", session=each.session, error=str(error))
            continue
        if user is None or view.user == user:
            views.append(view)
            if len(views) >= limit:
                break
    return sorted(views, key=lambda view: (-view.last_report, view.session))
