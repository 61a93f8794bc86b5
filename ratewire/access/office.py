"""A desk for logins, from the settings: the same for RADIUS and for FreeRADIUS over HTTP."""

from ratewire.access.credentials import Credentials
from ratewire.access.decision import Rules
from ratewire.access.desk import Desk
from ratewire.access.vouchers import Vouchers
from ratewire.observer import Observer
from ratewire.pipeline.raters import PlanReader
from ratewire.wiring import System, now_ms


def desk_of(system: System, credentials: Credentials, observer: Observer) -> Desk:
    """Return a desk over a system's store. The credentials are the caller's to close."""
    logins = system.settings.logins
    return Desk(
        system.store,
        system.logins,
        system.housekeeping,
        PlanReader(system.store),
        credentials,
        observer,
        vouchers=None if logins.voucher_plan is None else Vouchers(system, logins.voucher_plan),
        rules=Rules(
            interim=logins.interim_seconds,
            grant=logins.grant_seconds,
            uncut=logins.uncut_seconds,
            garden=logins.garden_seconds,
        ),
        reject_delay_s=logins.reject_delay_ms / 1000,
        clock_ms=now_ms,
    )
