"""The NASes as they are published: who may speak, and where their Disconnects go."""

from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from billing.nas.client import NasClient, encode_client, secret_purpose
from billing.sealing.keyring import Keyring
from radius.profiles import builtin_profiles
from radius.records import identity
from ratewire.nas import NasDirectory, Target, directory_of, identity_of, target_of
from tests.ratewire.provider import START, Provider

PROFILES = builtin_profiles()


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    return Keyring.load(tmp_path / "secret.key")


def published(keyring: Keyring, **clients: dict[str, object]) -> dict[str, bytes]:
    """What the register publishes for these NASes."""
    return {
        name: encode_client(
            msgspec.convert(
                {
                    "name": name,
                    "source": "192.0.2.0/24",
                    "secret_sealed": keyring.seal(name.encode(), secret_purpose(name)),
                    "vendor": "generic",
                    **fields,
                },
                NasClient,
            )
        )
        for name, fields in clients.items()
    }


def test_a_nas_is_found_by_where_it_sends_from(keyring: Keyring) -> None:
    values = published(keyring, pop1={}, inner={"source": "192.0.2.7/32"}, v6={"source": "::1/128"})
    directory = directory_of(4, values, keyring, PROFILES)
    assert directory.revision == 4
    found = [directory.table.find(host) for host in ("192.0.2.1", "192.0.2.7", "::1", "10.0.0.1")]
    assert [None if each is None else each.name for each in found] == ["pop1", "inner", "v6", None]
    assert directory.clients["pop1"].secret == b"pop1"


def test_one_that_cannot_be_used_leaves_the_others_served(keyring: Keyring, tmp_path: Path) -> None:
    lost = Keyring.load(tmp_path / "another.key")
    values = published(keyring, good={}, odd={"vendor": "unheard-of"}, lost={"source": "nowhere"})
    values |= published(lost, sealed={"source": "198.51.100.1"})
    values["strange"] = b'{"name": "strange"}'
    with capture_logs() as lines:
        directory = directory_of(1, values, keyring, PROFILES)
    assert list(directory.clients) == ["good"]
    assert {line["nas"] for line in lines} == {"odd", "lost", "sealed", "strange"}


def test_a_secret_that_was_moved_to_another_nas_does_not_open(keyring: Keyring) -> None:
    values = published(keyring, pop1={}, pop2={"source": "198.51.100.1"})
    stolen = msgspec.json.decode(values["pop1"])
    stolen["name"], stolen["source"] = "pop2", "198.51.100.1"
    values["pop2"] = msgspec.json.encode(stolen)
    assert list(directory_of(1, values, keyring, PROFILES).clients) == ["pop1"]


def test_only_a_product_without_gigawords_wraps(keyring: Keyring) -> None:
    values = published(keyring, new={}, old={"vendor": "generic-32bit", "source": "10.0.0.1"})
    directory = directory_of(1, values, keyring, PROFILES)
    assert [directory.wraps_32(name) for name in ("new", "old", "unknown")] == [False, True, False]


@pytest.mark.parametrize(
    ("fields", "target"),
    [
        ({}, Target("203.0.113.9", 3799)),
        ({"coa_host": "192.0.2.200"}, Target("192.0.2.200", 3799)),
        ({"coa_port": 1700}, Target("203.0.113.9", 1700)),
    ],
)
def test_a_disconnect_goes_where_the_accounting_came_from_unless_it_is_configured(
    keyring: Keyring, fields: dict[str, object], target: Target
) -> None:
    directory: NasDirectory = directory_of(1, published(keyring, pop1=fields), keyring, PROFILES)
    client = directory.clients["pop1"]
    assert target_of(client, directory.profile(client), "203.0.113.9") == target


async def test_a_stored_session_is_known_as_its_nas_named_it(provider: Provider) -> None:
    await provider.subscribe(5_000_000)
    start = provider.report(START, session="sé1")
    assert await provider.say(start) == [True]
    known = identity_of(await provider.session("sé1"))
    assert known == identity(start)
    assert (known.user_name_raw, known.session_id_raw) == (b"bob", "sé1".encode())
