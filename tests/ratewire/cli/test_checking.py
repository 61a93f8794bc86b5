"""check: three lines, and an exit status to rely on."""

import json
import socket
from pathlib import Path

import pytest

from migrations import runner
from ratewire.ports import STRANGE, TAKEN
from tests.balances.server import serving, valkey_program
from tests.ratewire.cli.command_line import CommandLine
from tests.ratewire.cli.conftest import Configured, Running
from tests.support.servers import DatabaseServer, fresh_database

NOBODY = "127.0.0.1:1"


def verdicts(ratewire: CommandLine) -> tuple[int, list[str]]:
    """The exit status and the lines, of which there are three."""
    ended = ratewire("check")
    assert ended.err == ""
    lines = ended.out.splitlines()
    assert [line.split()[0] for line in lines] == ["settings", "store", "database"]
    return ended.status, [line.split(maxsplit=1)[1] for line in lines]


def test_all_is_well_beside_serve(running: Running) -> None:
    ports = running.installation.ports
    data = running.installation.data_dir
    status, lines = verdicts(running.ratewire)
    assert (status, lines[0]) == (
        0,
        f"ok: ports {ports.auth}/udp served, {ports.acct}/udp served, {ports.http}/tcp served",
    )
    assert lines[1].startswith("ok: valkey ")
    assert lines[1].endswith(f", embedded in {data / 'valkey'}")
    assert lines[2].startswith("ok: postgresql 18")
    assert lines[2].endswith(f", schema {runner.HEAD}, embedded in {data / 'postgres'}")


def test_all_is_well_before_serve(configured: Configured) -> None:
    radius, http = configured.settings.radius, configured.settings.http
    status, lines = verdicts(configured.ratewire)
    assert (status, lines[0]) == (
        0,
        f"ok: ports {radius.auth_port}/udp free, {radius.acct_port}/udp free, {http.port}/tcp free",
    )


def test_a_serve_on_other_data_is_in_the_way(configured: Configured) -> None:
    radius = configured.settings.radius
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", radius.acct_port))
        status, lines = verdicts(configured.ratewire)
    told = f"radius.acct_port: 127.0.0.1 port {radius.acct_port}/udp: {STRANGE}"
    assert (status, lines[0]) == (1, f"FAULTY: {told}")


def test_embedded_servers_are_new_at_first(tmp_path: Path) -> None:
    """Their schema is made by whoever uses them first, so that it is not there is no fault."""
    ended = CommandLine().bare("check", RATEWIRE_DATA__DIR=str(tmp_path))
    assert ended.err == ""
    assert ended.out.splitlines()[2].startswith("database  ok: postgresql 18")
    assert "new: its schema is made when it is first used" in ended.out


def test_settings_with_faults_are_told_to_the_last(tmp_path: Path) -> None:
    config = tmp_path / "faulty.toml"
    config.write_text("[radius]\nacct_port = 99999\nfoo = 1\n")
    ended = CommandLine(config)("check")
    assert ended.status == 1
    assert ended.out.splitlines() == [
        "settings  FAULTY: 2 faulty settings:",
        "store     FAULTY: not checked, the settings are faulty",
        "database  FAULTY: not checked, the settings are faulty",
    ]
    assert "radius.acct_port" in ended.err
    assert "radius.foo" in ended.err
    told = json.loads(CommandLine(config)("check", "--json").out)
    assert not told["ok"]
    assert "radius.foo" in told["settings"]["detail"]


def test_a_port_that_another_program_has_is_named(configured: Configured) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        ended = configured.ratewire("check", RATEWIRE_HTTP__PORT=str(port))
    assert ended.status == 1
    assert ended.out.splitlines()[0] == (
        f"settings  FAULTY: http.port: 127.0.0.1 port {port}/tcp: {TAKEN}"
    )


def test_servers_that_are_not_there_are_told_without_passwords(configured: Configured) -> None:
    ratewire = configured.beside(
        "lost.toml",
        store=f"redis://:hidden@{NOBODY}",
        database=f"postgresql://u:hidden@{NOBODY}/d",
    )
    status, lines = verdicts(ratewire)
    assert status == 1
    assert lines[1].startswith("FAULTY: redis://***@127.0.0.1:1: Error 111 connecting to 127.0.0.1")
    assert lines[2].startswith("FAULTY: postgresql://***@127.0.0.1:1/d: no connection to the data")


def test_a_database_of_another_schema_is_faulty(
    configured: Configured, database_server: DatabaseServer
) -> None:
    with fresh_database(database_server, "template1") as url:
        status, lines = verdicts(configured.beside("new.toml", database=url))
    assert status == 1
    assert lines[2].endswith(f": it has no schema, needed is {runner.HEAD}: run 'ratewire migrate'")


@pytest.mark.parametrize(
    ("setting", "value", "fault"),
    [
        ("maxmemory_policy", "allkeys-lru", "maxmemory-policy is allkeys-lru, allowed is noevict"),
        ("appendonly", "no", "appendonly is no, allowed is yes: a restart would lose the balances"),
    ],
)
def test_a_store_that_forgets_is_faulty(
    configured: Configured, tmp_path: Path, setting: str, value: str, fault: str
) -> None:
    with serving(valkey_program(), tmp_path, **{setting: value}) as server:
        status, lines = verdicts(configured.beside("forgets.toml", store=server.url))
    assert status == 1
    assert f"; {fault}" in lines[1]


def test_books_that_are_lost_or_fenced_are_faulty(stocked: Configured) -> None:
    stocked.fence("restored by hand")
    assert verdicts(stocked.ratewire)[1][1].endswith("; nothing is booked: restored by hand")
    stocked.in_store("FLUSHALL")
    status, lines = verdicts(stocked.ratewire)
    assert status == 1
    assert lines[1].endswith("; it has lost its books: run 'ratewire rebuild-balances'")


def test_a_data_directory_that_cannot_be_is_told(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    ended = CommandLine().bare("check", RATEWIRE_DATA__DIR=str(file))
    assert ended.status == 1
    assert ended.out.count(f"FAULTY: the embedded servers cannot live in {file}: ") == 2
