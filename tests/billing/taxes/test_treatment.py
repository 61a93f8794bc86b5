"""Who decides what a line is taxed with."""

from datetime import date

import msgspec
import pytest

from billing.errors import Conflict
from billing.taxes.rate import TaxCode, TaxRate
from billing.taxes.treatment import TaxParty, TaxStatus, taxes_of

DAY = date(2026, 3, 14)
RATES = [
    TaxRate(place, category, "VAT", date(2020, 1, 1), ppm)
    for place, category, ppm in (
        *(("DE", "standard", 190_000), ("DE", "reduced", 70_000), ("DE", "books", 50_000)),
        *(("DE", "night", 10_000), ("FR", "standard", 200_000)),
    )
]
SELLER = TaxParty("DE", "DE", "standard", tax_id="DE123456789")
CUSTOMER = TaxParty("DE")


def percent_of(**given: str | TaxParty) -> int:
    options = {"seller": SELLER, "customer": CUSTOMER, **given}
    [rate] = taxes_of(rates=RATES, day=DAY, **options)  # pyright: ignore[reportArgumentType]
    return rate.ppm // 10_000


def test_the_line_decides_before_the_plan_the_customer_and_the_seller() -> None:
    customer = TaxParty("DE", category="books")
    assert percent_of() == 19
    assert percent_of(customer=customer) == 5
    assert percent_of(customer=customer, plan_category="reduced") == 7
    assert percent_of(customer=customer, plan_category="reduced", line_category="night") == 1
    assert percent_of(seller=msgspec.structs.replace(SELLER, category=None)) == 19


def test_the_place_is_the_lines_else_the_customers_else_the_sellers() -> None:
    abroad = TaxParty("FR", "FR")
    assert percent_of(customer=abroad) == 20
    assert percent_of(customer=abroad, line_jurisdiction="DE") == 19


def test_what_has_no_rate_is_refused_and_not_left_untaxed() -> None:
    with pytest.raises(Conflict, match="no tax rate for category books in FR on 2026-03-14"):
        percent_of(customer=TaxParty("FR", "FR"), line_category="books")


def test_an_exemption_holds_with_its_certificate_up_to_its_last_day() -> None:
    exempt = TaxParty(
        "DE",
        status=TaxStatus.EXEMPT,
        certificate="C-1",
        certificate_expires=DAY,
        exemption_reason="Embassy",
    )
    [rate] = taxes_of(rates=RATES, seller=SELLER, customer=exempt, day=DAY)
    assert (rate.ppm, rate.code, rate.reason) == (0, TaxCode.EXEMPT, "Embassy (certificate C-1)")
    assert percent_of(customer=msgspec.structs.replace(exempt, certificate=None)) == 19
    [late] = taxes_of(rates=RATES, seller=SELLER, customer=exempt, day=date(2026, 3, 15))
    assert late.ppm == 190_000


def test_reverse_charge_needs_two_vat_ids_and_two_countries() -> None:
    abroad = TaxParty("FR", tax_id="FR1", status=TaxStatus.REVERSE_CHARGE)
    [rate] = taxes_of(rates=RATES, seller=SELLER, customer=abroad, day=DAY)
    assert (rate.ppm, rate.code) == (0, TaxCode.REVERSE_CHARGE)
    assert "Reverse charge" in rate.reason
    for seller, customer, message in (
        (SELLER, msgspec.structs.replace(abroad, tax_id=None), "the customer's VAT id"),
        (msgspec.structs.replace(SELLER, tax_id=None), abroad, "the seller's VAT id"),
        (SELLER, msgspec.structs.replace(abroad, country="DE"), "both sides are in DE"),
    ):
        with pytest.raises(Conflict, match=message):
            taxes_of(rates=RATES, seller=seller, customer=customer, day=DAY)


def test_a_seller_without_a_jurisdiction_taxes_nothing() -> None:
    [rate] = taxes_of(rates=[], seller=TaxParty("KW"), customer=CUSTOMER, day=DAY)
    assert (rate.ppm, rate.code) == (0, TaxCode.OUTSIDE)
