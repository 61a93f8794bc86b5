"""Vendor profiles: the ones that ship, and that a faulty one is refused with every fault named."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import radius.profiles
from radius.encoding import Line
from radius.profiles import (
    GARDEN_PLACES,
    RATE_PLACES,
    Profile,
    ProfileError,
    builtin_profiles,
    read_profile,
)

DOCS = Path(__file__).parents[2] / "docs" / "nas"
VENDORS = Path(radius.profiles.__file__).with_name("vendors")
GENERIC = (VENDORS / "generic.toml").read_text()


def faults_of(toml: str) -> list[str]:
    with pytest.raises(ProfileError) as raised:
        read_profile("trial", toml)
    assert str(raised.value).startswith("vendor profile trial: ")
    return raised.value.faults


class TestBuiltin:
    def test_every_file_is_a_profile_of_its_name(self) -> None:
        profiles = builtin_profiles()
        assert sorted(profiles) == sorted(path.stem for path in VENDORS.glob("*.toml"))
        assert all(name == profile.name for name, profile in profiles.items())

    def test_generic_is_rfc_5176(self) -> None:
        generic = builtin_profiles()["generic"]
        assert generic.coa.port == 3799
        assert generic.coa.message_authenticator
        assert generic.coa.event_timestamp
        assert generic.disconnect.identify == (
            ("User-Name", "Acct-Session-Id"),
            ("Acct-Session-Id",),
            ("User-Name", "Acct-Session-Id", "NAS-IP-Address", "NAS-Identifier"),
            ("User-Name", "Framed-IP-Address"),
        )
        assert generic.counters.gigawords == "sent"
        assert not generic.counters.swap_octets

    def test_generic_32bit_differs_in_its_gigawords_alone(self) -> None:
        documents = [
            tomllib.loads((VENDORS / f"{name}.toml").read_text())
            for name in ("generic", "generic-32bit")
        ]
        assert [document["counters"].pop("gigawords") for document in documents] == [
            "sent",
            "absent",
        ]
        assert documents[0] == documents[1]

    def test_every_vendor_has_its_page(self) -> None:
        pages = {path.stem for path in DOCS.glob("*.md")}
        for name in set(builtin_profiles()) - {"generic", "generic-32bit"}:
            assert name in pages, f"docs/nas/{name}.md"

    @pytest.mark.parametrize("name", sorted(builtin_profiles()))
    def test_its_lines_are_attributes(self, name: str) -> None:
        profile = builtin_profiles()[name]
        for line in profile.rate.attributes:
            Line(line).attribute(RATE_PLACES)
        for line in profile.garden.attributes:
            Line(line).attribute(GARDEN_PLACES)
        for volume in profile.quota.volume:
            assert volume.max >= 2**24 - 1
            assert volume.high or volume.format or volume.max < 2**32, "32 bits hold no more"


WHAT_THEY_CAN: dict[str, Any] = {
    # vendor: first set of a Disconnect, CoA port, quota, quota where, time in CoA, speed in CoA
    "generic": (("User-Name", "Acct-Session-Id"), 3799, None, "", "ignored", False),
    "generic-32bit": (("User-Name", "Acct-Session-Id"), 3799, None, "", "ignored", False),
    "mikrotik-ppp": (
        *(("User-Name", "Acct-Session-Id"), 3799),
        *("Mikrotik-Total-Limit", "accept", "from_start", True),
    ),
    "mikrotik-hotspot": (
        *(("User-Name", "Acct-Session-Id", "Framed-IP-Address"), 3799),
        *("Mikrotik-Total-Limit", "accept", "from_start", True),
    ),
    "cisco-isg": (("Acct-Session-Id",), 1700, "Cisco-Control-Info", "", "ignored", False),
    "juniper-mx": (("Acct-Session-Id",), 3799, "ERX-Service-Volume", "", "ignored", False),
    "juniper-junose": (("Acct-Session-Id",), 3799, "ERX-Service-Volume", "", "ignored", False),
    "accel-ppp": (("User-Name", "Acct-Session-Id"), 3799, None, "", "from_now", True),
    "coovachilli": (
        *(("User-Name", "Acct-Session-Id"), 3799),
        *("ChilliSpot-Max-Total-Octets", "accept coa accounting", "from_start", True),
    ),
    "unifi": (("User-Name", "Acct-Session-Id"), 3799, None, "", "ignored", False),
    "hostapd": (("User-Name", "Acct-Session-Id"), 3799, None, "", "ignored", False),
    "strongswan": (("User-Name", "Acct-Session-Id"), 3799, None, "", "ignored", False),
    "ocserv": (None, 3799, None, "", "ignored", False),
    "openvpn": (None, 3799, None, "", "ignored", False),
    "huawei": (
        *(("User-Name", "Acct-Session-Id"), 3799),
        *("Huawei-Remanent-Volume", "accept coa accounting", "from_now", True),
    ),
    "nokia-sr": (
        *(("Acct-Session-Id",), 3799),
        *("Alc-Credit-Control-Quota", "accept coa", "ignored", False),
    ),
}


@pytest.mark.parametrize("name", sorted(builtin_profiles()))
def test_what_a_vendor_can_is_what_its_documents_say(name: str) -> None:
    """Against the vendors' table of the protocol notes, so that no edit changes it unseen."""
    profile = builtin_profiles()[name]
    quota = profile.quota
    where = [
        word
        for word, taken in (
            ("accept", quota.in_accept),
            ("coa", quota.in_coa),
            ("accounting", quota.in_accounting_response),
        )
        if taken
    ]
    assert WHAT_THEY_CAN[name] == (
        profile.disconnect.identify[0] if profile.can_cut else None,
        profile.coa.port,
        quota.volume[0].attribute if quota.volume else None,
        " ".join(where),
        profile.time.coa,
        profile.rate.in_coa,
    )


def test_quirks() -> None:
    profiles = builtin_profiles()

    def having(holds: Callable[[Profile], bool]) -> set[str]:
        return {name for name, profile in profiles.items() if holds(profile)}

    assert having(lambda p: p.counters.swap_octets) == {"coovachilli"}
    assert having(lambda p: p.coa.resend_full_set) == {"coovachilli"}
    assert having(lambda p: p.counters.gigawords == "absent") == {"generic-32bit"}
    assert having(lambda p: not p.counters.includes_ipv6) == {"huawei"}
    assert having(lambda p: p.session.accounting_on == "ignored") == {"unifi"}
    assert having(lambda p: not p.login.message_authenticator) == {"ocserv", "openvpn"}
    assert having(lambda p: not p.login.class_returned) == {"ocserv", "openvpn"}
    assert having(lambda p: bool(p.counters.service_marker)) == {
        *("cisco-isg", "juniper-mx", "juniper-junose"),
    }


class TestFaults:
    def test_text_that_is_not_toml(self) -> None:
        (fault,) = faults_of("[coa")
        assert fault.startswith("not TOML: ")

    def test_unknown_keys_are_refused_with_the_known_ones(self) -> None:
        known = "allowed are coa.port, coa.message_authenticator, coa.event_timestamp, "
        faults = faults_of("stray = 1\n" + GENERIC + "colour = 'red'\n[prices]\nunit = 1\n")
        assert faults[0] == "stray: unknown key outside of any table"
        assert faults[1].startswith("login.colour: unknown key; " + known)
        assert faults[2].startswith("prices.unit: unknown key; " + known)
        assert len(faults) == 3

    def test_every_missing_key_is_named(self) -> None:
        keys = [
            f"{table}.{key}" for table, content in tomllib.loads(GENERIC).items() for key in content
        ]
        assert [fault.split(":")[0] for fault in faults_of("")] == keys

    @pytest.mark.parametrize(
        ("key", "value", "allowed"),
        [
            ("port", "0", "a port, 1 to 65535"),
            ("port", "65536", "a port, 1 to 65535"),
            ("port", '"3799"', "a port, 1 to 65535"),
            ("port", "true", "a port, 1 to 65535"),
            ("resend_full_set", "1", "true or false"),
            ("event_timestamp", '"yes"', "true or false"),
            ("swap_octets", "0", "true or false"),
            ("gigawords", '"never"', '"sent" or "absent"'),
            ("gigawords", "[]", '"sent" or "absent"'),
            ("unit", "1000", "1, 1024, 1048576 or 1073741824"),
            ("minimum_seconds", "0", "seconds, 1 to 3600"),
            ("attribute", '"Session-Time"', "the name of an attribute, or empty"),
            (
                "service_marker",
                '"Nothing=x"',
                "the name of an attribute, or that and how its value begins (Name=begin), or empty",
            ),
            (
                "also",
                '["Filter-Id"]',
                "a list of lines 'Attribute-Name = value', with the places (none)",
            ),
            (
                "volume",
                '[{ scope = "all" }]',
                (
                    "a list of tables with the keys scope, attribute, high, unit, max, format, tag,"
                    " in that order"
                ),
            ),
        ],
    )
    def test_a_wrong_value_is_named_with_what_is_allowed(
        self, key: str, value: str, allowed: str
    ) -> None:
        lines = [
            f"{key} = {value}" if line.startswith(f"{key} =") else line
            for line in GENERIC.splitlines()
        ]
        (fault,) = faults_of("\n".join(lines))
        assert f".{key}: " in fault
        assert fault.endswith(f"; allowed is {allowed}")

    @pytest.mark.parametrize(
        ("line", "places"),
        [
            ("attributes = []", "up_bps, down_bps, up_kbps, down_kbps"),
            ('attributes = ["Filter-Id = {garden}"]', "garden"),
        ],
    )
    def test_a_line_has_its_own_places_only(self, line: str, places: str) -> None:
        wrong = GENERIC.replace(line, 'attributes = ["Filter-Id = {price}"]', 1)
        (fault,) = faults_of(wrong)
        assert fault.endswith(f"with the places {places}")

    @pytest.mark.parametrize(
        "identify",
        [
            "1",
            "[[]]",
            '["User-Name"]',
            '[["User-Name", 1]]',
            '[["User-Name", "User-Name"]]',
            '[["User-Password"]]',
            '[["NAS-IP-Address", "NAS-Identifier"]]',
            '[["Acct-Session-Id"], []]',
        ],
    )
    def test_an_identification_set_names_a_session_by_known_attributes(self, identify: str) -> None:
        """A set without any, or of the NAS alone, would fit every session there."""
        document: dict[str, Any] = tomllib.loads(GENERIC)
        at = GENERIC.index("identify = [", GENERIC.index("[disconnect]"))
        after = GENERIC[GENERIC.index("[quota]") :]
        (fault,) = faults_of(f"{GENERIC[:at]}identify = {identify}\n{after}")
        assert fault.startswith("disconnect.identify: ")
        assert "Acct-Session-Id, Called-Station-Id" in fault
        assert document["disconnect"]["identify"], "the unchanged file is good"
