"""MT940 files are read whole, or refused whole."""

from datetime import date

import pytest

from billing.reconciliation import mt940
from billing.reconciliation.statement import Unreadable
from tests.billing.reconciliation.bank import Booked
from tests.billing.reconciliation.bank import mt940 as written

FILE = written(
    Booked("35.69", "for the invoice INV-2026-00001", "ANNA WEISS", "DE89370400440532013000"),
    Booked("-5.00", "Fee"),
)


@pytest.mark.parametrize("line_break", [b"\n", b"\r\n"])
def test_lines_are_read_with_their_text_over_several_fields(line_break: bytes) -> None:
    paid, fee = mt940.read(FILE.replace(b"\n", line_break), "a.sta")
    assert (paid.amount_micros, paid.currency) == (35_690_000, "EUR")
    assert (paid.booked_on, paid.bank_reference) == (date(2026, 3, 2), "B1")
    assert (paid.payer, paid.payer_account) == ("ANNA WEISS", "DE89370400440532013000")
    assert "".join(paid.text.split()) == "fortheinvoiceINV-2026-00001"
    assert (fee.amount_micros, fee.held_at) == (-5_000_000, "37040044/0532013000")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("C35,69", "C3x,69", r"of its 2 lines \(:61:\) only 1 can be read"),
        ("C35,69", "C36,69", "something is missing or changed"),
        (":62F:C260302EUR130,69\n", "", "closing balance .*the file is cut off"),
        ("EUR", "EUX", "currency 'EUX' is not known"),
        (":60F:C260301", ":60F:C261301", "statement 1: "),
        (":20:STARTUMSE\n", "", "there is no statement"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(old: str, new: str, said: str) -> None:
    assert old in FILE.decode()
    with pytest.raises(Unreadable, match=said):
        mt940.read(FILE.decode().replace(old, new).encode(), "a.sta")


def test_several_statements_are_each_added_up_and_latin_1_is_read() -> None:
    good = FILE.replace(b"WEISS", "WEIß".encode("latin-1"))
    assert len(mt940.read(good + good, "a.sta")) == 4
    with pytest.raises(Unreadable, match="statement 2: its lines lead"):
        mt940.read(good + good.replace(b"35,69", b"35,68"), "a.sta")
