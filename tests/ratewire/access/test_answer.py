"""Decisions in the attributes of every vendor, read back by pyrad."""

from typing import Any

import pytest

from billing.subscribers.login import NO_BOUNDS, Bounds
from radius.access import Answer, answer_octets
from radius.profiles import builtin_profiles
from radius.requests import read_reply
from ratewire.access.answer import accepted, in_garden, refused
from ratewire.access.decision import Promise, Refusal, Rules, Volume
from ratewire.pipeline.tickets import class_of, garden_class
from rating.access import PLAIN, Access
from tests.ratewire.access.logins import SECRET, login

UID = bytes(range(16))
GIGA = 5_000_000_000
PROFILES = builtin_profiles()
RULES = Rules(interim=300)
ALL = Promise(1, 1, 7200, Volume(GIGA, GIGA, GIGA))
FAST = Access(rate_down_kbps=50_000, rate_up_kbps=10_000, idle_seconds=900, pool="gold")


def read(answer: Answer) -> dict[str, list[Any]]:
    """The attributes as a NAS reads them."""
    request = login().attributes
    octets = answer_octets(
        answer,
        identifier=request.identifier,
        authenticator=request.authenticator,
        request=request,
        secret=SECRET,
    )
    return read_reply(request.octets, octets, secret=SECRET)


def told(
    vendor: str, promise: Promise = ALL, access: Access = FAST, bounds: Bounds = NO_BOUNDS
) -> dict[str, list[Any]]:
    answer = accepted(
        promise,
        uid=UID,
        access=access,
        bounds=bounds,
        profile=PROFILES[vendor],
        rules=RULES,
        mschap2=None,
    )
    assert answer.accepted
    return read(answer)


QUOTAS: dict[str, dict[str, list[Any]]] = {
    "mikrotik-ppp": {
        "Mikrotik-Total-Limit": [GIGA % 2**32],
        "Mikrotik-Total-Limit-Gigawords": [1],
        "Mikrotik-Rate-Limit": ["10000k/50000k"],
    },
    "mikrotik-hotspot": {
        "Mikrotik-Total-Limit": [GIGA % 2**32],
        "Mikrotik-Total-Limit-Gigawords": [1],
        "Mikrotik-Rate-Limit": ["10000k/50000k"],
    },
    "coovachilli": {
        "ChilliSpot-Max-Total-Octets": [GIGA % 2**32],
        "ChilliSpot-Max-Total-Gigawords": [1],
        "WISPr-Bandwidth-Max-Up": [10_000_000],
        "WISPr-Bandwidth-Max-Down": [50_000_000],
    },
    "huawei": {
        "Huawei-Remanent-Volume": [GIGA // 1024],
        "Huawei-Input-Average-Rate": [10_000_000],
        "Huawei-Input-Peak-Rate": [10_000_000],
        "Huawei-Output-Average-Rate": [50_000_000],
        "Huawei-Output-Peak-Rate": [50_000_000],
    },
    "nokia-sr": {
        "Alc-Credit-Control-Quota": [f"{GIGA}B|0s|total"],
        "Alc-Credit-Control-CategoryMap": ["ratewire"],
    },
    "accel-ppp": {"Filter-Id": ["50000/10000"]},
    "unifi": {"WISPr-Bandwidth-Max-Up": [10_000_000], "WISPr-Bandwidth-Max-Down": [50_000_000]},
    **{
        vendor: {}
        for vendor in (
            *("generic", "generic-32bit", "cisco-isg", "juniper-mx", "juniper-junose"),
            *("hostapd", "strongswan", "ocserv", "openvpn"),
        )
    },
}


@pytest.mark.parametrize("vendor", sorted(PROFILES))
def test_quota_and_speed_in_the_vendors_own_attributes(vendor: str) -> None:
    found = told(vendor)
    common = {"Class": [class_of(UID)], "Idle-Timeout": [900], "Framed-Pool": ["gold"]}
    if PROFILES[vendor].time.attribute:
        common["Session-Timeout"] = [7200]
    if PROFILES[vendor].interim.in_accept:
        common["Acct-Interim-Interval"] = [max(300, PROFILES[vendor].interim.minimum_seconds)]
    del found["Message-Authenticator"]
    assert found == common | QUOTAS[vendor]


def test_what_has_no_limit_is_not_told() -> None:
    found = told("mikrotik-ppp", Promise(1, 1, None, Volume()), PLAIN)
    assert set(found) == {"Message-Authenticator", "Class", "Acct-Interim-Interval"}


def test_a_quota_is_rounded_down_and_never_nothing() -> None:
    """A quota of zero would mean no quota to some."""
    little = Promise(1, 1, None, Volume(octets_total=2047))
    assert told("huawei", little)["Huawei-Remanent-Volume"] == [1]
    none = Promise(1, 1, None, Volume(octets_total=0))
    assert told("mikrotik-ppp", none)["Mikrotik-Total-Limit"] == [1]
    much = Promise(1, 1, None, Volume(octets_total=2**60))
    assert told("huawei", much)["Huawei-Remanent-Volume"] == [2**32 - 2]


def test_an_address_goes_before_a_pool() -> None:
    found = told("generic", bounds=Bounds(framed_ip="198.51.100.7", framed_pool="x"))
    assert found["Framed-IP-Address"] == ["198.51.100.7"]
    assert "Framed-Pool" not in found
    assert told("generic", bounds=Bounds(framed_pool="own"))["Framed-Pool"] == ["own"]


@pytest.mark.parametrize("vendor", sorted(PROFILES))
def test_a_walled_garden(vendor: str) -> None:
    profile = PROFILES[vendor]
    answer = in_garden(
        Access(garden="portal", garden_plan="free"),
        mark=garden_class(),
        bounds=NO_BOUNDS,
        profile=profile,
        rules=RULES,
        refusal=Refusal.NO_CREDIT,
        mschap2=None,
    )
    found = read(answer)
    assert found["Reply-Message"] == ["There is no credit left."]
    assert found["Class"] == [garden_class()]
    for line in profile.garden.attributes:
        assert "portal" in str(found[line.partition(" =")[0]])


def test_a_refusal() -> None:
    found = read(refused(login(), Refusal.SUSPENDED))
    assert found["Reply-Message"] == ["This account is suspended."]
    assert "MS-CHAP-Error" not in found
    assert "MS-CHAP-Error" in read(refused(login(method="mschap2"), Refusal.NOT_PROVEN))
