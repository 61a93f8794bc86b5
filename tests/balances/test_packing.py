"""Commands packed in C are those that redis-py packs."""

from typing import cast

from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio.connection import UnixDomainSocketConnection

from balances.packing import PACKED

ARGUMENTS = st.lists(st.one_of(st.binary(max_size=50), st.text(max_size=20), st.integers()))


@given(ARGUMENTS, st.sampled_from(["FCALL", "CLIENT SETINFO"]))
def test_a_command_is_packed_as_redis_py_packs_it(
    arguments: list[bytes | str | int], name: str
) -> None:
    packing = cast("type[UnixDomainSocketConnection]", PACKED[UnixDomainSocketConnection])
    plain = UnixDomainSocketConnection(path="/nowhere")
    packed = packing(path="/nowhere")
    command = (name, *arguments)
    assert b"".join(packed.pack_command(*command)) == b"".join(plain.pack_command(*command))
