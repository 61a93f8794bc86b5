"""The ledger over HTTP: every posting is found, and a statement adds up."""

from datetime import date, timedelta

from tests.ratewire.http.staff import Staff

TRANSACTIONS = "billing/transactions/"


async def test_transactions_are_searched_in_pages(admin: Staff) -> None:
    for number in range(1, 4):
        adjust = {"amount": f"{number}.00", "reason": f"Goodwill {number}"}
        await admin.ok("POST", "billing/accounts/a1/balance", adjust, key=f"g{number}")
    first = await admin.ok("GET", f"{TRANSACTIONS}?account=a1&limit=2")
    assert [each["amounts"] for each in first["data"]] == [{"EUR": "3.00"}, {"EUR": "2.00"}]
    rest = await admin.ok("GET", f"{TRANSACTIONS}?account=a1&limit=2&cursor={first['next']}")
    assert ([each["amounts"]["EUR"] for each in rest["data"]], rest["next"]) == (["1.00"], None)

    async def found(query: str) -> list[str]:
        said = await admin.ok("GET", f"{TRANSACTIONS}?{query}")
        return [each["amounts"]["EUR"] for each in said["data"]]

    assert await found("text=goodwill 2") == await found("key=g2") == ["2.00"]
    assert await found("at_least=2.50&kind=adjustment") == ["3.00"]
    assert await found("since=2099-01-01T00:00:00Z") == []
    for wrong in ("since=2026-01-01T00:00:00", "cursor=x", "kind=x"):
        assert (await admin.says("GET", f"{TRANSACTIONS}?{wrong}")).status == 400


async def test_a_statement_opens_where_the_last_one_closed(issuer: Staff) -> None:
    await issuer.ok("POST", "billing/accounts/a1/balance", {"amount": "7.50", "reason": "goodwill"})
    today = date.fromisoformat((await issuer.ok("GET", "billing/overview"))["at"][:10])
    day = timedelta(days=1)

    async def of(since: date, until: date) -> dict[str, object]:
        return await issuer.ok("GET", f"billing/accounts/a1/statement?since={since}&until={until}")

    now = await of(today, today + day)
    assert (now["opening"], now["closing"]) == ("0.00", "7.50")
    after = await of(today + day, today + 2 * day)
    assert (after["opening"], after["closing"], after["data"]) == ("7.50", "7.50", [])
    empty = f"billing/accounts/a1/statement?since={today}&until={today}"
    assert (await issuer.says("GET", empty)).status == 422
    headers = {"Authorization": f"Bearer {issuer.token}"}
    url = f"/api/v1/billing/accounts/a1/statement/pdf?since={today}&to={today}"
    async with issuer.client.get(url, headers=headers) as answer:
        assert (answer.status, (await answer.read())[:4]) == (200, b"%PDF")
