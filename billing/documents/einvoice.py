"""Invoices and credit notes as EN 16931 has them: UBL, CII, and Factur-X. Pure.

The data are the terms of the standard by their numbers (BT-1: invoice number), which the library
factur-x writes in either syntax and checks against its schema. Amounts go there as exact texts.
"""

from collections.abc import Iterable
from datetime import date
from typing import Any, Final, Literal

from billing.credit_notes.credit import CreditNote
from billing.documents.wording import decimal_text
from billing.entities.entity import Address, Entity
from billing.errors import Conflict
from billing.invoices.invoice import Buyer, Invoice, Kind
from billing.invoices.line import ONE, Line
from billing.taxes.calculation import RateTotal
from billing.taxes.rate import AppliedRate, TaxCode, format_percent
from rating.money import EXPONENTS, Rounding, divide, format_micros

Syntax = Literal["cii", "ubl"]
Terms = dict[str, Any]

_PROFILE: Final = "urn:cen.eu:en16931:2017"
_FLAVOURS: Final = {"cii": "factur-x", "ubl": "ubl-2.1"}

#: UNTDID 1001: commercial invoice, credit note. UNTDID 4461: SEPA credit transfer, credit transfer,
#: and "instrument not defined".
_INVOICE, _CREDIT_NOTE = "380", "381"
_SEPA, _TRANSFER, _UNDEFINED = "58", "30", "1"

#: BR-DEC of the standard: amounts have at most two decimals.
_MOST_DECIMALS: Final = 2


def invoice_terms(invoice: Invoice, applied_micros: int = 0) -> Terms:
    """Return an invoice's terms. Raises Conflict if the standard cannot express it."""
    if invoice.kind not in (Kind.INVOICE, Kind.CONSUMPTION, Kind.TOPUP) or not invoice.number:
        raise Conflict(f"a {invoice.kind} that is {invoice.status} has no e-invoice")
    assert invoice.issued_on is not None
    paid = invoice.total_micros if invoice.kind.settled_before else applied_micros
    due = invoice.total_micros - paid
    terms = {
        **_common(invoice.seller, invoice.buyer, invoice.currency),
        **_totals(invoice.net_micros, invoice.tax_micros, paid, invoice.currency),
        "BT-1": invoice.number,
        "BT-2": invoice.issued_on,
        "BT-3": _INVOICE,
        "BT-72": invoice.tax_point,
        "BT-10": invoice.reference or invoice.account,
        "BG-23": _breakdown(invoice.taxes, invoice.currency),
        "BG-25": [_line(line, invoice.currency) for line in invoice.lines],
    }
    if invoice.note:
        terms["BG-1"] = [{"BT-22": invoice.note}]
    if due and invoice.due_on:
        terms["BT-9"] = invoice.due_on
        terms["BT-20"] = f"Due on {invoice.due_on.isoformat()}"
    terms |= _period_terms("BT-73", "BT-74", invoice.period_from, invoice.period_until)
    terms |= _payment(invoice.seller, invoice.number, invoice.currency, due)
    return terms


def credit_note_terms(note: CreditNote) -> Terms:
    """Return a credit note's terms; its amounts are positive, as the standard wants them."""
    return {
        **_common(note.seller, note.buyer, note.currency),
        **_totals(note.net_micros, note.tax_micros, 0, note.currency),
        "BT-1": note.number,
        "BT-2": note.issued_on,
        "BT-3": _CREDIT_NOTE,
        "BT-72": note.invoice_issued_on,
        "BT-10": note.account,
        "BT-20": note.reason,
        "BG-1": [{"BT-22": note.reason}],
        "BG-3": [{"BT-25": note.invoice_number, "BT-26": note.invoice_issued_on}],
        "BG-23": _breakdown(note.taxes, note.currency),
        "BG-25": [
            {
                "BT-126": str(line.line),
                "BT-153": line.description,
                **_quantity(ONE, line.net_micros, "C62"),
                "BT-131": decimal_text(line.net_micros, note.currency),
                **_line_vat([tax.rate for tax in line.taxes], line.line),
            }
            for line in note.lines
        ],
        **_payment(note.seller, note.number, note.currency, 0),
    }


def xml(terms: Terms, syntax: Syntax) -> bytes:
    """Return the terms in a syntax, checked against its schema."""
    # Here, not above: it takes as long to import as all else together, in each process of `serve`.
    import facturx

    return facturx.generate_xml(
        terms, flavor=_FLAVOURS[syntax], level="en16931", check_xsd=True, check_schematron=False
    )


def _common(seller: Entity, buyer: Buyer, currency: str) -> Terms:
    if EXPONENTS[currency] > _MOST_DECIMALS:
        raise Conflict(f"EN 16931 allows two decimals, and {currency} has {EXPONENTS[currency]}")
    party: Terms = {
        "name": seller.name,
        **_address(seller.address),
        "contacts": [{"name": seller.name, "phone": seller.phone, "email": seller.email}],
    }
    if seller.registration:
        party["legal_info"] = seller.registration
    if seller.tax_id:
        party["vat_identifier"] = seller.tax_id
    if seller.tax_number:
        party["tax_identifier"] = seller.tax_number
    if seller.email:
        party |= {"einvoicing_addr": seller.email, "einvoicing_addr_schemeid": "EM"}
    customer: Terms = {
        "name": buyer.name,
        **_address(buyer.address or Address("", "", "", seller.address.country)),
    }
    if buyer.tax_id:
        customer["vat_identifier"] = buyer.tax_id
    if buyer.email:
        customer |= {"einvoicing_addr": buyer.email, "einvoicing_addr_schemeid": "EM"}
    return {"BT-5": currency, "BT-24": _PROFILE, "BG-4": _filled(party), "BG-7": _filled(customer)}


def _filled(party: Terms) -> Terms:
    """A party without what is empty."""
    contacts = [
        {key: text for key, text in contact.items() if text}
        for contact in party.get("contacts", [])
    ]
    return party | ({"contacts": contacts} if contacts else {})


def _address(address: Address) -> Terms:
    street = address.street.split("\n")
    terms = {
        "addr_l1": street[0],
        "addr_l2": " ".join(street[1:]),
        "city": address.city,
        "postcode": address.postcode,
        "country_subdivision": address.region,
        "country_code": address.country,
    }
    return {key: text for key, text in terms.items() if text}


def _totals(net: int, tax: int, paid: int, currency: str) -> Terms:
    amounts = {
        "BT-106": net,
        "BT-109": net,
        "BT-110": tax,
        "BT-112": net + tax,
        "BT-115": net + tax - paid,
    }
    if paid:
        amounts["BT-113"] = paid
    return {term: decimal_text(micros, currency) for term, micros in amounts.items()}


def _breakdown(taxes: Iterable[RateTotal], currency: str) -> list[Terms]:
    found: list[Terms] = []
    for total in taxes:
        terms = {
            "BT-116": decimal_text(total.base_micros, currency),
            "BT-117": decimal_text(total.tax_micros, currency),
            "BT-118": total.rate.code.value,
            **_percent("BT-119", total.rate),
        }
        if total.rate.reason:
            terms["BT-120"] = total.rate.reason
        found.append(terms)
    return found


def _line(line: Line, currency: str) -> Terms:
    # What a price is without its tax, the line's net says best; discounts stand beside a net price.
    net_price = line.inclusive or not line.quantity_micros
    before = line.net_micros if net_price else line.amount_micros
    quantity = line.quantity_micros or ONE
    price = divide(before * ONE, quantity, Rounding.HALF_UP)
    if not net_price:
        price = line.unit_price_micros
    terms = {
        "BT-126": str(line.line),
        "BT-153": line.description,
        **_quantity(quantity, price, line.unit),
        "BT-131": decimal_text(line.net_micros, currency),
        **_line_vat([tax.rate for tax in line.taxes], line.line),
        **_period_terms("BT-134", "BT-135", line.service_from, line.service_until),
    }
    if line.discount_micros and not net_price:
        terms["BG-27"] = [
            {
                "amount": decimal_text(line.discount_micros, currency),
                "base_amount": decimal_text(line.amount_micros, currency),
                "reason": line.discount_reason or "Discount",
            }
        ]
    return terms


def _quantity(quantity_micros: int, price_micros: int, unit: str) -> Terms:
    """A quantity at a price; no price is negative there (BR-27), so the quantity is."""
    sign = -1 if price_micros < 0 else 1
    return {
        "BT-129": format_micros(sign * quantity_micros),
        "BT-130": unit,
        "BT-146": format_micros(sign * price_micros),
    }


def _line_vat(rates: list[AppliedRate], number: int) -> Terms:
    if len(rates) != 1:
        raise Conflict(f"line {number} has {len(rates)} taxes, and EN 16931 allows one")
    return {"BT-151": rates[0].code.value, **_percent("BT-152", rates[0])}


def _percent(term: str, rate: AppliedRate) -> Terms:
    return {} if rate.code is TaxCode.OUTSIDE else {term: format_percent(rate.ppm)}


def _period_terms(first: str, last: str, since: date | None, until: date | None) -> Terms:
    if since is None or until is None:
        return {}
    return {first: since, last: date.fromordinal(until.toordinal() - 1)}


def _payment(seller: Entity, number: str, currency: str, due_micros: int) -> Terms:
    if not due_micros or not seller.iban:
        return {"BT-81": _UNDEFINED}
    terms = {
        "BT-81": _SEPA if currency == "EUR" else _TRANSFER,
        "BT-83": number,
        "BT-84": seller.iban,
        "BT-85": seller.name,
    }
    return terms | ({"BT-86": seller.bic} if seller.bic else {})
