"""PDFs: the same octets each time, readable as text, with glyphs for every language."""

import io

import pypdf
import pytest

from billing.documents import content, typesetting
from billing.documents.content import Content, made_at
from billing.entities.entity import LANGUAGES
from tests.billing.documents import making


def text_of(pdf: bytes) -> str:
    reader = pypdf.PdfReader(io.BytesIO(pdf))
    return "\n".join(page.extract_text() for page in reader.pages)


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_invoice_is_the_same_octets_each_time_and_all_its_glyphs_are_there(
    language: str,
) -> None:
    made = content.of_invoice(making.invoice(language))
    pdf = typesetting.pdf("document", made, made_at(made))
    assert pdf == typesetting.pdf("document", made, made_at(made))
    text = text_of(pdf)
    assert "INV-2026-00042" in text
    assert "\ufffd" not in text
    if language == "ar":
        # Shaped letters come back in their presentation or base forms; count Arabic ones.
        assert (
            sum("\u0600" <= each <= "\u06ff" or "\ufb50" <= each <= "\ufefc" for each in text) > 60
        )


@pytest.mark.parametrize(
    ("template", "made", "expected"),
    [
        ("document", content.of_credit_note(making.credit_note("de")), "Rechnungskorrektur"),
        ("document", content.of_receipt(making.receipt("fr")), "Reçu"),
        ("document", content.of_statement(making.statement()), "Closing balance"),
        ("vouchers", content.of_vouchers(making.vouchers()), "K7QD-94TR-XH2M-P3AZ"),
    ],
)
def test_the_other_documents_can_be_read(
    template: typesetting.Template, made: Content, expected: str
) -> None:
    assert expected in text_of(typesetting.pdf(template, made, made_at(made)))


def test_a_long_document_has_pages_and_a_picture_of_each() -> None:
    made = content.of_invoice(making.invoice())
    made["rows"] = made["rows"] * 30
    pictures = typesetting.picture("document", made, ppi=30)
    assert len(pictures) > 2
    assert all(picture.startswith(b"\x89PNG") for picture in pictures)
