"""What nobody may do to a store: changing a balance behind its functions."""

import struct
from typing import cast

from tests.ratewire.cli.conftest import Configured

# Of a packed account (balances.layout): after the layout and the flags.
_BALANCE_AT = 2
_BALANCE = struct.Struct(">q")


def add_to_balance(configured: Configured, account: str, micros: int) -> None:
    """Add to an account's balance, and to nothing else."""
    key = f"rw:{{0}}:a:{account}"
    value = cast("bytes", configured.in_store("GET", key))
    [balance] = _BALANCE.unpack_from(value, _BALANCE_AT)
    configured.in_store("SETRANGE", key, _BALANCE_AT, _BALANCE.pack(balance + micros))
