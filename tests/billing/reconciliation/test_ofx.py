"""OFX files are read whole, or refused whole."""

from datetime import date

import pytest

from billing.reconciliation import ofx
from billing.reconciliation.statement import Unreadable
from tests.billing.reconciliation.bank import Booked
from tests.billing.reconciliation.bank import ofx as written

FILE = written(Booked("35.69", "INV-2026-00001 & more", "Anna Weiß"), Booked("-5.00", "Fee"))


def test_transactions_are_lines_in_version_1_and_2() -> None:
    paid, fee = ofx.read(FILE, "a.ofx")
    assert (paid.amount_micros, paid.currency, paid.booked_on) == (
        35_690_000,
        "EUR",
        date(2026, 3, 2),
    )
    assert (paid.payer, paid.text, paid.bank_reference) == (
        "Anna Weiß",
        "INV-2026-00001 & more",
        "F1",
    )
    assert (fee.amount_micros, fee.held_at) == (-5_000_000, "123")
    modern = b"""<?xml version="1.0"?><?OFX OFXHEADER="200"?><OFX><CREDITCARDMSGSRSV1><CCSTMTTRNRS>
        <CCSTMTRS><CURDEF>USD</CURDEF><BANKTRANLIST><STMTTRN><DTPOSTED>20260302</DTPOSTED>
        <TRNAMT>1.5</TRNAMT><FITID>9</FITID><MEMO>a &amp; b</MEMO></STMTTRN></BANKTRANLIST>
        </CCSTMTRS></CCSTMTTRNRS></CREDITCARDMSGSRSV1></OFX>"""
    [line] = ofx.read(modern, "b.ofx")
    assert (line.amount_micros, line.currency, line.text) == (1_500_000, "USD", "a & b")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (">35.69", ">3S.69", r"transaction 1 \(line \d+\): '3S.69' is not an amount"),
        (">20260302", ">20261302", "transaction 1 .*is no day; .*transaction 2"),
        (">20260302", ">March", "allowed is one as 20260314"),
        ("<CURDEF>EUR", "<CURDEF>", "currency '' is not known"),
        ("STMTRS>", "STMTRQ>", "there is no statement"),
        ("</STMTTRNRS></BANKMSGSRSV1></OFX>", "", "this is not XML"),
        ("</STMTTRN>\n<STMTTRN>", "", "transaction 1 .*DTPOSTED has to be there once"),
        ("<OFX>", "<OFZ>", "there is no <OFX>"),
        ("<OFX>", "<!DOCTYPE a [<!ENTITY x 'y'>]><OFX>", "DOCTYPE is not allowed"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(old: str, new: str, said: str) -> None:
    text = FILE.decode("cp1252")
    assert old in text
    with pytest.raises(Unreadable, match=said):
        ofx.read(text.replace(old, new).encode("cp1252"), "a.ofx")
