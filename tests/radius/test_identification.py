"""What is sent to identify a session: never less than an alternative asks for."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radius import attributes as attr
from radius.dictionary import load_dictionary
from radius.identification import NAMES, NAS_ATTRIBUTES, identification_sets
from radius.profiles import builtin_profiles
from radius.records import SessionIdentity

SESSION = SessionIdentity(
    client="pop1",
    nas="pop1/bng-01",
    source_host="192.0.2.10",
    user_name_raw=b"user\xff",
    session_id_raw=b"8100A3F2",
    nas_identifier=b"bng-01",
    nas_ip="192.0.2.10",
    nas_ipv6="2001:db8::1",
    framed_ip="198.51.100.7",
    framed_ipv6_prefix="2001:db8:1::/48",
    calling_station="00:53:00:aa:bb:cc",
    called_station="internet",
    nas_port=0,
    nas_port_id="ge-0/0/1",
    nas_port_type=15,
    cui=b"\0\1",
    classes=(b"class",),
)
GENERIC = builtin_profiles()["generic"].disconnect.identify


def changed(**fields: object) -> SessionIdentity:
    return msgspec.structs.replace(SESSION, **fields)


class TestGeneric:
    def test_a_session_of_which_all_is_known_has_four_sets(self) -> None:
        user, session = (attr.USER_NAME, b"user\xff"), (attr.ACCT_SESSION_ID, b"8100A3F2")
        nas = (
            (attr.NAS_IP_ADDRESS, bytes([192, 0, 2, 10])),
            (attr.NAS_IDENTIFIER, b"bng-01"),
        )
        address = (attr.FRAMED_IP_ADDRESS, bytes([198, 51, 100, 7]))
        assert identification_sets(SESSION, GENERIC) == (
            (user, session),
            (session,),
            (user, session, *nas),
            (user, address),
        )

    def test_nas_attributes_are_sent_only_as_the_nas_sent_them(self) -> None:
        sets = identification_sets(changed(nas_ip=None), GENERIC)
        assert [kind for kind, _ in sets[2]] == [1, 44, 32]

    def test_a_set_that_comes_out_as_an_earlier_one_is_not_tried_twice(self) -> None:
        sets = identification_sets(changed(nas_ip=None, nas_identifier=None), GENERIC)
        assert [[kind for kind, _ in found] for found in sets] == [[1, 44], [44], [1, 8]]

    def test_without_an_address_the_user_is_not_cut_by_name_alone(self) -> None:
        sets = identification_sets(changed(framed_ip=None), GENERIC)
        assert all(attr.ACCT_SESSION_ID in dict(found) for found in sets)

    def test_without_a_user_name_the_session_id_has_to_do(self) -> None:
        sets = identification_sets(changed(user_name_raw=None), GENERIC)
        assert sets == (((attr.ACCT_SESSION_ID, b"8100A3F2"),),)

    def test_a_session_of_which_nothing_is_known_cannot_be_identified(self) -> None:
        nobody = changed(user_name_raw=None, session_id_raw=b"")
        assert identification_sets(nobody, GENERIC) == ()


@pytest.mark.parametrize("name", sorted(NAMES))
def test_each_name_gives_the_attribute_of_that_name_in_the_nas_own_octets(name: str) -> None:
    expected = {
        "User-Name": b"user\xff",
        "Acct-Session-Id": b"8100A3F2",
        "Chargeable-User-Identity": b"\0\1",
        "Framed-IP-Address": bytes([198, 51, 100, 7]),
        "Framed-IPv6-Prefix": b"\0\x30" + bytes.fromhex("20010db80001") + bytes(10),
        "Calling-Station-Id": b"00:53:00:aa:bb:cc",
        "Called-Station-Id": b"internet",
        "NAS-Port": bytes(4),
        "NAS-Port-Id": b"ge-0/0/1",
        "NAS-IP-Address": bytes([192, 0, 2, 10]),
        "NAS-IPv6-Address": bytes.fromhex("20010db8") + bytes(11) + b"\1",
        "NAS-Identifier": b"bng-01",
    }
    number = load_dictionary().attributes[name].code
    assert identification_sets(SESSION, [[name]]) == (((number, expected[name]),),)


def test_a_text_that_escapes_have_made_too_long_is_not_sent() -> None:
    session = changed(calling_station="\\xff" * 200)
    assert identification_sets(session, [["Calling-Station-Id"]]) == ()


@given(
    st.sets(st.sampled_from([field for field in SESSION.__struct_fields__ if field != "classes"])),
    st.lists(st.lists(st.sampled_from(sorted(NAMES)), min_size=1, unique=True), max_size=6),
)
def test_no_set_is_shorter_than_its_alternative_but_for_the_nas(
    unknown: set[str], alternatives: list[list[str]]
) -> None:
    """Whatever is unknown: each set is one alternative, less attributes of the NAS at most."""
    blank = {field: b"" if field == "session_id_raw" else None for field in unknown}
    sets = identification_sets(changed(**blank), alternatives)
    numbers = {name: load_dictionary().attributes[name].code for name in NAMES}
    allowed = [{numbers[name] for name in alternative} for alternative in alternatives]
    for found in sets:
        kinds = {kind for kind, value in found if value}
        assert len(kinds) == len(found)
        assert any(
            kinds <= alternative and alternative - kinds <= NAS_ATTRIBUTES
            for alternative in allowed
        )
    assert len(set(sets)) == len(sets)
