"""OFX, version 1 (SGML, whose values have no end tags) and 2 (XML). Pure."""

import re
from datetime import date
from typing import Final

from lxml import etree

from billing.reconciliation.markup import children, document, words
from billing.reconciliation.statement import (
    BankLine,
    Fault,
    Refusal,
    Unreadable,
    micros_of,
    tidy,
)

_BEGINNING: Final = re.compile(r"<([A-Z0-9.]+)>([^<]*)(?!</\1>)(?=<)")
_END: Final = re.compile(r"</([A-Z0-9.]+)>")
_BARE: Final = re.compile(r"&(?!(?:amp|lt|gt|quot|apos|#[0-9]{1,6}|#x[0-9A-Fa-f]{1,5});)")
_HEADER: Final = re.compile(r"(?i)(?:charset|encoding)\s*[:=]\s*[\"']?([A-Za-z0-9-]+)")
_DATE: Final = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})(?:[0-9]{6}.*)?")


def read(content: bytes, name: str) -> list[BankLine]:
    """Return the lines of a file. Raises Unreadable with all that is wrong in it."""
    begin = content.find(b"<OFX>")
    if begin < 0:
        raise Unreadable(name, [Fault("its beginning", "there is no <OFX> in it")])
    if b"<!DOCTYPE" in content[:begin] or b"<!ENTITY" in content:
        raise Unreadable(name, [Fault("its beginning", "a DOCTYPE is not allowed")])
    body = _BARE.sub("&amp;", _text(content[:begin], content[begin:]))
    root = document(_ended(body).encode(), name)
    lines: list[BankLine] = []
    faults: list[Fault] = []
    statements = list(root.iter("STMTRS", "CCSTMTRS"))
    for number, statement in enumerate(statements, 1):
        currency = words(statement, "CURDEF")
        held_at = words(statement, "BANKACCTFROM", "ACCTID")
        for at, transaction in enumerate(statement.iter("STMTTRN"), 1):
            place = f"statement {number}, transaction {at} (line {transaction.sourceline})"
            try:
                lines.append(_line(transaction, place, held_at, currency))
            except Refusal as error:
                faults.append(Fault(place, str(error)))
    if not statements:
        faults.append(Fault("its root", "there is no statement in it (STMTRS)"))
    if faults:
        raise Unreadable(name, faults)
    return lines


def _ended(body: str) -> str:
    """Version 1 as XML: a tag that has a text, or that nothing ever ends, is a value; end it."""
    ended = set(_END.findall(body))

    def end(tag: re.Match[str]) -> str:
        value = tag[2].strip() or tag[1] not in ended
        return f"{tag[0]}</{tag[1]}>" if value else tag[0]

    return _BEGINNING.sub(end, body)


def _text(header: bytes, body: bytes) -> str:
    declared = _HEADER.findall(header.decode("ascii", errors="replace"))
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        latin = any(each in ("1252", "8859-1") or "8859" in each for each in declared)
        return body.decode("cp1252" if latin else "latin-1", errors="replace")


def _line(transaction: etree.Element, place: str, held_at: str, currency: str) -> BankLine:
    for once in ("DTPOSTED", "TRNAMT"):
        if len(list(children(transaction, once))) != 1:
            raise Refusal(f"{once} has to be there once")
    currency = words(transaction, "CURRENCY", "CURSYM") or currency
    posted = _DATE.fullmatch(words(transaction, "DTPOSTED"))
    if posted is None:
        raise Refusal(f"DTPOSTED {words(transaction, 'DTPOSTED')!r}: allowed is one as 20260314")
    try:
        booked_on = date(*map(int, posted.groups()))
    except ValueError as error:
        raise Refusal(f"DTPOSTED {posted[0]!r} is no day") from error
    return BankLine(
        place=place,
        booked_on=booked_on,
        amount_micros=micros_of(words(transaction, "TRNAMT").replace(",", "."), currency),
        currency=currency,
        held_at=held_at,
        bank_reference=words(transaction, "FITID"),
        payer=words(transaction, "NAME") or words(transaction, "PAYEE", "NAME"),
        payer_account=words(transaction, "BANKACCTTO", "ACCTID"),
        reference=tidy(f"{words(transaction, 'REFNUM')} {words(transaction, 'CHECKNUM')}"),
        text=words(transaction, "MEMO"),
    )
