"""The ports that the roles serve, and whether they can be had."""

import asyncio
import errno
import os
import socket
import time
from collections.abc import Awaitable, Callable, Collection, Sequence

import msgspec

from balances.health import Beat
from config.settings import Settings
from ratewire.roles.leaf import Role

TAKEN = "another program has it, or the serve of another user"
STRANGE = "a serve on other data has it, which would take a part of the requests"

#: The processes of a supervisor that was killed have left their ports after this.
LEAVE_S = 10.0


class PortError(Exception):
    """Ports cannot be had; the message says of each which setting it is, and why."""


class Port(msgspec.Struct, frozen=True):
    """A port to be bound, and the setting that says so."""

    setting: str
    role: Role
    kind: socket.SocketKind
    bind: str
    number: int

    def __str__(self) -> str:
        """`1813/udp`."""
        return f"{self.number}/{'udp' if self.kind is socket.SOCK_DGRAM else 'tcp'}"


def ports_of(settings: Settings, roles: Collection[Role]) -> list[Port]:
    """Return the ports that these roles bind."""
    radius, http = settings.radius, settings.http
    ports: list[Port] = []
    if Role.LISTENER in roles:
        ports += [
            Port(f"radius.{name}", Role.LISTENER, socket.SOCK_DGRAM, bind, number)
            for name, number in (("auth_port", radius.auth_port), ("acct_port", radius.acct_port))
            for bind in radius.bind
        ]
    if Role.HTTP in roles:
        ports.append(Port("http.port", Role.HTTP, socket.SOCK_STREAM, http.bind, http.port))
    return ports


def in_use(ports: Sequence[Port]) -> list[Port]:
    """Return those ports that other processes of ours serve already, and share with us.

    Raises PortError for all that cannot be had.
    """
    shared: list[Port] = []
    faults: list[str] = []
    for port in ports:
        try:
            if not _is_free(port):
                _bind(port, share=True)
                shared.append(port)
        except OSError as error:
            reason = TAKEN if error.errno == errno.EADDRINUSE else os.strerror(error.errno or 0)
            faults.append(f"{port.setting}: {port.bind} port {port}: {reason}")
    if faults:
        raise PortError("; ".join(faults))
    return shared


def strange(shared: Sequence[Port], beats: Sequence[Beat]) -> list[Port]:
    """Return those ports in use that no process on this host serves, by the beats of ours.

    One that has fallen silent counts: a store that is full takes no heartbeats either.
    """
    host = socket.gethostname()
    ours = {beat.name.partition("-")[0] for beat in beats if beat.host == host}
    return [port for port in shared if port.role.value not in ours]


async def shared_with_ours(
    ports: Sequence[Port],
    beats: Callable[[], Awaitable[Sequence[Beat]]],
    *,
    patience_s: float = LEAVE_S,
) -> list[Port]:
    """Return those ports that processes of this installation, by their `beats`, serve already.

    A port in use by others is waited for: they may be about to leave. Raises PortError if it is
    still in use then, or cannot be had.
    """
    deadline = time.monotonic() + patience_s
    while shared := in_use(ports):
        strangers = strange(shared, await beats())
        if not strangers:
            return shared
        if time.monotonic() >= deadline:
            raise PortError(refusal(strangers))
        await asyncio.sleep(0.2)
    return []


def refusal(strangers: Sequence[Port]) -> str:
    """Return what is wrong with ports that are in use by another installation."""
    return "; ".join(f"{each.setting}: {each.bind} port {each}: {STRANGE}" for each in strangers)


def _is_free(port: Port) -> bool:
    """Whether nobody has a port. Raises OSError if that is not what keeps it from being bound."""
    try:
        # Not shared at first: a socket that shares a listener's port takes datagrams from it.
        _bind(port, share=False)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return False
        raise
    return True


def _bind(port: Port, *, share: bool) -> None:
    """Bind a port as its role does, and let it go. Raises OSError."""
    family = socket.AF_INET6 if ":" in port.bind else socket.AF_INET
    with socket.socket(family, port.kind) as probe:
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if port.kind is socket.SOCK_STREAM:
            # What is left of connections that were closed a moment ago is in nobody's way.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if share:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        probe.bind((port.bind, port.number))
