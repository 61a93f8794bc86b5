"""Gateways as they are set up: keys by file, test and live apart."""

from pathlib import Path

import pytest

from billing.errors import InvalidInput
from config.settings import StripeSettings
from ratewire.gateways import stripe_of


def settings(directory: Path, mode: str, api: str, signing: str) -> StripeSettings:
    for name, key in (("api", api), ("signing", signing)):
        (directory / name).write_text(key + "\n")
    return StripeSettings(
        mode="live" if mode == "live" else "test",
        api_key_file=str(directory / "api"),
        signing_secret_file=str(directory / "signing"),
    )


@pytest.mark.parametrize(
    ("mode", "api", "name"),
    [("test", "sk_test_1", "stripe-test"), ("live", "rk_live_1", "stripe")],
)
def test_keys_are_read_from_files(tmp_path: Path, mode: str, api: str, name: str) -> None:
    assert stripe_of(settings(tmp_path, mode, api, "whsec_1")).name == name


@pytest.mark.parametrize(
    ("mode", "api", "signing", "told"),
    [
        ("test", "sk_live_1", "whsec_1", r"allowed|holds no sk_test_... or rk_test_..."),
        ("live", "sk_test_1", "whsec_1", r"holds no sk_live_... or rk_live_..."),
        ("test", "sk_test_1", "sk_test_1", r"signing_secret_file: .* holds no whsec_"),
        ("test", "", "whsec_1", r"api_key_file: .* holds no"),
    ],
)
def test_keys_of_the_other_mode_are_refused_and_not_shown(
    tmp_path: Path, mode: str, api: str, signing: str, told: str
) -> None:
    with pytest.raises(InvalidInput, match=told) as refused:
        stripe_of(settings(tmp_path, mode, api, signing))
    assert not api or f"{api} " not in f"{refused.value} "


def test_a_key_that_is_not_there_is_told(tmp_path: Path) -> None:
    missing = StripeSettings(api_key_file=str(tmp_path / "nowhere"), signing_secret_file="x")
    with pytest.raises(InvalidInput, match=r"stripe.api_key_file: .*nowhere cannot be read"):
        stripe_of(missing)
    with pytest.raises(InvalidInput, match=r"stripe.api_key_file: allowed with mode test"):
        stripe_of(StripeSettings())
