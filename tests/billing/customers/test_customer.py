"""What can be known of a customer; every fault is told."""

from datetime import date

import pytest

from billing.customers.customer import Details, check, customer_id
from billing.errors import InvalidInput
from billing.taxes.treatment import TaxStatus


def test_what_is_right_is_taken() -> None:
    for details in (
        Details(),
        Details(name="Anna", email="anna@example.org", country="DE"),
        Details(
            tax_status=TaxStatus.EXEMPT,
            tax_certificate="C-7",
            tax_certificate_expires=date(2027, 1, 1),
        ),
        Details(tax_status=TaxStatus.REVERSE_CHARGE, tax_id="DE123"),
    ):
        assert check(details) is details
    assert customer_id("acme-7") == "acme-7"


def test_every_fault_is_told() -> None:
    with pytest.raises(InvalidInput) as told:
        check(Details(name="a\nb", email="anna", country="Germany", tax_status=TaxStatus.EXEMPT))
    for part in ("name:", "email:", "country 'Germany'", "needs a tax_certificate"):
        assert part in str(told.value)
    with pytest.raises(InvalidInput, match="needs a tax_id"):
        check(Details(tax_status=TaxStatus.REVERSE_CHARGE))
    with pytest.raises(InvalidInput, match="beginning with a letter or digit"):
        customer_id("-x")
