"""Reports over HTTP."""

from billing.reports.making import Name
from ratewire.wiring import now
from tests.ratewire.http.staff import Staff


async def test_every_report_is_made_as_a_table_and_as_csv(admin: Staff) -> None:
    pay = {"account": "a1", "amount": "5.00", "currency": "EUR", "method": "cash"}
    await admin.ok("POST", "billing/payments/", pay)
    period = f"?first={now().year}-01-01&until={now().year + 1}-01-02"
    headers = {"Authorization": f"Bearer {admin.token}"}
    for name in Name:
        made = await admin.ok("GET", f"billing/reports/{name}{period}")
        assert made["name"] == name
        path = f"/api/v1/billing/reports/{name}/csv{period}"
        async with admin.client.get(path, headers=headers) as answer:
            assert answer.content_type == "text/csv"
            lines = (await answer.text()).splitlines()
        assert lines[0] == ",".join(made["columns"])
        assert len(lines) == 1 + len(made["rows"])
    journal = await admin.ok("GET", f"billing/reports/journal{period}")
    assert [row[1:] for row in journal["rows"]] == [
        ["cash", "payment", "EUR", "5.00", "0.00"],
        ["customer_credit", "payment", "EUR", "0.00", "5.00"],
    ]
    assert (await admin.says("GET", f"billing/reports/mrr{period}&zone=Mars")).status == 422
    assert (await admin.says("GET", f"billing/reports/gossip{period}")).status == 404
