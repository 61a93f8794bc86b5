"""Reading a bank file in whichever format it is. Pure."""

from billing.reconciliation import camt, mt940, ofx, table
from billing.reconciliation.statement import MAX_LINES, BankLine, Fault, Format, Unreadable
from billing.reconciliation.table import CsvFormat

#: Where a format shows itself.
_BEGINNING = 4096


def format_of(content: bytes, name: str) -> Format:
    """Return the format of a file that is not CSV. Raises Unreadable if it is none that we know."""
    beginning = content[:_BEGINNING].removeprefix(b"\xef\xbb\xbf").lstrip()
    if b"<OFX" in beginning or beginning.startswith((b"OFXHEADER", b"<?OFX")):
        return Format.OFX
    if beginning.startswith(b"<"):
        return Format.CAMT
    if b":20:" in beginning:
        return Format.MT940
    allowed = "CAMT.053, CAMT.054, MT940 and OFX, and CSV if its columns are told"
    raise Unreadable(name, [Fault("its beginning", f"no known format; allowed are {allowed}")])


def read(content: bytes, name: str, written: CsvFormat | None) -> tuple[Format, list[BankLine]]:
    """Return the format and the lines of a file; with `written` it is CSV that is written so.

    Raises Unreadable with all that is wrong in it.
    """
    found = Format.CSV if written is not None else format_of(content, name)
    if written is not None:
        lines = table.read(content, name, written)
    else:
        readers = {Format.CAMT: camt.read, Format.MT940: mt940.read, Format.OFX: ofx.read}
        lines = readers[found](content, name)
    if len(lines) > MAX_LINES:
        fault = Fault("its end", f"it has {len(lines)} lines; allowed are {MAX_LINES}")
        raise Unreadable(name, [fault])
    return found, lines
