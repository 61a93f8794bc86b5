"""camt.053 and camt.054 (ISO 20022): statements and notifications of credits and debits. Pure."""

from collections.abc import Iterator

from lxml import etree

from billing.reconciliation.markup import children, document, down, local, words
from billing.reconciliation.statement import (
    BankLine,
    Fault,
    Refusal,
    Unreadable,
    day_of,
    micros_of,
    tidy,
)
from rating.money import format_micros

_MESSAGES = {"BkToCstmrStmt": "Stmt", "BkToCstmrDbtCdtNtfctn": "Ntfctn"}
#: Balances that a statement begins with (the second is that of the one before), and ends with.
_OPENING = ("OPBD", "PRCD")
_CLOSING = "CLBD"
#: What stands where the payer gave no reference of their own.
_NO_REFERENCE = ("", "NOTPROVIDED")


def read(content: bytes, name: str) -> list[BankLine]:
    """Return the lines of a file. Raises Unreadable with all that is wrong in it."""
    root = document(content, name)
    message = next((each for each in root if local(each) in _MESSAGES), None)
    if message is None:
        wanted = " or ".join(_MESSAGES)
        raise Unreadable(name, [Fault("its root", f"allowed is a Document with {wanted}")])
    lines: list[BankLine] = []
    faults: list[Fault] = []
    statements = list(children(message, _MESSAGES[local(message)]))
    for number, statement in enumerate(statements, 1):
        _read_statement(statement, f"statement {number}", lines, faults)
    if not statements:
        faults.append(Fault("its root", "there is no statement in it"))
    if faults:
        raise Unreadable(name, faults)
    return lines


def _read_statement(
    statement: etree.Element, where: str, lines: list[BankLine], faults: list[Fault]
) -> None:
    held_at = words(statement, "Acct", "Id", "IBAN") or words(statement, "Acct", "Id", "Othr", "Id")
    before, booked = len(faults), 0
    for number, entry in enumerate(children(statement, "Ntry"), 1):
        place = f"{where}, entry {number} (line {entry.sourceline})"
        try:
            read_now = list(_entry(entry, place, held_at))
        except Refusal as error:
            faults.append(Fault(place, str(error)))
            continue
        booked += sum(line.amount_micros for line in read_now if line.booked)
        lines.extend(read_now)
    if len(faults) > before:
        return
    try:
        balances = dict(_balances(statement))
    except Refusal as error:
        faults.append(Fault(f"{where}, its balances", str(error)))
        return
    opening = next((balances[code] for code in _OPENING if code in balances), None)
    closing = balances.get(_CLOSING)
    if opening is not None and closing is not None and opening + booked != closing:
        faults.append(
            Fault(
                where,
                f"its entries lead from {format_micros(opening)} to"
                f" {format_micros(opening + booked)}, but it ends with {format_micros(closing)}:"
                " something is missing or changed",
            )
        )


def _balances(statement: etree.Element) -> Iterator[tuple[str, int]]:
    for balance in children(statement, "Bal"):
        yield words(balance, "Tp", "CdOrPrtry", "Cd"), _signed(balance)[0]


def _signed(element: etree.Element) -> tuple[int, str]:
    """An amount with the sign that its CdtDbtInd gives it, and its currency."""
    amount = down(element, "Amt")
    if amount is None:
        raise Refusal("Amt is missing")
    currency = amount.get("Ccy") or ""
    micros = micros_of(tidy(amount.text), currency)
    direction = words(element, "CdtDbtInd")
    if direction not in ("CRDT", "DBIT"):
        raise Refusal(f"CdtDbtInd {direction!r}: allowed are CRDT and DBIT")
    if micros < 0:
        raise Refusal("Amt: allowed is 0 or more")
    return (micros if direction == "CRDT" else -micros), currency


def _entry(entry: etree.Element, place: str, held_at: str) -> Iterator[BankLine]:
    """The lines of an entry: those of its details, if they add up to it, else itself."""
    micros, currency = _signed(entry)
    sign = 1 if micros >= 0 else -1
    status = words(entry, "Sts", "Cd") or words(entry, "Sts")
    if status not in ("BOOK", "PDNG", "INFO"):
        raise Refusal(f"Sts {status!r}: allowed are BOOK, PDNG and INFO")
    day = words(entry, "BookgDt", "Dt") or words(entry, "BookgDt", "DtTm")
    day = day or words(entry, "ValDt", "Dt") or words(entry, "ValDt", "DtTm")
    if not day:
        raise Refusal("BookgDt is missing")
    booked_on = day_of(day)
    details = [each for parts in children(entry, "NtryDtls") for each in children(parts, "TxDtls")]
    amounts = [_detail_amount(each, currency) for each in details]
    known = [each for each in amounts if each is not None]
    split = len(details) > 1 and len(known) == len(details) and sum(known) == abs(micros)
    parts = (
        [([each], sign * amount) for each, amount in zip(details, known, strict=True)]
        if split
        else [(details, micros)]
    )
    for number, (about, amount) in enumerate(parts, 1):
        yield BankLine(
            place=f"{place}, part {number}" if split else place,
            booked_on=booked_on,
            amount_micros=amount,
            currency=currency,
            held_at=held_at,
            bank_reference=_bank_reference(entry, about),
            booked=status == "BOOK",
            payer=_party(about, "Dbtr" if sign > 0 else "Cdtr"),
            payer_account=_party_account(about, "Dbtr" if sign > 0 else "Cdtr"),
            reference=_reference(about),
            text=_text(entry, about),
        )


def _detail_amount(detail: etree.Element, currency: str) -> int | None:
    """The amount of a part of an entry, in the entry's currency; None if it does not tell it."""
    for path in (("Amt",), ("AmtDtls", "TxAmt", "Amt")):
        amount = down(detail, *path)
        if amount is not None and amount.get("Ccy") == currency:
            return micros_of(tidy(amount.text), currency)
    return None


def _bank_reference(entry: etree.Element, about: list[etree.Element]) -> str:
    for each in about:
        found = words(each, "Refs", "AcctSvcrRef")
        if found:
            return found
    return words(entry, "AcctSvcrRef")


def _party(about: list[etree.Element], side: str) -> str:
    for each in about:
        party = down(each, "RltdPties", side)
        found = words(party, "Nm") or words(party, "Pty", "Nm")
        if found:
            return found
    return ""


def _party_account(about: list[etree.Element], side: str) -> str:
    for each in about:
        found = words(each, "RltdPties", f"{side}Acct", "Id", "IBAN")
        if found:
            return found
    return ""


def _reference(about: list[etree.Element]) -> str:
    """The creditor's reference, of the structured remittance information; else the payer's own."""
    found: list[str] = []
    for each in about:
        structured = [
            words(part, "CdtrRefInf", "Ref")
            for info in children(each, "RmtInf")
            for part in children(info, "Strd")
        ]
        end_to_end = words(each, "Refs", "EndToEndId")
        found.extend(text for text in structured if text)
        if end_to_end not in _NO_REFERENCE:
            found.append(end_to_end)
    return tidy(" ".join(found))


def _text(entry: etree.Element, about: list[etree.Element]) -> str:
    told = [
        tidy(part.text)
        for each in about
        for info in children(each, "RmtInf")
        for part in children(info, "Ustrd")
    ]
    return tidy(" ".join(told) or words(entry, "AddtlNtryInf"))
