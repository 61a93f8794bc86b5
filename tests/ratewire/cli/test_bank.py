"""bank: files are imported, processed, and lines decided by hand."""

from pathlib import Path

from tests.billing.reconciliation.bank import Booked, camt
from tests.ratewire.cli.conftest import Configured

FORMAT = """
date = "Tag"
amount = "Betrag"
all_in = "EUR"
payer = "Name"
reference = "Zweck"
delimiter = ";"
decimal = ","
"""


def test_money_of_a_bank_file_is_on_the_account_once(stocked: Configured, tmp_path: Path) -> None:
    ratewire = stocked.ratewire
    path = tmp_path / "march.xml"
    path.write_bytes(camt(Booked("7.00", "for acme", "Anna", "DE1"), Booked("2.00", "?")))
    first = ratewire.json("bank", "import", str(path))
    assert (first["lines"], first["repeated"]) == ({"new": 2}, False)
    assert "imported before" in ratewire.done("bank", "import", str(path))
    [file] = ratewire.json("bank", "files")
    assert file == {each: first[each] for each in file}
    told = ratewire.done("bank", "preview")
    assert "names account acme" in told
    assert "nobody" in told
    assert "1 lines paid, 1 left for a person" in ratewire.done(
        "bank", "process", "--threshold", "60"
    )
    assert ratewire.json("bank", "process", "--threshold", "60")["paired"] == []
    assert ratewire.json("balance", "acme")["balance_micros"] == 7_000_000
    [left] = ratewire.json("bank", "lines", "--state", "new")
    number = str(left["line_id"])
    assert "payment 2 of acme: paired by hand" in ratewire.done("bank", "pair", number, "acme")
    assert ratewire.json("balance", "acme")["balance_micros"] == 9_000_000
    ratewire.done("bank", "unpair", number, "--reason", "not theirs")
    assert ratewire.json("bank", "ignore", number, "--reason", "a gift")["state"] == "ignored"
    assert "a gift" in ratewire.done("bank", "history", number)
    assert "line 2: 2.00 EUR new" in ratewire.done("bank", "reopen", number, "--reason", "none")
    assert ratewire.json("reconcile")["exact"]


def test_a_csv_is_read_as_it_is_said_to_be_written(stocked: Configured, tmp_path: Path) -> None:
    ratewire = stocked.ratewire
    table, form = tmp_path / "a.csv", tmp_path / "bank.toml"
    table.write_text("Tag;Name;Zweck;Betrag\n2026-03-02;Anna;acme;1,50\n")
    form.write_text(FORMAT)
    words = ("bank", "import", str(table))
    assert "CSV if its columns are told" in ratewire.refused(*words)
    assert ratewire.json(*words, "--csv", str(form))["lines"] == {"new": 1}
    form.write_text(FORMAT + "colour = 1\n")
    assert "unknown field `colour`" in ratewire.refused(*words, "--csv", str(form))
    assert "allowed is a readable file" in ratewire.refused("bank", "import", "/nowhere.xml")
