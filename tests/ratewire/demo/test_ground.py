"""Addresses and ports for demos that run side by side."""

import socket
from contextlib import ExitStack
from ipaddress import ip_address, ip_network
from random import SystemRandom

import pytest

from config.load import load
from config.settings import HttpSettings, RadiusSettings, Settings
from ratewire.demo import ground
from ratewire.demo.ground import DemoFailed, Ground, taken
from ratewire.demo.stock import COA_PORT, NAS_SOURCE
from tests.ratewire.fleet.loopback import bound
from tests.support.ports import free_port

UDP, TCP = socket.SOCK_DGRAM, socket.SOCK_STREAM


@pytest.fixture(autouse=True)
def blocks(monkeypatch: pytest.MonkeyPatch) -> str:
    """Blocks of addresses that the demos of other tests do not use; the first two octets."""
    first = f"127.{SystemRandom().randrange(128, 250)}"
    monkeypatch.setattr(ground, "NAS_SOURCE", f"{first}.0.0/16")
    return first


@pytest.fixture
def settings() -> Settings:
    """Settings whose ports are free."""
    return Settings(
        radius=RadiusSettings(auth_port=free_port(UDP), acct_port=free_port(UDP)),
        http=HttpSettings(port=free_port(TCP)),
    )


def ports(taken: Ground) -> tuple[int, int, int]:
    return taken.acct_port, taken.auth_port, taken.http_port


def wanted(settings: Settings) -> tuple[int, int, int]:
    return settings.radius.acct_port, settings.radius.auth_port, settings.http.port


def test_the_first_demo_has_the_ports_of_the_settings(settings: Settings, blocks: str) -> None:
    for _ in range(2):  # and the next one has them again
        with taken(settings) as found:
            assert ports(found) == wanted(settings)
            assert found.first_address == f"{blocks}.0.1"


def test_ports_that_somebody_has_are_left_to_them(settings: Settings) -> None:
    with ExitStack() as stack:
        bound(stack, "127.0.0.1", settings.radius.acct_port)
        listening = stack.enter_context(socket.create_server(("127.0.0.1", settings.http.port)))
        with taken(settings) as found:
            assert found.acct_port != settings.radius.acct_port
            assert found.http_port != listening.getsockname()[1]
            assert found.auth_port == settings.radius.auth_port


def test_connections_that_were_closed_a_moment_ago_keep_no_port(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", settings.http.port)) as listening:
        ours = socket.create_connection(("127.0.0.1", settings.http.port))
        theirs, _ = listening.accept()
        theirs.close()  # who closes first keeps the port for a while
        ours.recv(1)
        ours.close()
    with taken(settings) as found:
        assert found.http_port == settings.http.port


def test_demos_at_the_same_time_share_nothing(settings: Settings, blocks: str) -> None:
    """Not even a port that the first has not bound yet."""
    with ExitStack() as stack:
        found = [stack.enter_context(taken(settings)) for _ in range(3)]
    assert [each.first_address for each in found] == [f"{blocks}.{n}.1" for n in range(3)]
    assert len({port for each in found for port in ports(each)}) == 9


@pytest.mark.parametrize("number", [1, 4])
def test_a_block_is_taken_if_any_of_its_coa_ports_is(
    settings: Settings, blocks: str, number: int
) -> None:
    with ExitStack() as stack:
        bound(stack, f"{blocks}.0.{number}", COA_PORT)
        found = stack.enter_context(taken(settings))
        assert found.first_address == f"{blocks}.1.1"


def test_without_any_block_it_is_told_what_is_needed(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ground, "NAS_SOURCE", "192.0.2.0/24")
    with pytest.raises(DemoFailed, match=f"need UDP port {COA_PORT}"), taken(settings):
        pass


def test_blocks_are_within_the_network_whose_nases_may_speak(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ground, "NAS_SOURCE", NAS_SOURCE)
    with taken(settings) as found:
        assert ip_address(found.first_address) in ip_network(NAS_SOURCE)


def test_its_settings_are_loopback_only_and_quiet_unless_it_is_said(settings: Settings) -> None:
    with taken(settings) as found:
        made = load(None, found.overrides({}))
        assert (made.radius.bind, made.http.bind) == (("127.0.0.1",), "127.0.0.1")
        assert (made.radius.acct_port, made.radius.auth_port, made.http.port) == ports(found)
        assert made.log.level == "warning"
        assert "RATEWIRE_LOG__LEVEL" not in found.overrides({"RATEWIRE_LOG__LEVEL": "debug"})
