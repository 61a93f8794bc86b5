"""The rules of single settings: addresses, URLs, and what of a URL may be shown."""

import tomllib
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import config
from config.settings import (
    DatabaseSettings,
    DataSettings,
    SecretsSettings,
    Settings,
    StoreSettings,
    are_addresses,
    is_address,
    is_database_url,
    is_store_url,
    redact_url,
)

DEFAULT_TOML = Path(config.__file__).parent / "default.toml"


def _as_toml(value: object) -> object:
    """TOML has no null and knows arrays, not tuples."""
    if value is None:
        return ""
    return msgspec.json.decode(msgspec.json.encode(value))


def test_default_toml_names_every_key_with_its_default() -> None:
    """The commented file and the code tell the same defaults; empty stands for not set."""
    written = tomllib.loads(DEFAULT_TOML.read_text(encoding="utf-8"))
    in_code = {
        section: {key: _as_toml(value) for key, value in msgspec.structs.asdict(keys).items()}
        for section, keys in msgspec.structs.asdict(Settings()).items()
    }
    assert written == in_code


def test_default_toml_comments_every_key() -> None:
    """A key without words about it would be a list of names, not documentation."""
    lines = DEFAULT_TOML.read_text(encoding="utf-8").splitlines()
    for index, line in enumerate(lines):
        if "=" in line and not line.startswith("#"):
            above = [lines[index - 1], lines[index - 2]]
            assert any(text.startswith("#") for text in above), f"line {index + 1}: {line}"


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.0.2.1", "2001:db8::1"])
def test_an_address_is_ipv4_or_ipv6(address: str) -> None:
    assert is_address(address)


@pytest.mark.parametrize("address", ["", "localhost", "192.0.2.256", "192.0.2.0/24", "[::1]"])
def test_a_name_a_network_or_a_typing_error_is_no_address(address: str) -> None:
    assert not is_address(address)


def test_addresses_are_not_empty_and_not_repeated_in_another_spelling() -> None:
    assert are_addresses(("0.0.0.0", "::"))
    assert not are_addresses(())
    assert not are_addresses(("::1", "0:0:0:0:0:0:0:1"))
    assert not are_addresses(("127.0.0.1", "nas"))


@pytest.mark.parametrize(
    "url",
    [
        "redis://store.example",
        "redis://user:secret@store.example:6379/3",
        "rediss://[2001:db8::1]:6380/0",
        "unix:///run/valkey/valkey.sock",
    ],
)
def test_store_urls_that_are_allowed(url: str) -> None:
    assert is_store_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "store.example:6379",
        "http://store.example",
        "redis://",
        "redis://store.example:0",
        "redis://store.example:99999",
        "redis://store.example/balances",
        "redis://store.example/\u0663",
        "redis://[::1",
        "unix://valkey.sock",
        "unix:///",
    ],
)
def test_store_urls_that_are_refused(url: str) -> None:
    assert not is_store_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ratewire@db.example/ratewire",
        "postgresql://ratewire:secret@db.example:5432/ratewire",
        "postgresql://ratewire@a.example:5432,b.example:5433/ratewire",
        # An address in brackets behind another host is refused by the urlsplit of some Pythons
        # 3.11 (Debian's), by which asyncpg reads the URL, too.
        "postgresql://ratewire@[2001:db8::1]:5433,a.example:5432/ratewire",
        "postgresql://ratewire@/ratewire?host=/run/postgresql",
    ],
)
def test_database_urls_that_are_allowed(url: str) -> None:
    assert is_database_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "postgres://db.example/ratewire",
        "mysql://db.example/ratewire",
        "postgresql:///ratewire",
        "postgresql://db.example:0/ratewire",
        "postgresql://db.example:65536/ratewire",
        "postgresql://db.example:\u0665\u0664/ratewire",
        "postgresql://a.example,,b.example/ratewire",
        "postgresql://[::1/ratewire",
    ],
)
def test_database_urls_that_are_refused(url: str) -> None:
    assert not is_database_url(url)


@given(
    scheme=st.sampled_from(["redis://", "postgresql://", "mysql://", "redis:/", ""]),
    password=st.text(alphabet=st.characters(codec="utf-8"), min_size=1).map(lambda p: f"<{p}>"),
    host=st.sampled_from(["db.example", "db.example:5432/x", ""]),
)
def test_no_password_survives_redaction(scheme: str, password: str, host: str) -> None:
    """Whatever characters it has, escaped or not, in a well-formed URL or not."""
    assert password not in redact_url(f"{scheme}user:{password}@{host}")


def test_redaction_keeps_what_helps_to_find_the_mistake() -> None:
    assert redact_url("redis://:p/a@ss@store.example:6379/x") == "redis://***@store.example:6379/x"
    assert redact_url("postgresql:///r?host=/run&password=x&a=b") == (
        "postgresql:///r?host=/run&password=***&a=b"
    )
    assert redact_url("redis://store.example") == "redis://store.example"


def test_no_password_in_the_representation_of_settings() -> None:
    """Settings end up in log lines and tracebacks."""
    settings = Settings(
        store=StoreSettings(url="redis://:hunter2@store.example"),
        database=DatabaseSettings(url="postgresql://ratewire:hunter2@db.example/ratewire"),
    )
    assert "hunter2" not in repr(settings)
    assert "store.example" in repr(settings)
    assert "url=None" in repr(Settings())


def test_the_secret_key_lives_in_the_data_directory_unless_said_otherwise() -> None:
    assert Settings(data=DataSettings(dir="/srv/r")).secret_key_path() == Path("/srv/r/secret.key")
    elsewhere = Settings(secrets=SecretsSettings(key_file="/etc/ratewire.key"))
    assert elsewhere.secret_key_path() == Path("/etc/ratewire.key")
