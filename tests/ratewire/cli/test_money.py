"""topup, balance, ledger, reconcile, rebuild-balances."""

import asyncio
import json
import socket

import asyncpg

from balances.connection import Connection
from ratewire.cli.running import actor
from ratewire.wiring import System
from tests.acceptance.installation import eventually
from tests.ratewire.cli.conftest import Configured, Running
from tests.ratewire.cli.tampering import add_to_balance
from tests.ratewire.office import Office
from tests.ratewire.provider import START
from tests.ratewire.today import today
from tests.support.servers import run


def test_a_topup_is_in_store_and_ledger_when_it_returns(stocked: Configured) -> None:
    ratewire = stocked.ratewire
    assert ratewire.done("topup", "acme", "10.00") == (
        "acme is topped up with 10.00 EUR; balance 10.00 EUR\n"
    )
    assert ratewire.json("balance", "acme")["balance_micros"] == 10_000_000
    [row] = ratewire.json("ledger", "acme")
    assert (row["kind"], row["amount_micros"], row["balance_micros"]) == (
        *("payment", 10_000_000, 10_000_000),
    )
    assert ratewire.json("reconcile")["exact"]


def test_a_topup_under_a_key_is_done_once(stocked: Configured) -> None:
    ratewire = stocked.ratewire
    first = ratewire.json("topup", "acme", "2.50", "--key", "receipt 4711")
    again = ratewire.json("topup", "acme", "2.5", "--key", "receipt 4711")
    assert not first["repeated"]
    assert again == {**first, "repeated": True}
    assert "before" in ratewire.done("topup", "acme", "2.50", "--key", "receipt 4711")
    assert ratewire.refused("topup", "acme", "3", "--key", "receipt 4711") == (
        "account acme: the key 'receipt 4711' was used for payment"
        f" {first['payment_id']} of 2.50 EUR by cash, not for 3.00 by cash"
    )
    assert ratewire.json("balance", "acme")["balance_micros"] == 2_500_000


TOPUPS_THAT_CANNOT_BE = [
    (["acme", "0"], "an amount of 0.00 EUR: allowed is more than 0"),
    (["acme", "-5"], "an amount of -5.00 EUR: allowed is more than 0"),
    (["--", "acme", "-5"], "an amount of -5.00 EUR: allowed is more than 0"),
    (["acme", "1e3"], "'1e3' is not an amount: write digits with a decimal point"),
    (["acme", "1,50"], "'1,50' is not an amount"),
    (["acme", "0.0000001"], "at most six decimals"),
    (["acme", "9999999999"], "is too large: at most 9007199254.740991"),
    (["acme", "9007199254"], "account acme: 9007199254.00 would take the balance beyond"),
    (["acme", "5", "--key", ""], "idempotency key '': allowed are 1 to 255 printable octets"),
    (["nobody", "5"], "account nobody does not exist"),
    (["no body|", "5"], "account 'no body|': allowed are 1 to 64 letters, digits and"),
]


def test_a_topup_that_cannot_be_changes_nothing(stocked: Configured) -> None:
    for words, reason in TOPUPS_THAT_CANNOT_BE:
        # The settings go first, since nothing after "--" is an option.
        ended = stocked.ratewire.bare("topup", "--config", str(stocked.config), *words)
        assert (ended.status, ended.out) == (1, "")
        assert reason in ended.err
        assert ended.err.count("\n") == 1
    assert stocked.ratewire.json("ledger", "acme") == []
    assert stocked.ratewire.json("balance", "acme")["balance_micros"] == 0


def test_a_topup_that_the_store_cannot_take_is_done_and_says_so(stocked: Configured) -> None:
    ratewire = stocked.ratewire
    ratewire.done("topup", "acme", "1.00")
    stocked.fence("being rebuilt")
    told = ratewire("topup", "acme", "2.00", "--key", "k")
    assert (told.status, told.out) == (
        0,
        "acme is topped up with 2.00 EUR; the store does not have it yet\n",
    )
    assert "ratewire: warning: this is done, but has not reached the store: being reb" in told.err
    again = json.loads(ratewire("topup", "acme", "2.00", "--key", "k", "--json").out)
    assert again["repeated"]
    assert again["balance_micros"] is None
    stocked.fence("")
    assert ratewire.json("balance", "acme")["balance_micros"] == 3_000_000


def test_a_running_session_shows_in_the_balance(running: Running) -> None:
    running.subscriber("money-user", topup="5.00")
    login = running.login("money-user")
    running.nas.send(login.start(), login.interim(60, 500_000_000, 250_000_000))
    view = running.ratewire.json("balance", "money-user")
    assert view["balance_micros"] == 5_000_000 - 1_500_000
    assert view["reserved_micros"] > 0
    assert view["available_micros"] == view["balance_micros"] - view["reserved_micros"]
    assert view["open_sessions"] == 1
    running.ratewire.done("topup", "money-user", "1.00")
    running.nas.send(login.stop(120, 500_000_000, 500_000_000))
    assert running.ratewire.done("balance", "money-user") == (
        "balance                       4.00 EUR\n"
        "reserved                      0.00 EUR\n"
        "available                     4.00 EUR\n"
        "credit limit                  0.00 EUR\n"
        "minimum                       0.00 EUR\n"
        "prepaid, active, 0 open sessions\n"
    )
    look = running.ratewire.json
    eventually(lambda: look("ledger", "money-user")[-1]["balance_micros"] == 4_000_000)
    rows = look("ledger", "money-user")
    assert sum(row["amount_micros"] for row in rows) == 4_000_000
    last = running.ratewire.json("ledger", "money-user", "--limit", "1")
    assert last == rows[-1:]


def test_credit_without_bound_is_called_so(stocked: Configured) -> None:
    words = ("account", "create", "big", "--currency", "JPY", "--credit-limit", "unlimited")
    stocked.ratewire.done(*words, "--postpaid")
    view = stocked.ratewire.json("balance", "big")
    assert (view["available_micros"], view["credit_limit_micros"]) == (None, None)
    text = stocked.ratewire.done("balance", "big")
    assert "available                unlimited JPY\n" in text
    assert text.endswith("postpaid, active, 0 open sessions\n")


def test_a_balance_that_was_tampered_with_is_found_to_the_micro(stocked: Configured) -> None:
    ratewire = stocked.ratewire
    for account, amount in (("bob", "3.00"), ("carol", "4.00")):
        ratewire.done("account", "create", account, "--currency", "EUR")
        ratewire.done("topup", account, amount)
    assert ratewire.json("reconcile")["drift_micros"] == 0
    add_to_balance(stocked, "bob", 7)
    add_to_balance(stocked, "carol", -1)
    found = ratewire("reconcile", "--json")
    assert (found.status, found.err) == (1, "")
    told = json.loads(found.out)
    assert (told["exact"], told["drift_micros"], told["accounts"]) == (False, 8, 3)
    assert [
        (each["account"], each["drift_micros"], each["store_balance_micros"])
        for each in told["drifting"]
    ] == [("bob", 7, 3_000_007), ("carol", -1, 3_999_999)]
    text = ratewire("reconcile")
    assert text.status == 1
    assert text.out.startswith("store and ledger DO NOT AGREE: 3 accounts, drift 8 micros\n")
    assert "\n  bob: drift 7 (its balance is 3000007 micros, expected is 3000000); " in text.out
    # Nothing is repaired silently.
    assert ratewire("reconcile", "--json").status == 1
    ratewire.done("rebuild-balances")
    assert ratewire.json("reconcile")["drift_micros"] == 0
    assert ratewire.json("balance", "bob")["balance_micros"] == 3_000_000


def test_totals_and_strangers_in_the_store_are_told(stocked: Configured) -> None:
    stocked.in_store("HINCRBY", "rw:{0}:meta", "accounts", 2)
    stocked.in_store("HINCRBY", "rw:{0}:meta", "total:EUR:balance", 5)
    found = stocked.ratewire("reconcile")
    assert found.status == 1
    assert "  the store holds 2 accounts that the database does not know\n" in found.out
    assert "  the store's totals are 5 micros from their accounts\n" in found.out


def test_lost_books_are_named_and_rebuilt(stocked: Configured) -> None:
    ratewire = stocked.ratewire
    ratewire.done("topup", "acme", "1.00")
    stocked.in_store("FLUSHALL")
    for words in (["reconcile"], ["balance", "acme"]):
        assert ratewire.refused(*words) == (
            "the store holds no books: run 'ratewire rebuild-balances'"
        )
    told = ratewire("rebuild-balances")
    assert told.status == 0
    assert told.out.startswith("generation 2: 1 accounts, 1 subscribers, 0 open sessions;")
    assert "ratewire: warning: the store held no books: what it acknowledged after" in told.err
    assert ratewire.json("balance", "acme")["balance_micros"] == 1_000_000


async def test_rebuilt_sessions_may_be_silent_as_the_settings_say(
    configured: Configured, office: Office, system: System, connection: Connection
) -> None:
    await office.subscribe(5_000_000)
    provider = today(connection)
    await provider.told(START, session="s1")
    settler = await system.settler()
    while await settler.settle_once(10):
        pass
    with configured.config.open("a") as config:
        config.write("[sessions]\ndefault_interim_seconds = 120\nstale_factor = 5\n")
    rebuilt = await asyncio.to_thread(configured.ratewire.json, "rebuild-balances")
    assert rebuilt["sessions"] == 1
    assert (await provider.session("s1")).quiet == 120 * 5


def test_what_does_not_exist_is_named(stocked: Configured) -> None:
    for command in ("balance", "ledger"):
        assert stocked.ratewire.refused(command, "nobody") == "account nobody does not exist"
        assert "allowed are 1 to 64 letters" in stocked.ratewire.refused(command, "\x1b[31m")


def test_a_topup_is_a_payment_and_the_trail_says_who_took_it_and_where(
    stocked: Configured,
) -> None:
    paid = stocked.ratewire.json("topup", "acme", "5.00", "--method", "bank_transfer")
    [listed] = stocked.ratewire.json("payment", "list")
    assert (listed["payment_id"], listed["method"]) == (paid["payment_id"], "bank_transfer")

    async def trail() -> list[tuple[str, str]]:
        connection = await asyncpg.connect(stocked.urls.database)
        rows = await connection.fetch(
            "SELECT actor, source FROM audit_events WHERE subject = 'payments'"
        )
        await connection.close()
        return [(row["actor"], row["source"]) for row in rows]

    assert run(trail()) == [(actor(), socket.gethostname())]
