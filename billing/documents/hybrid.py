"""Factur-X: a PDF/A-3 with its CII attached, and metadata that say so. Pure.

Typst attaches the file; what it cannot write is the part of the XMP metadata that Factur-X asks
for. So the metadata follow as an incremental update (ISO 32000-1, 7.5.6): all octets of typst's
stay, and behind them come the new metadata, a cross-reference section of one entry, and a trailer.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from importlib import resources
from typing import Any, Final

from billing.documents import typesetting

_TEMPLATES: Final = resources.files(__package__ or "") / "templates"
_SCHEMA: Final = (_TEMPLATES / "factur-x-schema.xml").read_bytes()
_TERMS: Final = (_TEMPLATES / "factur-x-terms.xml").read_bytes()

_METADATA: Final = re.compile(
    rb"(\d+) 0 obj\n<</Length \d+/Type/Metadata/Subtype/XML>>\nstream\n(.*?)\nendstream", re.DOTALL
)
_END: Final = re.compile(rb"trailer\n<<(.*)>>\nstartxref\n(\d+)\n%%EOF\s*\Z", re.DOTALL)

#: Where the schemas that a file adds to XMP end, and where all of its metadata do.
_SCHEMAS_END: Final = b"</rdf:Bag></pdfaExtension:schemas>"
_ALL_END: Final = b"</rdf:RDF>"


def pdf(content: Mapping[str, Any], cii: bytes, at: datetime) -> bytes:
    """Return a Factur-X, profile EN 16931, of a document made at a time, with its CII in it.

    The same arguments give the same octets.
    """
    made = typesetting.pdf("document", content, at, cii=cii)
    metadata, end = _METADATA.search(made), _END.search(made, len(made) - 1024)
    # A new version of typst might write them otherwise: the tests read what is made.
    assert metadata is not None, "a PDF/A has metadata"
    assert end is not None, "a PDF ends with its trailer"
    xmp = _inserted(_inserted(metadata[2], _SCHEMAS_END, _SCHEMA), _ALL_END, _TERMS)
    head = b"\n%s 0 obj\n<</Length %d/Type/Metadata/Subtype/XML>>\nstream\n"
    update = head % (metadata[1], len(xmp)) + xmp + b"\nendstream\nendobj\n"
    section = b"xref\n%s 1\n%010d 00000 n\r\ntrailer\n<<%s/Prev %s>>\nstartxref\n%d\n%%%%EOF\n"
    # The object begins behind the line's end that parts it from typst's.
    section %= (metadata[1], len(made) + 1, end[1], end[2], len(made) + len(update))
    return made + update + section


def _inserted(text: bytes, before: bytes, more: bytes) -> bytes:
    assert text.count(before) == 1, before
    return text.replace(before, more + before)
