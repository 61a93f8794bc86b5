"""Key names."""

from hypothesis import given
from hypothesis import strategies as st

from balances.keys import parts_of, prefix, session_key

TEXTS = st.text(st.sampled_from("ab|\\x7cé"), max_size=6)


def test_all_keys_of_a_partition_share_a_hash_tag() -> None:
    assert (prefix(0), prefix(12)) == ("rw:{0}", "rw:{12}")


def test_a_session_is_named_by_its_nas_and_its_id() -> None:
    assert session_key("pop1/10.0.0.1", "8000001a") == "pop1/10.0.0.1|8000001a"


@given(nas=TEXTS, other_nas=TEXTS, session=TEXTS, other_session=TEXTS)
def test_a_bar_in_a_name_moves_no_boundary(
    nas: str, other_nas: str, session: str, other_session: str
) -> None:
    same = session_key(nas, session) == session_key(other_nas, other_session)
    assert same == ((nas, session) == (other_nas, other_session))


@given(nas=TEXTS, session=TEXTS)
def test_a_key_tells_of_what_it_was_made(nas: str, session: str) -> None:
    assert parts_of(session_key(nas, session)) == (nas, session)
