"""Whether a port is free, shared with processes of ours, or somebody else's."""

import socket
from collections.abc import Generator
from contextlib import ExitStack, contextmanager

import pytest

from balances.health import Beat
from config.settings import HttpSettings, RadiusSettings, Settings
from ratewire.ports import STRANGE, TAKEN, PortError, in_use, ports_of, shared_with_ours
from ratewire.roles.leaf import Role


@contextmanager
def bound(kind: socket.SocketKind, *, share: bool, host: str = "127.0.0.1") -> Generator[int]:
    """A port of loopback that is in use meanwhile."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, kind) as taken:
        if share:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind((host, 0))
        if kind is socket.SOCK_STREAM:
            taken.listen()
        yield taken.getsockname()[1]


def settings(*, acct: int, http: int, bind: str = "127.0.0.1") -> Settings:
    return Settings(
        radius=RadiusSettings(bind=(bind,), auth_port=free(), acct_port=acct),
        http=HttpSettings(bind=bind, port=http),
    )


def free() -> int:
    with bound(socket.SOCK_STREAM, share=False) as port:
        return port


def test_each_role_has_its_ports() -> None:
    given = Settings(radius=RadiusSettings(bind=("127.0.0.1", "::1")))
    assert [(port.setting, port.bind, str(port)) for port in ports_of(given, list(Role))] == [
        ("radius.auth_port", "127.0.0.1", "1812/udp"),
        ("radius.auth_port", "::1", "1812/udp"),
        ("radius.acct_port", "127.0.0.1", "1813/udp"),
        ("radius.acct_port", "::1", "1813/udp"),
        ("http.port", "127.0.0.1", "8000/tcp"),
    ]
    assert [str(port) for port in ports_of(given, [Role.HTTP, Role.SETTLEMENT])] == ["8000/tcp"]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_what_is_free_stays_free(host: str) -> None:
    ports = ports_of(settings(acct=free(), http=free(), bind=host), list(Role))
    assert in_use(ports) == []
    assert in_use(ports) == []


def test_ports_that_others_share_with_us_are_in_use() -> None:
    with (
        bound(socket.SOCK_DGRAM, share=True) as acct,
        bound(socket.SOCK_STREAM, share=True) as http,
    ):
        ports = ports_of(settings(acct=acct, http=http), list(Role))
        assert in_use(ports) == [port for port in ports if port.number in (acct, http)]


def test_every_port_that_cannot_be_had_is_named() -> None:
    with (
        bound(socket.SOCK_DGRAM, share=False) as acct,
        bound(socket.SOCK_STREAM, share=False) as http,
    ):
        with pytest.raises(PortError) as refused:
            in_use(ports_of(settings(acct=acct, http=http), list(Role)))
        assert str(refused.value) == (
            f"radius.acct_port: 127.0.0.1 port {acct}/udp: {TAKEN};"
            f" http.port: 127.0.0.1 port {http}/tcp: {TAKEN}"
        )


def test_an_address_of_another_machine_is_named() -> None:
    with pytest.raises(PortError, match=r"http\.port: 192\.0\.2\.1 port 8000/tcp: Cannot assign"):
        in_use(ports_of(Settings(http=HttpSettings(bind="192.0.2.1")), [Role.HTTP]))


def beat(name: str, host: str = socket.gethostname()) -> Beat:
    return Beat(name=name, pid=1, host=host, at_ms=0, ok=True)


async def test_ports_are_shared_with_processes_on_the_same_data_alone() -> None:
    with (
        bound(socket.SOCK_DGRAM, share=True) as acct,
        bound(socket.SOCK_STREAM, share=True) as http,
    ):
        ports = ports_of(settings(acct=acct, http=http), list(Role))
        beats = [beat("listener-3"), beat("http-0", "another host")]

        async def told() -> list[Beat]:
            return beats

        with pytest.raises(PortError) as refused:
            await shared_with_ours(ports, told, patience_s=0)
        assert str(refused.value) == f"http.port: 127.0.0.1 port {http}/tcp: {STRANGE}"
        beats.append(beat("http-0"))
        shared = await shared_with_ours(ports, told, patience_s=0)
        assert [port.number for port in shared] == [acct, http]


async def test_those_who_leave_a_port_are_waited_for() -> None:
    with ExitStack() as stack:
        acct = stack.enter_context(bound(socket.SOCK_DGRAM, share=True))
        ports = ports_of(settings(acct=acct, http=free()), list(Role))

        async def told() -> list[Beat]:
            stack.close()
            return []

        assert await shared_with_ours(ports, told) == []
