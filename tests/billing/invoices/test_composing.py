"""What has a say in a document: the plan's category, the language, the day where the seller is."""

from datetime import UTC, date, datetime

import msgspec
import pytest

from billing.database import Connection
from billing.errors import Conflict, NotFound
from billing.invoices import composing
from billing.invoices.charges import Share
from billing.invoices.composing import Surroundings, compose, lines_of, local_day
from billing.invoices.invoice import Kind
from tests.billing.invoices.making import BUYER, NOW, RATES, SELLER, fee

SHARE = Share(NOW, "night", 1_000_000, 1, 60, 10, 90, NOW, NOW)
AROUND = Surroundings(RATES, {"night": "reduced"}, {}, {})


def test_a_plan_has_a_say_in_what_its_usage_is_taxed_as() -> None:
    lines = lines_of([fee()], [SHARE], entity=SELLER, kind=Kind.INVOICE, language="de")
    assert [line.description for line in lines][1] == "Internetnutzung: night"
    priced = compose(
        lines, kind=Kind.INVOICE, entity=SELLER, buyer=BUYER, currency="EUR", around=AROUND,
        day=date(2026, 3, 1),
    )  # fmt: skip
    assert [line.taxes[0].rate.category for line in priced.lines] == ["standard", "reduced"]


def test_a_document_waits_while_a_tax_id_is_checked() -> None:
    buyer = msgspec.structs.replace(BUYER, tax_pending=True)
    with pytest.raises(Conflict, match="the document waits"):
        compose(
            [], kind=Kind.INVOICE, entity=SELLER, buyer=buyer, currency="EUR", around=AROUND,
            day=date(2026, 3, 1),
        )  # fmt: skip


def test_a_day_is_the_sellers() -> None:
    assert local_day(SELLER, datetime(2026, 12, 31, 23, 30, tzinfo=UTC)) == date(2027, 1, 1)


async def test_an_unknown_account_is_told(conn: Connection) -> None:
    with pytest.raises(NotFound, match="account nobody does not exist"):
        await composing.account_of(conn, "nobody")
