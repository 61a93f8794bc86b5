"""Money as integer micros, the currencies it may be in, and the named roundings.

One micro is 10^-6 of the currency unit: EUR 2.00 is 2_000_000 micros. Micros, not minor units, so
that a price per octet is representable; what is smaller than a minor unit is rounded only when a
document is written.
"""

import enum
import re

MICROS_PER_UNIT = 1_000_000

#: The store computes with doubles, which are exact for integers up to 2^53.
MAX_MICROS = 2**53 - 1

_AMOUNT = re.compile(r"([+-]?)([0-9]{1,10})(?:\.([0-9]{1,6}))?")

# ISO 4217, active codes; the exponent is the number of decimals of the minor unit.
_EXPONENT_0 = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"
_EXPONENT_3 = "BHD IQD JOD KWD LYD OMR TND"
_EXPONENT_2 = (
    "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD "
    "CAD CDF CHF CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP "
    "GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD "
    "LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB "
    "PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC "
    "SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW "
    "ZWG "
)

#: Currency code -> decimals of its minor unit.
EXPONENTS: dict[str, int] = {
    code: exponent
    for codes, exponent in ((_EXPONENT_0, 0), (_EXPONENT_2, 2), (_EXPONENT_3, 3))
    for code in codes.split()
}


class AmountError(ValueError):
    """A text that is not an amount of money; the message says what is allowed."""


class Rounding(enum.Enum):
    """How a division of money is rounded to an integer."""

    DOWN = "towards zero"
    UP = "away from zero"
    HALF_UP = "to the nearest, halves away from zero"


# Python 3.11 takes 0.1 microseconds to find a member in its class: too long for what is done for
# every record. Other hot modules name their members likewise.
_UP, _HALF_UP = Rounding.UP, Rounding.HALF_UP


def divide(numerator: int, denominator: int, rounding: Rounding) -> int:
    """Return numerator / denominator as an integer, rounded as named.

    The denominator must be positive. All roundings are symmetric about zero, so that a refund
    rounds as the charge did.
    """
    assert denominator > 0, denominator
    magnitude = abs(numerator)
    if rounding is _HALF_UP:
        quotient = (2 * magnitude + denominator) // (2 * denominator)
    elif rounding is _UP:
        quotient = -(-magnitude // denominator)
    else:
        quotient = magnitude // denominator
    return quotient if numerator >= 0 else -quotient


def parse_amount(text: str) -> int:
    """Return the micros of a decimal amount such as "12.50" or "-0.000001".

    Raises AmountError for anything else: exponents, thousands separators, more than six decimals
    (which would have to be rounded silently), or more than ten digits before the point.
    """
    match = _AMOUNT.fullmatch(text.strip())
    if match is None:
        raise AmountError(
            f"{text!r} is not an amount: write digits with a decimal point and at most six"
            " decimals, for example 12.50"
        )
    sign, units, decimals = match.groups()
    micros = int(units) * MICROS_PER_UNIT + int((decimals or "").ljust(6, "0"))
    if micros > MAX_MICROS:
        raise AmountError(f"{text!r} is too large: at most {format_micros(MAX_MICROS)}")
    return -micros if sign == "-" else micros


def format_micros(micros: int, currency: str | None = None) -> str:
    """Return an exact decimal text: at least the currency's decimals, more only if they are needed.

    Without a currency two decimals are the least. `format_micros(2_500_000, "EUR")` is "2.50".
    """
    least = 2 if currency is None else EXPONENTS[currency]
    units, rest = divmod(abs(micros), MICROS_PER_UNIT)
    decimals = f"{rest:06d}".rstrip("0").ljust(least, "0")
    sign = "-" if micros < 0 else ""
    return f"{sign}{units}.{decimals}" if decimals else f"{sign}{units}"
