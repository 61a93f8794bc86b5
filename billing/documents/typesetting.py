"""Making PDFs and pictures by typst, from a template and the content of a document.

The same content gives the same octets: the fonts are the package's own, and the time in the file is
that of the document.
"""

import json
import threading
from collections.abc import Mapping
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any, Final, Literal

import fontpkg_ibm_plex_sans_arabic as plex
import typst

_ROOT: Final = Path(str(resources.files(__package__ or ""))) / "templates"
_FONTS: Final = [Path(str(plex.__file__)).parent / "files"]

#: A compiler reads its fonts once, and is one thread's.
_own = threading.local()

Template = Literal["document", "vouchers"]


def pdf(template: Template, content: Mapping[str, Any], at: datetime, *, cii: bytes = b"") -> bytes:
    """Return a PDF/A-3b of a document made at a time, with its CII attached if there is one.

    Raises typst.TypstError: a bug.
    """
    return _compile(template, content, cii, format="pdf", pdf_standards=["a-3b"], timestamp=at)


def picture(template: Template, content: Mapping[str, Any], *, ppi: float = 110) -> list[bytes]:
    """Return the pages of a document as PNG."""
    made: bytes | list[bytes] = _compile(template, content, format="png", ppi=ppi)
    return [made] if isinstance(made, bytes) else made


def _compile(
    template: Template, content: Mapping[str, Any], cii: bytes = b"", **options: Any
) -> Any:
    compiler = getattr(_own, "compiler", None)
    if compiler is None:
        compiler = typst.Compiler(root=_ROOT, font_paths=_FONTS, ignore_system_fonts=True)
        _own.compiler = compiler
    inputs = {"data": json.dumps(content), "cii": cii.decode()}
    return compiler.compile(_ROOT / f"{template}.typ", sys_inputs=inputs, **options)
