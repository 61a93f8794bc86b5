"""Which addresses and ports a demo takes: loopback only, and nobody's else.

Several demos run side by side, each on data of its own. The first has the ports that the settings
name, if they are free, and the others any that are free; each fleet has a block of addresses to
itself, where it can have the one CoA port that every demo's NAS entry names.
"""

import contextlib
import socket
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv4Network

import msgspec

from config.settings import Settings
from ratewire.demo.stock import COA_PORT, NAS_SOURCE

LOOPBACK = "127.0.0.1"
NASES = 4

_UDP, _TCP = socket.SOCK_DGRAM, socket.SOCK_STREAM

_BLOCKS = 32
_BLOCK_ADDRESSES = 256
#: A socket on the last address of a block says that it is taken: while its demo lives.
_MARK = 254


class DemoFailed(Exception):
    """The demo could not go on; the message says why."""


class Ground(msgspec.Struct, frozen=True):
    """What one demo takes. The NASes have the addresses from `first_address` on."""

    first_address: str
    acct_port: int
    auth_port: int
    http_port: int

    def overrides(self, environment: Mapping[str, str]) -> dict[str, str]:
        """Return the settings of a demo on this ground, as environment variables."""
        made = {
            "RATEWIRE_RADIUS__BIND": LOOPBACK,
            "RATEWIRE_HTTP__BIND": LOOPBACK,
            "RATEWIRE_RADIUS__ACCT_PORT": str(self.acct_port),
            "RATEWIRE_RADIUS__AUTH_PORT": str(self.auth_port),
            "RATEWIRE_HTTP__PORT": str(self.http_port),
        }
        if "RATEWIRE_LOG__LEVEL" not in environment:
            made["RATEWIRE_LOG__LEVEL"] = "warning"
        return made


@contextmanager
def taken(settings: Settings) -> Generator[Ground]:
    """Take ground for a demo until the end of the block. Raises DemoFailed if there is none."""
    first = IPv4Network(NAS_SOURCE)[0]
    for number in range(_BLOCKS):
        block = first + number * _BLOCK_ADDRESSES
        mark = _mark(block)
        if mark is None:
            continue
        with mark:
            # The first demo may not have bound its ports yet: the others keep off them.
            first_of_all = number == 0
            yield Ground(
                first_address=str(block + 1),
                acct_port=_port(settings.radius.acct_port if first_of_all else 0, _UDP),
                auth_port=_port(settings.radius.auth_port if first_of_all else 0, _UDP),
                http_port=_port(settings.http.port if first_of_all else 0, _TCP),
            )
        return
    raise DemoFailed(
        f"the simulated NASes need UDP port {COA_PORT} on addresses of {NAS_SOURCE}, and other"
        f" programs have it on all that were tried (see `ss -ulpn sport = {COA_PORT}`)"
    )


def _mark(block: IPv4Address) -> socket.socket | None:
    """Take a block, if nobody has its CoA ports."""
    mark = _bound(block + _MARK)
    for number in range(NASES):
        if mark is not None:
            probe = _bound(block + 1 + number)
            if probe is None:
                mark.close()
                return None
            probe.close()
    return mark


def _bound(address: IPv4Address) -> socket.socket | None:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        made.bind((str(address), COA_PORT))
    except OSError:
        made.close()
        return None
    return made


def _port(preferred: int, kind: socket.SocketKind) -> int:
    """Return a port that nobody has on loopback: the preferred one if that is free."""
    for port in (preferred, 0):
        with socket.socket(socket.AF_INET, kind) as probe, contextlib.suppress(OSError):
            if kind is _TCP:
                # What is left of connections that were closed a moment ago is in nobody's way.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((LOOPBACK, port))
            return probe.getsockname()[1]
    raise DemoFailed(f"no port is free on {LOOPBACK}")
