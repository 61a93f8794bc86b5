"""What pricing needs beyond a session's counters: zone, service, what its account shares."""

import struct
from collections.abc import Sequence
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from balances.messages import Account
from radius.attributes import CALLED_STATION_ID, NAS_PORT_TYPE
from radius.records import Attributes, text
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


def service_of(
    plan: Plan, nas: str, user_name: str, raw: Attributes, classes: Sequence[bytes]
) -> str:
    """Return the service that a session which begins is of, by the plan's tariff.

    `raw` are the attributes of its login or of its first record.
    """
    if not plan.tariff.services:
        return ""
    called, port_type = raw.get(CALLED_STATION_ID), raw.get(NAS_PORT_TYPE)
    _, _, realm = user_name.rpartition("@")
    return compiled(plan.tariff).service_of(
        {
            "nas": nas,
            "realm": realm if "@" in user_name else "",
            "called_station": text(called) if called else "",
            "port_type": str(int.from_bytes(port_type)) if port_type else "",
            "class": text(classes[0]) if classes else "",
        }
    )
