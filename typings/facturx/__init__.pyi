# What we use of it.
from typing import IO, Any

def generate_xml(
    data_dict: dict[str, Any],
    flavor: str = ...,
    level: str = ...,
    check_xsd: bool = ...,
    check_schematron: bool | str = ...,
) -> bytes: ...
def generate_from_binary(
    pdf_file: bytes,
    xml: bytes,
    flavor: str = ...,
    level: str = ...,
    *,
    check_xsd: bool = ...,
    check_schematron: bool = ...,
    pdf_metadata: dict[str, str] | None = ...,
    lang: str | None = ...,
    afrelationship: str = ...,
) -> bytes: ...
def get_facturx_xml_from_pdf(
    pdf_file: IO[bytes], check_xsd: bool = ..., check_schematron: bool = ...
) -> tuple[str, bytes]: ...
