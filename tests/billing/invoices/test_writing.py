"""Lines come back as they were written."""

from billing.database import Connection
from billing.invoices import drafts, reading
from billing.invoices.line import asked_for
from tests.billing.invoices.making import NOW, asked, fee, open_account
from tests.billing.invoices.test_finalizing import issue


async def test_lines_and_totals_come_back_as_they_were_written(conn: Connection) -> None:
    await open_account(conn)
    lines = (fee(discount_micros=10_000, discount_reason="Loyalty"), fee(unit="HUR", plan="night"))
    draft = await reading.get(conn, await drafts.create(conn, asked("anna", *lines), now=NOW), NOW)
    assert [asked_for(line).description for line in draft.lines] == [fee().description] * 2
    assert (draft.lines[0].discount_reason, draft.lines[1].unit) == ("Loyalty", "HUR")
    final = await reading.get(conn, await issue(conn, asked("anna", *lines)), NOW)
    assert (final.lines, final.taxes) == (draft.lines, draft.taxes)
    assert sum(total.tax_micros for total in final.taxes) == final.tax_micros
