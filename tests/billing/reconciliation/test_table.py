"""CSV files are read as they are said to be written, whole, or refused whole."""

from datetime import date

import pytest

from billing.reconciliation.statement import Unreadable
from billing.reconciliation.table import CsvFormat, read

GERMAN = CsvFormat(
    date="Buchungstag",
    amount="Betrag",
    all_in="EUR",
    payer="Auftraggeber",
    payer_account="IBAN",
    reference="Verwendungszweck",
    date_format="%d.%m.%Y",
    decimal=",",
    delimiter=";",
    encoding="cp1252",
)
FILE = """Umsätze;;
Buchungstag;Auftraggeber;IBAN;Verwendungszweck;Betrag

02.03.2026;"Weiß; Anna";DE02 1234;"INV-2026-00001
zweite Zeile";1.035,69
02.03.2026;Bank;;Entgelt;-5,00
"""


def test_columns_are_found_by_their_names_after_whatever_stands_before_them() -> None:
    paid, fee = read(FILE.encode("cp1252"), "a.csv", GERMAN)
    assert (paid.amount_micros, paid.currency, paid.booked_on) == (
        1_035_690_000,
        "EUR",
        date(2026, 3, 2),
    )
    assert (paid.payer, paid.payer_account) == ("Weiß; Anna", "DE021234")
    assert paid.reference == "INV-2026-00001 zweite Zeile"
    assert (fee.amount_micros, fee.place) == (-5_000_000, "row 6")
    plain = "\ufeffdate,amount,currency,payer,reference\n2026-03-02,1.50,USD,Bob,x\n"
    bare = CsvFormat(all_in="EUR", payer="", reference="")
    [line] = read(b"date,amount\n2026-03-02,1\n", "c.csv", bare)
    assert (line.amount_micros, line.currency, line.payer) == (1_000_000, "EUR", "")
    [line] = read(plain.encode(), "b.csv", CsvFormat())
    assert (line.amount_micros, line.currency, line.payer) == (1_500_000, "USD", "Bob")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("1.035,69", "1035.69", "row 5: '1035.69' is not an amount with ','"),
        ("-5,00", "-5,005", "row 6: -5.005 EUR: allowed are 2 decimals"),
        ("02.03.2026;Bank", "2026-03-02;Bank", r"row 6: .*written as %d\.%m\.%Y"),
        ("Entgelt;", "Entgelt", "row 6: it has 4 cells, and the header 5"),
        ("Betrag", "Summe", "no row has the columns Buchungstag, Betrag"),
        ('Zeile"', 'Zeile" "', "this is not CSV"),
    ],
)
def test_what_is_wrong_is_told_with_its_row(old: str, new: str, said: str) -> None:
    with pytest.raises(Unreadable, match=said):
        read(FILE.replace(old, new).encode("cp1252"), "a.csv", GERMAN)


def test_octets_and_formats_that_cannot_be_are_refused() -> None:
    with pytest.raises(Unreadable, match="octet 3: this is not utf-8"):
        read(FILE.encode("cp1252"), "a.csv", CsvFormat())
    with pytest.raises(Unreadable, match="date_format"):
        read(b"", "a.csv", CsvFormat(date_format="%q"))
