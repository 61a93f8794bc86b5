"""Offers over HTTP."""

from tests.ratewire.http.staff import Staff


async def test_offers_are_read(seller: Staff) -> None:
    large, small = (await seller.ok("GET", "billing/offers/"))["data"]
    assert (large["name"], large["recurring"][0]["amount"]) == ("large", "30.00")
    assert await seller.ok("GET", "billing/offers/small") == small
    assert (await seller.says("GET", "billing/offers/none")).status == 404
