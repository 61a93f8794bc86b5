"""What a legal entity is: what stands on its documents, and how they are made. Pure."""

import enum
import re
import string
from typing import Annotated, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta

from billing.errors import InvalidInput
from billing.taxes.rate import RoundingRule
from billing.taxes.treatment import TaxParty

#: The languages that documents and mails can be in.
LANGUAGES: Final = ("en", "de", "fr", "ar")

MAIN: Final = "main"

Text = Annotated[str, Meta(max_length=200)]
Required = Annotated[str, Meta(min_length=1, max_length=200)]
Country = Annotated[str, Meta(pattern="^[A-Z]{2}$", description="an ISO 3166 code such as DE")]

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_COLOUR: Final = re.compile(r"#[0-9a-f]{6}")
_IBAN: Final = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}")
_BIC: Final = re.compile(r"[A-Z]{6}[A-Z0-9]{2}([A-Z0-9]{3})?")
_DIGITS: Final = re.compile(r"0?[1-9]|1[0-2]|")


class PrepaidDocuments(enum.StrEnum):
    """What a prepaid account is given as its tax document: for what it used, or what it put in."""

    CONSUMPTION = "consumption"
    TOPUP = "topup"


class Address(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A postal address. `street` may have several lines."""

    street: Text
    city: Text
    postcode: Text
    country: Country
    region: Text = ""


class NumberFormats(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How numbers are written: {year} is the year, {number} or {number:05} the number in it."""

    invoice: Text = "INV-{year}-{number:05}"
    credit_note: Text = "CN-{year}-{number:05}"
    proforma: Text = "PRO-{year}-{number:05}"
    statement: Text = "ST-{year}-{number:05}"


class Entity(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A legal entity. `jurisdiction` None: it taxes nothing.

    `prices_include_tax` is of what is asked for by invoice. What a prepaid account is charged
    always includes tax, since no document may move its balance.
    `mail_invoices`: what billing runs and dunning issue is mailed to customers who have an address.
    `logo` is the text of an SVG file. Creating one that cannot be raises InvalidInput.
    """

    entity: str = MAIN
    name: Required
    address: Address
    jurisdiction: str | None = None
    tax_category: str = "standard"
    tax_id: Text = ""
    tax_number: Text = ""
    registration: Text = ""
    email: Text = ""
    phone: Text = ""
    website: Text = ""
    bank: Text = ""
    iban: Text = ""
    bic: Text = ""
    language: str = "en"
    time_zone: str = "UTC"
    tax_rounding: RoundingRule = RoundingRule.DOCUMENT
    prices_include_tax: bool = False
    prepaid_documents: PrepaidDocuments = PrepaidDocuments.CONSUMPTION
    mail_invoices: bool = True
    numbers: NumberFormats = NumberFormats()
    colour: str = "#1f4e79"
    logo: Annotated[str, Meta(max_length=200_000)] = ""
    footer: Annotated[str, Meta(max_length=500)] = ""

    def __post_init__(self) -> None:
        faults = self._faults()
        if faults:
            raise InvalidInput(f"entity {self.entity!r}: " + "; ".join(faults))

    def _faults(self) -> list[str]:
        faults: list[str] = []
        if not _NAME.fullmatch(self.entity):
            faults.append("entity: allowed are up to 32 of a-z 0-9 -")
        if self.language not in LANGUAGES:
            faults.append(f"language {self.language!r}: allowed are {', '.join(LANGUAGES)}")
        if not _is_zone(self.time_zone):
            faults.append(f"time_zone {self.time_zone!r}: allowed is one such as Europe/Berlin")
        if not _COLOUR.fullmatch(self.colour):
            faults.append(f"colour {self.colour!r}: allowed is one such as #1f4e79")
        if self.iban and not is_iban(self.iban):
            faults.append(f"iban {self.iban!r}: its check digits are wrong")
        if self.bic and not _BIC.fullmatch(self.bic):
            faults.append(f"bic {self.bic!r}: allowed are 8 or 11 letters and digits")
        if self.logo and "<svg" not in self.logo:
            faults.append("logo: allowed is the text of an SVG file")
        for name in NumberFormats.__struct_fields__:
            fault = format_fault(getattr(self.numbers, name))
            if fault:
                faults.append(f"numbers.{name}: {fault}")
        return faults

    @property
    def zone(self) -> ZoneInfo:
        """The zone whose days its documents are dated in."""
        return ZoneInfo(self.time_zone)

    @property
    def tax_party(self) -> TaxParty:
        """The entity as taxes see it."""
        return TaxParty(
            self.address.country, self.jurisdiction, self.tax_category, self.tax_id or None
        )


def format_fault(text: str) -> str | None:
    """Return what is wrong with the format of numbers, or None."""
    try:
        fields = list(string.Formatter().parse(text))
    except ValueError as error:
        return f"{text!r}: {error}"
    names = [name for _, name, _, _ in fields if name is not None]
    odd = any(
        name not in ("year", "number")
        or conversion is not None
        or (spec and (name == "year" or not _DIGITS.fullmatch(spec)))
        for _, name, spec, conversion in fields
        if name is not None
    )
    if odd or names.count("number") != 1 or names.count("year") != 1:
        return (
            f"{text!r}: allowed is a text with {{year}} and {{number}} once each, the latter also"
            " with digits: {number:05}"
        )
    return None


def is_iban(text: str) -> bool:
    """Return whether a text is an IBAN with right check digits (ISO 13616, mod 97)."""
    if not _IBAN.fullmatch(text):
        return False
    return int("".join(str(int(each, 36)) for each in text[4:] + text[:4])) % 97 == 1


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True
