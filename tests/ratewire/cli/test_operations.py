"""migrate, nas, token."""

import hashlib
import stat
from pathlib import Path

from migrations import runner
from tests.acceptance.installation import eventually
from tests.acceptance.pyrad_nas import PyradNas
from tests.ratewire.cli.conftest import SECRET, Configured, Running
from tests.support.servers import DatabaseServer, fresh_database

UNREACHABLE = "postgresql://ratewire:hidden@127.0.0.1:1/ratewire"


def test_a_database_is_migrated_once(
    configured: Configured, database_server: DatabaseServer
) -> None:
    with fresh_database(database_server, "template1") as url:
        ratewire = configured.beside("new.toml", database=url)
        assert ratewire.refused("balance", "acme").endswith("run 'ratewire migrate'")
        assert ratewire.done("migrate") == (
            f"applied {', '.join(runner.revisions())}\nthe schema is at {runner.HEAD}\n"
        )
        assert ratewire.done("migrate") == f"nothing to apply\nthe schema is at {runner.HEAD}\n"
        assert ratewire.json("migrate") == {"applied": [], "version": runner.HEAD}


def test_a_database_that_is_not_there_is_told_without_its_password(configured: Configured) -> None:
    told = configured.beside("lost.toml", database=UNREACHABLE).refused("migrate", "--json")
    assert told.startswith("no connection to the database: ")
    assert "hidden" not in told


def test_running_listeners_heed_a_nas_that_comes_and_goes(running: Running) -> None:
    nas = PyradNas("127.20.0.1", running.installation.ports.acct, SECRET)
    record = running.login("operations-user").start()
    assert not nas.is_answered(record)
    words = ("nas", "add", "pop2", "--source", "127.20.0.1", "--secret", "-")
    assert running.ratewire.done(*words, stdin=SECRET) == (
        "NAS pop2 may speak from 127.20.0.1/32, vendor generic\n"
    )
    eventually(lambda: nas.is_answered(record))
    assert running.ratewire.done("nas", "remove", "pop2") == "NAS pop2 is removed\n"
    other = running.login("operations-other").start()
    eventually(lambda: not nas.is_answered(other))
    nas.close()


NASES_THAT_CANNOT_BE = [
    (["pop1", "--source", "10.0.0.0/8"], "NAS pop1 exists already"),
    (["pop2", "--source", "192.0.2.0/24"], "source 192.0.2.0/24 is that of NAS pop1 already"),
    (["pop2", "--source", "::ffff:192.0.2.0/120"], "source 192.0.2.0/24 is that of NAS pop1"),
    (["pop2", "--source", "10.0.0.1/8"], "source '10.0.0.1/8': 10.0.0.1/8 has host bits set"),
    (["pop2", "--source", "pop2.example"], "source 'pop2.example': 'pop2.example' does not"),
    (["pop2", "--source", "10.0.0.0/33"], "source '10.0.0.0/33': "),
    (["p|2", "--source", "10.0.0.0/8"], "NAS name 'p|2': allowed are 1 to 64 letters, digits"),
    (["", "--source", "10.0.0.0/8"], "NAS name '': allowed are 1 to 64 letters, digits"),
    (["pop2", "--source", "10.0.0.0/8", "--vendor", "acme"], "vendor 'acme' is not known; all"),
    (
        ["pop2", "--source", "10.0.0.0/8", "--coa-port", "0"],
        "CoA port 0: allowed is 1 to 65535",
    ),
    (["pop2", "--source", "10.0.0.0/8", "--coa-host", "a.b"], "CoA host 'a.b': allowed is an"),
]


def test_a_nas_that_cannot_be_is_not_added(stocked: Configured) -> None:
    ratewire = stocked.ratewire
    ratewire.done("nas", "add", "pop1", "--source", "192.0.2.0/24", "--secret", "-", stdin=b"s")
    before = ratewire.json("nas", "list")
    for words, reason in NASES_THAT_CANNOT_BE:
        told = ratewire.refused("nas", "add", *words, "--secret", "-", stdin=b"s")
        assert told.startswith(reason)
    assert ratewire.json("nas", "list") == before


def test_networks_may_contain_each_other(stocked: Configured) -> None:
    for name, source in (("all", "10.0.0.0/8"), ("one", "10.0.0.1"), ("six", "2001:db8::/32")):
        stocked.ratewire.done("nas", "add", name, "--source", source, "--secret", "-", stdin=b"s")
    assert [entry["source"] for entry in stocked.ratewire.json("nas", "list")] == [
        *("10.0.0.0/8", "10.0.0.1/32", "2001:db8::/32"),
    ]
    assert stocked.ratewire.refused("nas", "remove", "two") == "NAS two does not exist"


def test_a_secret_comes_from_a_file_from_standard_input_or_with_a_warning(
    stocked: Configured, tmp_path: Path
) -> None:
    ratewire = stocked.ratewire
    file = tmp_path / "secret"
    file.write_bytes(b"from a file\n")
    words = ("--source", "10.0.0.0/8", "--secret")
    ratewire.done("nas", "add", "pop1", *words, f"@{file}")
    ratewire.done("nas", "remove", "pop1")
    told = ratewire("nas", "add", "pop1", *words, "known to all", "--json")
    assert told.status == 0
    assert told.err == (
        "ratewire: warning: --secret on the command line is seen by every user of this machine;"
        " use @FILE or -\n"
    )
    assert "known to all" not in told.out
    ratewire.done("nas", "remove", "pop1")
    for given, stdin, reason in (
        ("-", b"\n", "the secret is empty; allowed is one octet or more, better 16"),
        ("-", b"", "the secret is empty; allowed is one octet or more, better 16"),
        (f"@{tmp_path}/no", b"", f"--secret @{tmp_path}/no: No such file or directory; allowed is"),
        (f"@{tmp_path}", b"", f"--secret @{tmp_path}: Is a directory; allowed is a readable file"),
    ):
        told = ratewire.refused("nas", "add", "pop1", *words, given, stdin=stdin)
        assert told.startswith(reason)
    assert ratewire.json("nas", "list") == []


def test_the_key_file_must_be_private(stocked: Configured) -> None:
    words = ("nas", "add", "pop1", "--source", "10.0.0.0/8", "--secret", "-")
    key = stocked.config.with_name("secret.key")
    stocked.ratewire.done(*words, stdin=b"s")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    key.chmod(0o644)
    told = stocked.ratewire.refused(*words, stdin=b"s")
    assert told.startswith(f"key file {key}: others may use it (mode 644)")


def test_a_token_is_made_for_a_role(configured: Configured) -> None:
    token = configured.ratewire.done("token", "create", "--role", "finance")
    assert token.startswith("ratewire_")
    assert token.count("\n") == 1
    made = configured.ratewire.json("token", "create", "--role", "read-only")
    assert made["role"] == "read-only"
    refused = configured.ratewire("token", "create", "--role", "root")
    assert (refused.status, refused.out) == (2, "")
    assert "'root' is not one of 'admin', 'finance', 'support', 'read-only'" in refused.err


def test_a_token_that_leaked_is_ended_by_its_id(configured: Configured) -> None:
    ratewire = configured.ratewire
    token = ratewire.done("token", "create", "--role", "finance").strip()
    ratewire.done("token", "create", "--role", "admin")
    token_id = hashlib.sha256(token.encode()).hexdigest()[:12]
    assert ratewire.done("token", "revoke", token_id) == f"token {token_id} (finance) is revoked\n"
    revoked = {each["role"]: each["revoked_at"] for each in ratewire.json("token", "list")}
    assert revoked["finance"] is not None
    assert revoked["admin"] is None
    for again in (token_id, "", "%", token):
        assert "no valid token has the id" in ratewire.refused("token", "revoke", again)
    shown = ratewire.done("token", "list")
    assert token_id in shown
    assert token not in shown
