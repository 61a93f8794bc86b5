"""What pricing needs beyond a session's counters: zone, service, what its account shares."""

import struct
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from balances.messages import Account
from radius.attributes import CALLED_STATION_ID, NAS_PORT_TYPE
from radius.records import AccountingRecord, text
from ratewire.pipeline.credit import Credit
from rating.calendar import Cycle
from rating.compiled import compiled
from rating.plan import Plan
from rating.tally import Sharing, Subject, Tally


def is_needed(plan: Plan, account: Account, tally: Tally | None) -> bool:
    """Return whether the price of a session is not a function of its counters alone."""
    return bool(
        tally is not None
        or account.pool is not None
        or plan.allowances
        or not compiled(plan.tariff).simple
    )


def sharing_of(
    plan: Plan,
    account: Account,
    credit: Credit,
    *,
    username: str,
    service: str,
    tally: Tally | None = None,
) -> Sharing | str:
    """Return what the price of a session is computed from, or why it cannot be computed now."""
    try:
        pool = credit.pool(account)
    except (msgspec.DecodeError, struct.error):
        return "pool_not_understood"
    try:
        zone = ZoneInfo(pool.zone or plan.tariff.zone)
    except (ZoneInfoNotFoundError, ValueError):
        return "zone_not_known"
    return Sharing(Subject(Cycle(zone, pool.billing_day), username, service), pool, tally)


def service_of(plan: Plan, record: AccountingRecord) -> str:
    """Return the service that the record of a session that begins is of, by the plan's tariff."""
    if not plan.tariff.services:
        return ""
    raw = record.attributes
    called, port_type = raw.get(CALLED_STATION_ID), raw.get(NAS_PORT_TYPE)
    _, _, realm = (record.user_name or "").rpartition("@")
    return compiled(plan.tariff).service_of(
        {
            "nas": record.nas,
            "realm": realm if "@" in (record.user_name or "") else "",
            "called_station": text(called) if called else "",
            "port_type": str(int.from_bytes(port_type)) if port_type else "",
            "class": text(record.classes[0]) if record.classes else "",
        }
    )
