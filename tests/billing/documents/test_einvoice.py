"""E-invoices pass the schematron of EN 16931 and of Factur-X, and are exact to the cent."""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import facturx
import msgspec
import pytest
from saxonche import PySaxonProcessor

from billing.documents import einvoice
from billing.documents.einvoice import Syntax
from billing.errors import Conflict
from billing.invoices.invoice import Kind
from billing.taxes.rate import AppliedRate, TaxCode
from tests.billing.documents import making

_RULES = Path(facturx.__file__).parent / "xsd_and_schematron"
RULES = {
    "cii": _RULES / "facturx-en16931" / "FACTUR-X_EN16931.xslt",
    "ubl": _RULES / "ubl-2.1" / "EN16931-UBL-validation.xslt",
}

ZERO = AppliedRate("VAT", "GB", "zero", 0, code=TaxCode.ZERO)
EXEMPT = AppliedRate("VAT", "DE", "x", 0, code=TaxCode.EXEMPT, reason="Embassy")
REVERSE = AppliedRate("VAT", "FR", "x", 0, code=TaxCode.REVERSE_CHARGE, reason="Reverse charge")


@pytest.fixture(scope="module")
def rules() -> Iterator[Any]:
    """What is wrong with an e-invoice, by the rules of its syntax."""
    with PySaxonProcessor(license=False) as processor:
        compiled: dict[str, Any] = {
            syntax: processor.new_xslt30_processor().compile_stylesheet(stylesheet_file=str(path))
            for syntax, path in RULES.items()
        }

        def faults(xml: bytes, syntax: Syntax) -> list[str]:
            node = processor.parse_xml(xml_text=xml.decode())
            report = ElementTree.fromstring(
                compiled[syntax].transform_to_string(xdm_node=node).encode()
            )
            return [
                "".join(each.itertext()).strip()
                for each in report.iter("{http://purl.oclc.org/dsdl/svrl}failed-assert")
            ]

        yield faults


def documents() -> list[einvoice.Terms]:
    abroad = msgspec.structs.replace(making.BUYER, tax_id="FR12345678901")
    reverse = msgspec.structs.replace(making.invoice(rate=REVERSE), buyer=abroad)
    return [
        einvoice.invoice_terms(making.invoice("de"), 10_000_000),
        einvoice.invoice_terms(making.invoice(inclusive=True)),
        einvoice.invoice_terms(making.invoice(rate=ZERO)),
        einvoice.invoice_terms(making.invoice(rate=EXEMPT)),
        einvoice.invoice_terms(reverse),
        einvoice.credit_note_terms(making.credit_note()),
    ]


@pytest.mark.parametrize("syntax", ["cii", "ubl"])
def test_e_invoices_pass_schema_and_schematron(rules: Any, syntax: Syntax) -> None:
    for terms in documents():
        assert rules(einvoice.xml(dict(terms), syntax), syntax) == []


def test_the_rules_find_a_wrong_cent(rules: Any) -> None:
    terms = einvoice.invoice_terms(making.invoice())
    terms["BT-112"] = str(Decimal(terms["BT-112"]) + Decimal("0.01"))
    assert any("BR-CO-15" in fault for fault in rules(einvoice.xml(terms, "cii"), "cii"))


@pytest.mark.parametrize("syntax", ["cii", "ubl"])
def test_amounts_are_exact_to_the_cent(syntax: Syntax) -> None:
    for terms in documents():
        lines = sum(Decimal(line["BT-131"]) for line in terms["BG-25"])
        taxes = sum(Decimal(group["BT-117"]) for group in terms["BG-23"])
        assert lines == Decimal(terms["BT-109"])
        assert taxes == Decimal(terms["BT-110"])
        assert lines + taxes == Decimal(terms["BT-112"])
        text = einvoice.xml(dict(terms), syntax).decode()
        for term in ("BT-109", "BT-110", "BT-112", "BT-115"):
            assert f">{terms[term]}<" in text, term


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"kind": Kind.PROFORMA}, "has no e-invoice"),
        ({"number": None}, "has no e-invoice"),
        ({"currency": "BHD"}, "allows two decimals"),
    ],
)
def test_what_the_standard_cannot_express_is_refused(change: dict[str, Any], told: str) -> None:
    with pytest.raises(Conflict, match=told):
        einvoice.invoice_terms(msgspec.structs.replace(making.invoice(), **change))


def test_a_line_with_two_taxes_is_refused() -> None:
    invoice = making.invoice()
    line = msgspec.structs.replace(invoice.lines[0], taxes=invoice.lines[0].taxes * 2)
    with pytest.raises(Conflict, match="line 1 has 2 taxes"):
        einvoice.invoice_terms(msgspec.structs.replace(invoice, lines=(line,)))
    assert date(2026, 4, 1) == invoice.issued_on
