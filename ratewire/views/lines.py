"""The lines of a charge, in words."""

from rating.charge import Line, LineKind
from rating.money import format_micros


def told(line: Line, currency: str) -> str:
    """Return a line of an explanation in words: what was used, what of it is billed, the price."""
    amount = format_micros(line.amount_micros, currency)
    if line.kind is LineKind.ALLOWANCE:
        what = "micros" if line.counter is None else line.counter
        return (
            f"{line.units:,} {what} of allowance {line.allowance},"
            f" {line.left_after:,} left = {amount}"
        )
    if line.kind is not LineKind.USAGE:
        return f"{line.kind.value.replace('_', ' ')} = {amount}"
    steps = "" if line.billed_units == line.units else f" billed as {line.billed_units:,}"
    covered = f" ({line.covered_units:,} by allowances)" if line.covered_units else ""
    bands = f" in {', '.join(line.bands)}" if line.bands else ""
    price = format_micros(line.price_micros, currency)
    per = "each" if line.per_units == 1 else f"per {line.per_units:,}"
    return f"{line.units:,} {line.counter}{bands}{steps}{covered} at {price} {per} = {amount}"
