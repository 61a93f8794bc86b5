"""Every command's JSON has the keys and types that docs/cli.md documents, and no others."""

import json
from typing import Any

import pytest

from tests.acceptance.installation import eventually
from tests.ratewire.cli.conftest import SAMPLES, Configured, Running
from tests.ratewire.cli.documented import assert_documented, tables
from tests.ratewire.cli.tampering import add_to_balance
from tests.support.servers import DatabaseServer, fresh_database

TABLES = tables()

#: What a sound ledger never shows.
NEVER = {".ledger_remainders_micros.<currency>"}


def check(value: Any, heading: str, table: int = 0) -> None:
    """Check a value against a table of the document, to the last key."""
    assert assert_documented(value, TABLES[heading][table]) <= NEVER


@pytest.fixture(scope="module")
def used(running: Running) -> Running:
    """The system after some use: whatever there is to list, there is one of it."""
    for user, topup in (("json-open", "5.00"), ("json-closed", "5.00"), ("json-credit", "0.05")):
        running.subscriber(user, topup=topup)
    running.nas.send(
        running.login("json-closed").start(),
        running.login("json-closed").stop(60, 1_000_000, 2_000_000),
        running.login("json-open").start(Framed_IP_Address="192.0.2.7"),
        running.login("json-open").interim(60, 1_000_000, 2_000_000),
        running.login("json-stranger").start(),
        running.login("json-credit").start(),
        running.login("json-credit").interim(60, 30_000_000, 0),
    )
    look = running.ratewire.json
    [session] = look("sessions", "--user", "json-open")
    check(look("session", "disconnect", session["session"]), "session disconnect")
    eventually(lambda: look("jobs")["events"] and look("unrated"))
    eventually(lambda: look("usage", "--user", "json-closed")["subscribers"])
    return running


@pytest.mark.parametrize(
    ("heading", "words"),
    [
        ("check", ""),
        ("ledger", "json-closed"),
        ("balance", "json-open"),
        ("sessions", ""),
        ("jobs", ""),
        ("unrated", ""),
        ("usage", ""),
        ("token create", "--role read-only"),
        ("token list", ""),
    ],
)
def test_what_a_command_shows_is_as_documented(used: Running, heading: str, words: str) -> None:
    check(used.ratewire.json(*heading.split(), *words.split()), heading)


def test_what_a_command_changes_is_told_as_documented(configured: Configured) -> None:
    ratewire = configured.ratewire
    check(ratewire.json("plan", "load", str(SAMPLES)), "plan", 0)
    check(ratewire.json("plan", "list"), "plan", 1)
    check(ratewire.json("account", "create", "acme", "--currency", "EUR"), "account create")
    words = ("alice", "--account", "acme", "--plan", "metered")
    check(ratewire.json("subscriber", "add", *words), "subscriber")
    check(ratewire.json("topup", "acme", "1.00", "--key", "receipt 1"), "topup")
    paid = ratewire.json("payment", "receive", "acme", "2.00")
    check(paid, "payment receive")
    words = (str(paid["payment_id"]), "--reason", "moved")
    check(ratewire.json("payment", "refund", *words), "payment refund")
    made = ratewire.json("voucher", "create", "1.00", "1", "--currency", "EUR")
    check(made, "voucher create")
    code = made["codes"][0].encode()
    check(ratewire.json("voucher", "redeem", "acme", "-", stdin=code), "voucher redeem")
    words = ("acme", "--from", "2020-01-01", "--until", "2100-01-01")
    check(ratewire.json("statement", *words), "statement")
    words = ("pop1", "--source", "192.0.2.0/24", "--secret", "-")
    check(ratewire.json("nas", "add", *words, stdin=b"secret"), "nas")
    [entry] = ratewire.json("nas", "list")
    check(entry, "nas")
    file = configured.config.with_name("import.csv")
    file.write_text("username,account,plan,currency,topup\nbob,bob,metered,EUR,2.50\n")
    check(ratewire.json("import", "subscribers", str(file)), "import subscribers")
    check(ratewire.json("rebuild-balances"), "rebuild-balances")
    directory = str(configured.config.with_name("backup"))
    check(ratewire.json("backup", directory), "backup")
    configured.config.with_name("secret.key").unlink()  # so that a key is missing
    restored = ratewire("restore", directory, "--replace", "--yes", "--json")
    check(json.loads(restored.out), "restore")
    add_to_balance(configured, "bob", 1)
    found = ratewire("reconcile", "--json")
    assert found.status == 1
    check(json.loads(found.out), "reconcile")


def test_what_becomes_of_unrated_sessions_is_told_as_documented(used: Running) -> None:
    used.nas.send(used.login("json-late").start(), used.login("json-late").stop(60, 1_000_000, 0))
    look = used.ratewire.json
    eventually(lambda: look("unrated", "--user", "json-late"))
    refused = used.ratewire("rerate", "json-late", "--json")
    assert refused.status == 1
    check(json.loads(refused.out), "rerate")
    used.subscriber("json-late", topup="5.00")
    check(look("rerate", "json-late"), "rerate")
    eventually(lambda: look("unrated", "--user", "json-stranger"))
    [stranger] = look("unrated", "--user", "json-stranger")
    words = (stranger["nas"], stranger["acct_session_id"], "json-stranger", "--reason", "a test")
    check([look("write-off", *words)], "unrated")


def test_a_revoked_token_is_told_as_documented(configured: Configured) -> None:
    configured.ratewire.done("token", "create", "--role", "admin")
    [token] = configured.ratewire.json("token", "list")
    check(configured.ratewire.json("token", "revoke", token["token_id"]), "token revoke")


def test_a_migration_is_told_as_documented(
    configured: Configured, database_server: DatabaseServer
) -> None:
    with fresh_database(database_server, "template1") as url:
        check(configured.beside("new.toml", database=url).json("migrate"), "migrate")


def test_every_table_of_the_document_is_tested() -> None:
    tested = {
        *("check", "ledger", "balance", "sessions", "jobs", "unrated", "usage", "token create"),
        *("rerate", "token list", "token revoke"),
        *("plan", "account create", "subscriber", "topup", "nas", "import subscribers"),
        *("payment receive", "payment refund", "voucher create", "voucher redeem", "statement"),
        *("rebuild-balances", "backup", "restore", "reconcile", "migrate", "session disconnect"),
        "simulate",  # in test_showing.py
        "payment allocate",  # in test_invoicing.py
    }
    assert TABLES.keys() == tested
    assert {heading for heading, found in TABLES.items() if len(found) > 1} == {"plan"}
