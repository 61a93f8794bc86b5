"""Vendor profiles: the ones that ship, and that a faulty one is refused with every fault named."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

import radius.profiles
from radius.profiles import ProfileError, builtin_profiles, read_profile

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


class TestFaults:
    def test_text_that_is_not_toml(self) -> None:
        (fault,) = faults_of("[coa")
        assert fault.startswith("not TOML: ")

    def test_unknown_keys_are_refused_with_the_known_ones(self) -> None:
        known = "allowed are coa.port, coa.message_authenticator, coa.event_timestamp, "
        faults = faults_of("stray = 1\n" + GENERIC + "colour = 'red'\n[quota]\nunit = 1\n")
        assert faults[0] == "stray: unknown key outside of any table"
        assert faults[1].startswith("counters.colour: unknown key; " + known)
        assert faults[2].startswith("quota.unit: unknown key; " + known)
        assert len(faults) == 3

    def test_every_missing_key_is_named(self) -> None:
        assert [fault.split(":")[0] for fault in faults_of("")] == [
            "coa.port",
            "coa.message_authenticator",
            "coa.event_timestamp",
            "disconnect.identify",
            "counters.gigawords",
            "counters.swap_octets",
        ]

    @pytest.mark.parametrize(
        ("key", "value", "allowed"),
        [
            ("port", "0", "a port, 1 to 65535"),
            ("port", "65536", "a port, 1 to 65535"),
            ("port", '"3799"', "a port, 1 to 65535"),
            ("port", "true", "a port, 1 to 65535"),
            ("message_authenticator", "1", "true or false"),
            ("event_timestamp", '"yes"', "true or false"),
            ("swap_octets", "0", "true or false"),
            ("gigawords", '"never"', '"sent" or "absent"'),
            ("gigawords", "[]", '"sent" or "absent"'),
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
        "identify",
        [
            "1",
            "[]",
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
        before = GENERIC[: GENERIC.index("identify = [")]
        after = GENERIC[GENERIC.index("[counters]") :]
        (fault,) = faults_of(f"{before}identify = {identify}\n{after}")
        assert fault.startswith("disconnect.identify: ")
        assert "Acct-Session-Id, Called-Station-Id" in fault
        assert document["disconnect"]["identify"], "the unchanged file is good"
