"""CAMT files are read whole, or refused whole."""

from datetime import date

import pytest

from billing.reconciliation import camt
from billing.reconciliation.statement import Unreadable
from tests.billing.reconciliation.bank import IBAN, Booked
from tests.billing.reconciliation.bank import camt as written

FILE = written(
    Booked("35.69", "INV-2026-00001 & more", "Anna Weiß", "DE02", "E2E-1"),
    Booked("-5.00", "Fee"),
    Booked("1.00", status="PDNG"),
)


def test_entries_are_lines_with_what_the_bank_told() -> None:
    paid, fee, coming = camt.read(FILE, "a.xml")
    assert (paid.amount_micros, paid.currency, paid.booked_on) == (
        35_690_000,
        "EUR",
        date(2026, 3, 2),
    )
    assert (paid.payer, paid.payer_account) == ("Anna Weiß", "DE02")
    assert (paid.reference, paid.text) == ("E2E-1", "INV-2026-00001 & more")
    assert (paid.held_at, paid.bank_reference) == (IBAN, "2-1")
    assert paid.place.startswith("statement 1, entry 1 (line ")
    assert (fee.amount_micros, fee.reference, fee.booked) == (-5_000_000, "", True)
    assert not coming.booked


def test_a_notification_has_no_balances_and_a_batch_is_its_parts() -> None:
    part = "<TxDtls><Amt Ccy='EUR'>{}</Amt><RmtInf><Strd><CdtrRefInf><Ref>{}</Ref></CdtrRefInf>"
    part += "</Strd></RmtInf></TxDtls>"
    text = """<Document><BkToCstmrDbtCdtNtfctn><Ntfctn><Ntry><Amt Ccy="EUR">{}</Amt>
        <CdtDbtInd>CRDT</CdtDbtInd><Sts>BOOK</Sts><BookgDt><DtTm>2026-03-02T10:00:00</DtTm></BookgDt>
        <AcctSvcrRef>B</AcctSvcrRef><NtryDtls>{}</NtryDtls></Ntry></Ntfctn>
        </BkToCstmrDbtCdtNtfctn></Document>"""
    parts = part.format("1.00", "A1") + part.format("2.00", "A2")
    found = camt.read(text.format("3.00", parts).encode(), "n.xml")
    assert [(each.amount_micros, each.reference) for each in found] == [
        (1_000_000, "A1"),
        (2_000_000, "A2"),
    ]
    # Parts that do not add up are no parts: the entry is one line.
    [whole] = camt.read(text.format("4.00", parts).encode(), "n.xml")
    assert (whole.amount_micros, whole.reference) == (4_000_000, "A1 A2")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("35.69</Amt><CdtDbtInd>CRDT</CdtDbtInd>\n      <Sts>", "35.6x</Amt>", "is not"),
        ('">35.69', '">36.69', "something is missing or changed"),
        ('"EUR">35.69', '"EUX">35.69', r"entry 1 \(line \d+\): currency 'EUX' is not known"),
        ("<CdtDbtInd>DBIT", "<CdtDbtInd>WEST", r"entry 2 .*allowed are CRDT and DBIT"),
        ("<Dt>2026-03-02", "<Dt>2026-03-32", "entry 1 .*entry 2 .*is not a date"),
        ("<Cd>PDNG", "<Cd>LOST", "entry 3 .*Sts 'LOST'"),
        ("BkToCstmrStmt", "CstmrCdtTrfInitn", "allowed is a Document with"),
        ("Stmt>", "Ntfctn>", "allowed is a Document with|no statement"),
        ("</Document>", "", "this is not XML"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(old: str, new: str, said: str) -> None:
    assert old in FILE.decode()
    with pytest.raises(Unreadable, match=said):
        camt.read(FILE.decode().replace(old, new).encode(), "a.xml")
