"""A Factur-X is the PDF that typst made, its very CII, and metadata that name both."""

import io
from typing import Any
from xml.etree import ElementTree

import facturx
import pypdf
import pytest

from billing.documents import content, einvoice, hybrid
from billing.entities.entity import LANGUAGES
from tests.billing.documents import making

FX = "{urn:factur-x:pdfa:CrossIndustryDocument:invoice:1p0#}"
PDFA = "{http://www.aiim.org/pdfa/ns/id/}"


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_factur_x_holds_the_very_cii_and_says_so(language: str) -> None:
    invoice = making.invoice(language)
    made = content.of_invoice(invoice)
    cii = einvoice.xml(einvoice.invoice_terms(invoice), "cii")
    octets = hybrid.pdf(made, cii, content.made_at(made))
    assert octets == hybrid.pdf(made, cii, content.made_at(made))
    name, inside = facturx.get_facturx_xml_from_pdf(io.BytesIO(octets), check_xsd=True)
    assert (name, inside) == ("factur-x.xml", cii)
    reader = pypdf.PdfReader(io.BytesIO(octets), strict=True)
    root: Any = reader.trailer["/Root"].get_object()
    [attached] = root["/AF"]
    assert attached["/AFRelationship"] == "/Alternative"
    assert "INV-2026-00042" in reader.pages[0].extract_text()
    xmp = ElementTree.fromstring(root["/Metadata"].get_object().get_data())
    told = {each.tag: each.text for each in xmp.iter() if each.tag.startswith((FX, PDFA))}
    assert told == {
        f"{FX}DocumentType": "INVOICE",
        f"{FX}DocumentFileName": "factur-x.xml",
        f"{FX}Version": "1.0",
        f"{FX}ConformanceLevel": "EN 16931",
        f"{PDFA}part": "3",
        f"{PDFA}conformance": "B",
    }
    schemas = [each.text for each in xmp.iter() if each.tag.endswith("}namespaceURI")]
    assert FX.strip("{}") in schemas
