"""MT940 (SWIFT). Pure. The library passes over what it cannot read; so all is counted and added."""

import re
from decimal import Decimal
from typing import Any, Final

from mt940 import parse_statements
from mt940.models import Transactions
from mt940.options import Options

from billing.reconciliation.statement import (
    BankLine,
    Fault,
    Refusal,
    Unreadable,
    micros_of,
    tidy,
)
from rating.money import format_micros

_LINE: Final = re.compile(r"(?m)^:61:")
_BEGIN: Final = re.compile(r"(?m)^(?=:20:)")
#: What stands where there is no reference.
_NO_REFERENCE: Final = frozenset({"", "NONREF", "NOTPROVIDED"})
_OPTIONS: Final = Options(
    applicant_iban=True,
    merge_keeps_values=True,
    reversal_sign=True,
    strip_bom=True,
    unbounded_details=True,
    gvc_leading_text=True,
)


def read(content: bytes, name: str) -> list[BankLine]:
    """Return the lines of a file, in UTF-8 or Latin 1. Raises Unreadable with all that is wrong."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    blocks = [each for each in _BEGIN.split(text) if each.startswith(":20:")]
    lines: list[BankLine] = []
    faults: list[Fault] = []
    for number, block in enumerate(blocks, 1):
        where = f"statement {number}"
        try:
            [statement] = parse_statements(block, options=_OPTIONS)
            lines.extend(_statement(statement, len(_LINE.findall(block)), where))
        except Refusal as error:
            faults.append(Fault(where, str(error)))
        except (ValueError, ArithmeticError, LookupError, TypeError, RuntimeError) as error:
            # Whatever the library says of a tag that it cannot read.
            faults.append(Fault(where, f"this is not MT940: {error}"))
    if not blocks:
        faults.append(Fault("its beginning", "there is no statement in it (:20:)"))
    if faults:
        raise Unreadable(name, faults)
    return lines


def _statement(statement: Transactions, told: int, where: str) -> list[BankLine]:
    """The lines of a statement, of which it has so many. Raises Refusal."""
    opening, _ = _balance(statement, "opening", "60F")
    closing, currency = _balance(statement, "closing", "62F")
    if len(statement) != told:
        raise Refusal(f"of its {told} lines (:61:) only {len(statement)} can be read")
    held_at = tidy(str(statement.data.get("account_identification") or ""))
    lines = [
        _line(transaction.data, f"{where}, line {number}", held_at, currency)
        for number, transaction in enumerate(statement, 1)
    ]
    ends = opening + sum(line.amount_micros for line in lines)
    if ends != closing:
        raise Refusal(
            f"its lines lead from {format_micros(opening)} to {format_micros(ends)}, but it ends"
            f" with {format_micros(closing)}: something is missing or changed"
        )
    return lines


def _balance(statement: Transactions, which: str, tag: str) -> tuple[int, str]:
    found = statement.data.get(f"final_{which}_balance") or statement.data.get(
        f"intermediate_{which}_balance"
    )
    if found is None:
        raise Refusal(f"its {which} balance (:{tag}:) is missing: the file is cut off")
    return _micros(found.amount.amount, found.amount.currency), found.amount.currency


def _micros(amount: Decimal, currency: str) -> int:
    return micros_of(f"{amount:f}", currency)


def _line(data: dict[str, Any], place: str, held_at: str, currency: str) -> BankLine:
    def told(*names: str) -> str:
        return tidy(" ".join(str(data[name]) for name in names if data.get(name)))

    references = [
        each
        for each in (told("end_to_end_reference"), told("customer_reference"))
        if each not in _NO_REFERENCE
    ]
    bank_reference = told("bank_reference")
    return BankLine(
        place=place,
        booked_on=data.get("entry_date") or data["date"],
        amount_micros=_micros(data["amount"].amount, currency),
        currency=currency,
        held_at=held_at,
        bank_reference="" if bank_reference in _NO_REFERENCE else bank_reference,
        payer=told("applicant_name"),
        payer_account=told("gvc_applicant_iban", "applicant_iban").split(" ")[0],
        reference=" ".join(references),
        text=told("purpose", "additional_purpose", "transaction_details", "extra_details"),
    )
