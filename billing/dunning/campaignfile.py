"""Campaign files: TOML as people write it, to a campaign.

    name = "standard"
    hour = 9
    never_on = [6, 7]
    holidays = [2026-12-25]
    threshold = { EUR = "5.00" }
    restore = { EUR = "1.00" }

    [[step]]
    after_days = 10
    action = "late-fee"
    fee = { EUR = "5.00" }

    [[step]]
    after_days = 14
    action = "suspend"

Actions are remind, late-fee, throttle (with a `plan`), suspend, reactivation-fee and terminate. A
fee is an amount by currency, or `fee_percent` of what is overdue.
"""

import tomllib
from datetime import date
from pathlib import Path

import msgspec

from billing.dunning.campaign import Action, Campaign, Step
from billing.errors import InvalidInput
from billing.offers.offerfile import percent
from rating.money import AmountError, parse_amount


class _Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    after_days: int
    action: Action
    fee: dict[str, str] = {}
    fee_percent: str | None = None
    plan: str | None = None
    template: str = ""


class _Campaign(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    step: tuple[_Step, ...]
    hour: int = 9
    never_on: tuple[int, ...] = (6, 7)
    holidays: frozenset[date] = frozenset()
    threshold: dict[str, str] = {}
    restore: dict[str, str] = {}


def read_campaign(path: Path) -> Campaign:
    """Return the campaign of a file. Raises InvalidInput."""
    try:
        return parse_campaign(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, InvalidInput) as error:
        raise InvalidInput(f"{path}: {error}") from error


def parse_campaign(text: str) -> Campaign:
    """Return the campaign of a text. Raises InvalidInput, or tomllib.TOMLDecodeError."""
    try:
        table = msgspec.convert(tomllib.loads(text), _Campaign)
        return Campaign(
            name=table.name,
            steps=tuple(
                Step(
                    each.after_days,
                    each.action,
                    _amounts(each.fee),
                    None if each.fee_percent is None else percent(each.fee_percent),
                    each.plan,
                    each.template,
                )
                for each in table.step
            ),
            threshold_micros=_amounts(table.threshold),
            restore_micros=_amounts(table.restore),
            hour=table.hour,
            never_on=table.never_on,
            holidays=table.holidays,
        )
    except (msgspec.ValidationError, AmountError) as error:
        raise InvalidInput(str(error)) from error


def _amounts(texts: dict[str, str]) -> dict[str, int]:
    return {currency: parse_amount(text) for currency, text in texts.items()}
