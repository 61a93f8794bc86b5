"""What is told of payments has no secret in it that could be logged."""

from billing.gateways.happening import Happening, What


def test_a_happening_names_its_payment_by_our_key_or_the_gateways_reference() -> None:
    told = Happening(What.PAID, key="payment-1")
    assert (told.key, told.reference, told.keep_method) == ("payment-1", None, False)
