"""Loading settings: file, then environment; all faults at once, each with its place."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import config
from config.load import Fault, SettingsError, load
from config.settings import DatabaseSettings, RadiusSettings, Settings, StoreSettings

DEFAULT_TOML = Path(config.__file__).parent / "default.toml"


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "ratewire.toml"
    path.write_text(text, encoding="utf-8")
    return path


def faults_of(path: Path | None, environ: dict[str, str]) -> dict[str, Fault]:
    with pytest.raises(SettingsError) as caught:
        load(path, environ)
    return {fault.key: fault for fault in caught.value.faults}


def test_nothing_given_means_the_defaults() -> None:
    assert load(None, {}) == Settings()


def test_the_default_file_loads_to_the_defaults() -> None:
    assert load(DEFAULT_TOML, {}) == Settings()


def test_the_environment_overrides_the_file_and_the_file_the_defaults(tmp_path: Path) -> None:
    path = write(tmp_path, '[radius]\nacct_port = 11813\nworkers = 2\n[data]\ndir = "/srv/r"\n')
    settings = load(path, {"RATEWIRE_RADIUS__ACCT_PORT": "21813", "PATH": "/bin"})
    assert settings.radius == RadiusSettings(acct_port=21813, workers=2)
    assert settings.data.dir == "/srv/r"


def test_a_list_is_comma_separated_in_the_environment() -> None:
    settings = load(None, {"RATEWIRE_RADIUS__BIND": "127.0.0.1, ::1"})
    assert settings.radius.bind == ("127.0.0.1", "::1")


def test_an_empty_url_means_embedded_even_over_a_file(tmp_path: Path) -> None:
    path = write(tmp_path, '[store]\nurl = "redis://store.example"\n[database]\nurl = ""\n')
    assert load(path, {}).store == StoreSettings(url="redis://store.example")
    assert load(path, {"RATEWIRE_STORE__URL": ""}).store == StoreSettings()
    assert load(path, {}).database == DatabaseSettings()


def test_the_log_format_is_chosen_by_the_terminal_unless_said() -> None:
    assert load(None, {}).log.format is None
    assert load(None, {"RATEWIRE_LOG__FORMAT": "json"}).log.format == "json"
    fault = faults_of(None, {"RATEWIRE_LOG__FORMAT": "xml"})["log.format"]
    assert "allowed: console or json" in fault.problem


def test_a_text_setting_takes_environment_text_as_it_is() -> None:
    """Words such as `null` or digits are text where text is asked for."""
    assert load(None, {"RATEWIRE_SECRETS__KEY_FILE": "null"}).secrets.key_file == "null"
    assert load(None, {"RATEWIRE_DATA__DIR": "1813"}).data.dir == "1813"


def test_a_switch_is_true_or_false(tmp_path: Path) -> None:
    assert load(None, {}).journal.enabled
    assert not load(None, {"RATEWIRE_JOURNAL__ENABLED": "false"}).journal.enabled
    assert not load(write(tmp_path, "[journal]\nenabled = false\n"), {}).journal.enabled
    faults = faults_of(
        write(tmp_path, "[journal]\ngrace_seconds = 0\nmax_mb = 2_000_000\n"),
        {"RATEWIRE_JOURNAL__ENABLED": "perhaps"},
    )
    assert set(faults) == {"journal.enabled", "journal.grace_seconds", "journal.max_mb"}
    assert faults["journal.enabled"].problem == "'perhaps' is not allowed; allowed: true or false"


def test_all_faults_of_file_and_environment_come_in_one_error(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """
[radius]
bind = ["0.0.0.0", "nas"]
auth_port = 0
workers = true

[store]
url = "http://user:hunter2@store.example"

[htpt]
port = 1

[log]
levl = "info"
""",
    )
    environ = {
        "RATEWIRE_RADIUS__ACCT_PORT": "70000",
        "RATEWIRE_DATABASE__URL": "mysql://ratewire:hunter2@db.example/ratewire",
        "RATEWIRE_ACCT_PORT": "1813",
    }
    faults = faults_of(path, environ)

    assert set(faults) == {
        "radius.bind",
        "radius.auth_port",
        "radius.workers",
        "store.url",
        "htpt",
        "log.levl",
        "radius.acct_port",
        "database.url",
        "RATEWIRE_ACCT_PORT",
    }
    assert faults["radius.auth_port"].source == f"{path}:4"
    assert faults["radius.auth_port"].problem == ("0 is not allowed; allowed: a port, 1 to 65535")
    assert faults["radius.bind"].source == f"{path}:3"
    assert "'nas'" in faults["radius.bind"].problem
    assert faults["radius.acct_port"].source == "RATEWIRE_RADIUS__ACCT_PORT"
    assert "'70000'" in faults["radius.acct_port"].problem
    assert faults["htpt"].source == f"{path}:10"
    assert "did you mean http?" in faults["htpt"].problem
    assert "did you mean log.level?" in faults["log.levl"].problem
    assert "did you mean RATEWIRE_RADIUS__ACCT_PORT?" in faults["RATEWIRE_ACCT_PORT"].problem


def test_the_error_reads_as_a_list_and_shows_no_password(tmp_path: Path) -> None:
    path = write(tmp_path, '[store]\nurl = "http://user:hunter2@store.example"\n')
    with pytest.raises(SettingsError) as caught:
        load(path, {"RATEWIRE_DATABASE__URL": "hunter2@db.example"})
    text = str(caught.value)
    assert text.splitlines()[0] == "2 faulty settings:"
    assert f"  store.url ({path}:2): 'http://***@store.example' is not allowed" in text
    assert "redis://HOST" in text
    assert "hunter2" not in text


def test_the_value_of_an_unknown_key_is_not_shown(tmp_path: Path) -> None:
    """It might be a secret in the wrong place."""
    path = write(tmp_path, '[secrets]\nkey = "hunter2"\n')
    fault = faults_of(path, {"RATEWIRE_PASSWORD": "hunter2"})
    assert "hunter2" not in "".join(str(found) for found in fault.values())


def test_a_url_that_is_no_text_is_not_shown(tmp_path: Path) -> None:
    path = write(tmp_path, '[store]\nurl = ["redis://:hunter2@store.example"]\n')
    assert faults_of(path, {})["store.url"].problem.startswith("a list is not allowed")


def test_an_unknown_name_without_a_close_match_lists_what_there_is(tmp_path: Path) -> None:
    path = write(tmp_path, "[zzzz]\n")
    assert "allowed: data, database, http" in faults_of(path, {})["zzzz"].problem


@pytest.mark.parametrize(
    ("text", "environ", "source"),
    [
        ("[radius]\nauth_port = 1813\n", {}, "FILE:2"),
        ("", {"RATEWIRE_RADIUS__AUTH_PORT": "1813"}, "RATEWIRE_RADIUS__AUTH_PORT"),
        ("radius.acct_port = 1812\n", {}, "FILE:1"),
    ],
)
def test_colliding_ports_are_named(
    tmp_path: Path, text: str, environ: dict[str, str], source: str
) -> None:
    path = write(tmp_path, text)
    fault = faults_of(path, environ)["radius.acct_port"]
    assert fault.source == source.replace("FILE", str(path))
    assert "radius.auth_port" in fault.problem


def test_a_section_written_as_a_value_says_so(tmp_path: Path) -> None:
    fault = faults_of(write(tmp_path, "store = 5\n"), {})["store"]
    assert fault.source.endswith(":1")
    assert "[store]" in fault.problem


def test_a_missing_file_is_a_fault_beside_those_of_the_environment(tmp_path: Path) -> None:
    faults = faults_of(tmp_path / "none.toml", {"RATEWIRE_HTTP__PORT": "x"})
    assert "cannot be read" in faults["settings file"].problem
    assert "http.port" in faults


def test_text_that_is_not_toml_names_its_line(tmp_path: Path) -> None:
    path = write(tmp_path, "[radius]\nacct_port = \n")
    assert faults_of(path, {})["settings file"].source == f"{path}:2"


def test_a_file_that_is_not_utf8_is_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "ratewire.toml"
    path.write_bytes(b'[data]\ndir = "\xff"\n')
    assert "UTF-8" in faults_of(path, {})["settings file"].problem


@given(port=st.integers())
def test_a_port_is_accepted_exactly_from_1_to_65535(port: int) -> None:
    environ = {"RATEWIRE_HTTP__PORT": str(port)}
    if 1 <= port <= 65535:
        assert load(None, environ).http.port == port
    else:
        assert list(faults_of(None, environ)) == ["http.port"]


@given(
    variable=st.sampled_from(
        ["RATEWIRE_RADIUS__BATCH", "RATEWIRE_STORE__URL", "RATEWIRE_LOG__LEVEL", "RATEWIRE_X"]
    ),
    text=st.text(),
)
def test_any_text_either_loads_or_is_a_named_fault(variable: str, text: str) -> None:
    """No value of a variable makes loading fail in another way."""
    faults: tuple[Fault, ...] = ()
    try:
        load(None, {variable: text})
    except SettingsError as error:
        faults = error.faults
    assert len(faults) <= 1
    assert all(fault.source in (variable, "environment") for fault in faults)
