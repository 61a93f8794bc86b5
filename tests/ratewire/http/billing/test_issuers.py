"""Who issues documents, and the taxes on them, over HTTP."""

from tests.ratewire.http.staff import Staff

RATES = "billing/tax-rates/"
VAT = {"jurisdiction": "DE", "category": "standard", "tax": "VAT"}


async def test_who_issues_is_set_and_read(issuer: Staff) -> None:
    main = await issuer.ok("GET", "billing/entities/main")
    assert (await issuer.ok("GET", "billing/entities/"))["data"] == [main]
    changed = {**main, "colour": "#003300", "footer": "Thank you"}
    assert await issuer.ok("PUT", "billing/entities/main", changed) == changed
    assert (await issuer.says("PUT", "billing/entities/other", changed)).status == 422
    bad = await issuer.says("PUT", "billing/entities/main", {**main, "iban": "DE00"})
    assert (bad.status, "check digits" in bad.body["detail"]) == (400, True)
    assert (await issuer.says("GET", "billing/entities/nobody")).status == 404


async def test_rates_are_kept_all_or_none_and_forgotten(issuer: Staff) -> None:
    new = [
        {**VAT, "percent": "7", "category": "reduced", "valid_from": "2021-01-01"},
        {**VAT, "percent": "20", "valid_from": "2030-01-01"},
    ]
    await issuer.ok("POST", RATES, {"rates": new})
    listed = (await issuer.ok("GET", f"{RATES}?jurisdiction=DE"))["data"]
    assert [each["percent"] for each in listed] == ["7", "19", "20"]
    twice = await issuer.says("POST", RATES, {"rates": [new[0], new[0]]})
    wrong = await issuer.says("POST", RATES, {"rates": [{**new[0], "jurisdiction": "Germany"}]})
    assert (twice.status, wrong.status) == (422, 422)
    assert 'such as "DE"' in wrong.body["detail"]
    one = f"{RATES}DE/standard/VAT/2030-01-01"
    assert (await issuer.says("DELETE", one)).status == 204
    assert (await issuer.says("DELETE", one)).status == 404
    assert (await issuer.says("DELETE", f"{RATES}DE/standard/VAT/soon")).status == 422


async def test_the_report_is_the_sum_of_the_documents(issuer: Staff) -> None:
    lines = [{"description": "Router", "unit_price": "100.00"}]
    new = {"id": "b1", "currency": "EUR", "payment_mode": "postpaid", "customer": "anna"}
    await issuer.ok("POST", "billing/accounts/", new)
    draft = await issuer.ok("POST", "billing/invoices/", {"account": "b1", "lines": lines})
    await issuer.ok("POST", f"billing/invoices/{draft['id']}/finalize")
    period = "since=2020-01-01&to=2099-12-31"
    [row] = (await issuer.ok("GET", f"billing/reports/tax?{period}"))["data"]
    assert (row["percent"], row["base"], row["amount"]) == ("19", "100.00", "19.00")
