"""payment, voucher, statement."""

from datetime import timedelta

from ratewire.wiring import now
from tests.ratewire.cli.conftest import Configured


def test_a_payment_under_a_key_is_received_once_and_refunded_once(stocked: Configured) -> None:
    ratewire = stocked.ratewire
    words = ("payment", "receive", "acme", "10.00", "--method", "card", "--key", "r1")
    first = ratewire.json(*words)
    assert ratewire.json(*words) == {**first, "repeated": True}
    assert "by card for acme, before" in ratewire.done(*words)
    number = str(first["payment_id"])
    back = ("payment", "refund", number, "--amount", "4.00", "--reason", "moved", "--key", "b1")
    assert "4.00 EUR" in ratewire.done(*back)
    assert ratewire.json(*back)["repeated"]
    [listed] = ratewire.json("payment", "list", "--account", "acme")
    assert listed["refundable_micros"] == 6_000_000
    assert ratewire.json("balance", "acme")["balance_micros"] == 6_000_000
    refused = ratewire.refused("payment", "refund", number, "--amount", "6.01", "--reason", "all")
    assert "has 6.00 EUR to give back" in refused
    assert ratewire.json("reconcile")["exact"]


def test_a_voucher_is_printed_once_and_redeemed_once(stocked: Configured) -> None:
    ratewire = stocked.ratewire
    head, line = ratewire.done("voucher", "create", "5.00", "1", "--currency", "EUR").splitlines()
    assert head == "batch,serial,code,amount,currency,expires"
    code = line.split(",")[2].encode()
    first = ratewire.json("voucher", "redeem", "acme", "-", stdin=code)
    assert (first["amount_micros"], first["method"]) == (5_000_000, "voucher")
    assert ratewire.json("voucher", "redeem", "acme", "-", stdin=code)["repeated"]
    assert ratewire.json("balance", "acme")["balance_micros"] == 5_000_000


def test_a_statement_leads_from_its_opening_to_its_closing_balance(stocked: Configured) -> None:
    ratewire = stocked.ratewire
    ratewire.done("payment", "receive", "acme", "3.00")
    today = now().date()
    days = ("--from", str(today), "--until", str(today + timedelta(days=2)))
    made = ratewire.json("statement", "acme", *days)
    assert (made["opening_micros"], made["closing_micros"]) == (0, 3_000_000)
    told = ratewire.done("statement", "acme", *days)
    assert told.startswith(f"Statement of acme from {today}")
    assert told.endswith("closing balance 3.00 EUR\n")
    later = ("--from", str(today + timedelta(days=2)), "--until", str(today + timedelta(days=3)))
    assert ratewire.json("statement", "acme", *later)["opening_micros"] == 3_000_000
    assert "a later end" in ratewire.refused("statement", "acme", *days[:2], "--until", str(today))
