"""What stands on a document, and where: from frozen data to what the templates set. Pure."""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final

import msgspec
import segno
from segno import helpers

from billing.credit_notes.credit import CreditNote
from billing.documents.wording import Wording, decimal_text, wording
from billing.entities.entity import Address, Entity
from billing.invoices.invoice import Buyer, Invoice, Kind
from billing.invoices.line import Line
from billing.taxes.calculation import RateTotal
from billing.taxes.rate import format_percent
from rating.money import format_micros

Content = dict[str, Any]

_GIGABYTE: Final = 10**9

#: What the European Payments Council's QR code can hold (EPC069-12).
_MOST_BY_QR: Final = 999_999_999_990_000


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """A payment that was received, with the documents it was used for and how much of it."""

    number: str
    account: str
    currency: str
    language: str
    amount_micros: int
    received_on: date
    method: str
    reference: str
    seller: Entity
    buyer: Buyer
    used_for: tuple[tuple[str, int], ...]


class Movement(msgspec.Struct, frozen=True):
    """A row of an account statement."""

    day: date
    description: str
    amount_micros: int
    balance_micros: int


class AccountStatement(msgspec.Struct, frozen=True, kw_only=True):
    """The money of an account from a day to another (included)."""

    account: str
    currency: str
    language: str
    since: date
    to: date
    opening_micros: int
    closing_micros: int
    seller: Entity
    buyer: Buyer
    movements: tuple[Movement, ...]


class Voucher(msgspec.Struct, frozen=True):
    """A voucher to be printed."""

    serial: str
    code: str
    amount_micros: int
    valid_until: date | None


class VoucherSheet(msgspec.Struct, frozen=True, kw_only=True):
    """Vouchers to be printed on a sheet."""

    currency: str
    language: str
    issued_on: date
    seller: Entity
    vouchers: tuple[Voucher, ...]


def of_invoice(invoice: Invoice, applied_micros: int = 0) -> Content:
    """Return the content of an invoice; `applied_micros` of it were paid when it was finalized."""
    say = wording(invoice.language)
    due = invoice.total_micros - applied_micros
    asks = invoice.kind in (Kind.INVOICE, Kind.PROFORMA)
    facts = [
        (say("number"), say.isolated(invoice.number or "\u2013")),
        (say("date"), say.day(invoice.issued_on or invoice.tax_point)),
    ]
    if invoice.period_from and invoice.period_until:
        facts.append((say("period"), _period(say, invoice.period_from, invoice.period_until)))
    else:
        facts.append((say("tax_point"), say.day(invoice.tax_point)))
    if asks and invoice.due_on:
        facts.append((say("due"), say.day(invoice.due_on)))
    facts += _facts_of(say, invoice.account, invoice.buyer)
    if invoice.reference:
        facts.append((say("reference"), invoice.reference))
    totals = _totals(say, invoice.net_micros, invoice.taxes, invoice.currency)
    totals.append(_total(say("total"), say.money(invoice.total_micros, invoice.currency), True))
    if asks and applied_micros:
        totals.append(_total(say("paid"), say.money(-applied_micros, invoice.currency)))
        totals.append(_total(say("to_pay"), say.money(due, invoice.currency), True))
    return {
        **_common(say, invoice.language, invoice.seller, invoice.buyer),
        "title": say(invoice.kind),
        "number": say.isolated(invoice.number or ""),
        "draft": "" if invoice.number else say("draft"),
        "issued": _ymd(invoice.issued_on or invoice.tax_point),
        "facts": facts,
        "intro": invoice.note,
        "columns": _columns(say, ("quantity", "price", "amount")),
        "rows": [_row(say, line, invoice.currency) for line in invoice.lines],
        "totals": totals,
        "notes": _notes(say, invoice),
        "payment": _payment(say, invoice, due) if asks and due and invoice.number else None,
    }


def of_credit_note(note: CreditNote) -> Content:
    """Return the content of a credit note."""
    say = wording(note.language)
    totals = _totals(say, note.net_micros, note.taxes, note.currency)
    totals.append(_total(say("total"), say.money(note.total_micros, note.currency), True))
    for key, micros in (
        ("offset", note.offset_micros),
        ("credited", note.credit_micros),
        ("refunded", note.refund_micros),
    ):
        if micros:
            totals.append(_total(say(key), say.money(micros, note.currency)))
    return {
        **_common(say, note.language, note.seller, note.buyer),
        "title": say("credit_note"),
        "number": say.isolated(note.number),
        "issued": _ymd(note.issued_on),
        "facts": [
            (say("number"), say.isolated(note.number)),
            (say("date"), say.day(note.issued_on)),
            (say("of_invoice"), say.isolated(note.invoice_number)),
            (say("of_date"), say.day(note.invoice_issued_on)),
            *_facts_of(say, note.account, note.buyer),
        ],
        "intro": f"{say('reason')}: {note.reason}",
        "columns": _columns(say, ("net", "amount")),
        "rows": [
            [
                (line.description, ""),
                (say.amount(line.net_micros, note.currency), ""),
                (say.amount(line.gross_micros, note.currency), ""),
            ]
            for line in note.lines
        ],
        "totals": totals,
        "notes": _reasons(note.taxes),
    }


def of_receipt(receipt: Receipt) -> Content:
    """Return the content of a receipt."""
    say = wording(receipt.language)
    left = receipt.amount_micros - sum(micros for _, micros in receipt.used_for)
    rows = [
        [(f"{say('allocated')} {say.isolated(document)}", ""), (_money(say, receipt, micros), "")]
        for document, micros in receipt.used_for
    ]
    if left:
        rows.append([(say("credited"), ""), (_money(say, receipt, left), "")])
    return {
        **_common(say, receipt.language, receipt.seller, receipt.buyer),
        "title": say("receipt"),
        "number": say.isolated(receipt.number),
        "issued": _ymd(receipt.received_on),
        "facts": [
            (say("number"), say.isolated(receipt.number)),
            (say("date"), say.day(receipt.received_on)),
            (say("method"), receipt.method),
            *([(say("reference"), receipt.reference)] if receipt.reference else []),
            *_facts_of(say, receipt.account, receipt.buyer),
        ],
        "intro": say("received"),
        "columns": _columns(say, ("amount",)),
        "rows": rows,
        "totals": [_total(say("total"), _money(say, receipt, receipt.amount_micros), True)],
    }


def of_statement(statement: AccountStatement) -> Content:
    """Return the content of an account statement."""
    say = wording(statement.language)
    opening = [
        (say("opening"), ""),
        ("", ""),
        (say.amount(statement.opening_micros, statement.currency), ""),
    ]
    return {
        **_common(say, statement.language, statement.seller, statement.buyer),
        "title": say("account_statement"),
        "number": "",
        "issued": _ymd(statement.to),
        "facts": [
            (say("date"), f"{say.day(statement.since)} \u2013 {say.day(statement.to)}"),
            *_facts_of(say, statement.account, statement.buyer),
        ],
        "columns": _columns(say, ("amount", "balance")),
        "rows": [
            opening,
            *(
                [
                    (each.description, say.day(each.day)),
                    (say.amount(each.amount_micros, statement.currency), ""),
                    (say.amount(each.balance_micros, statement.currency), ""),
                ]
                for each in statement.movements
            ),
        ],
        "totals": [
            _total(say("closing"), say.money(statement.closing_micros, statement.currency), True)
        ],
    }


def of_vouchers(sheet: VoucherSheet) -> Content:
    """Return the content of a sheet of vouchers."""
    say = wording(sheet.language)
    return {
        "language": sheet.language,
        "direction": say.direction,
        "colour": sheet.seller.colour,
        "seller": sheet.seller.name,
        "title": say("vouchers"),
        "issued": _ymd(sheet.issued_on),
        "redeem": say("redeem"),
        "vouchers": [
            {
                "serial": say.isolated(voucher.serial),
                "code": say.isolated(voucher.code),
                "amount": say.money(voucher.amount_micros, sheet.currency),
                "until": ""
                if voucher.valid_until is None
                else say("valid_until", date=say.day(voucher.valid_until)),
                "qr": _svg(segno.make(voucher.code, micro=False)),
            }
            for voucher in sheet.vouchers
        ],
    }


def made_at(content: Content) -> datetime:
    """Return the time that a document's file bears: the beginning of its day, UTC."""
    year, month, day = content["issued"]
    return datetime(year, month, day, tzinfo=UTC)


def payment_code(seller: Entity, currency: str, micros: int, number: str) -> str:
    """Return the SVG of the QR code by which a banking app pays (EPC069-12); "" if it cannot."""
    if currency != "EUR" or not seller.iban or not 0 < micros <= _MOST_BY_QR:
        return ""
    code = helpers.make_epc_qr(
        name=seller.name[:70],
        iban=seller.iban,
        amount=Decimal(decimal_text(micros, currency)),
        text=number[:140],
        bic=seller.bic or None,
        encoding="utf-8",
    )
    return _svg(code)


def _svg(code: segno.QRCode) -> str:
    return code.svg_inline(border=0, dark="#111")


def _common(say: Wording, language: str, seller: Entity, buyer: Buyer) -> Content:
    address = _address(seller.address, "")
    contact = [text for text in (seller.phone, seller.email, seller.website) if text]
    ids = [
        f"{say(key)} {say.isolated(value)}"
        for key, value in (("tax_id", seller.tax_id), ("tax_number", seller.tax_number))
        if value
    ]
    bank = [say.isolated(text) for text in (seller.bank, seller.iban, seller.bic) if text]
    registered = [text for text in (seller.registration, seller.footer) if text]
    return {
        "language": language,
        "direction": say.direction,
        "colour": seller.colour,
        "logo": seller.logo,
        "seller": {
            "name": seller.name,
            "short": " \u00b7 ".join([seller.name, *address[:2]]),
            "lines": [seller.name, *map(say.own_direction, address), *map(say.isolated, contact)],
        },
        "buyer": [
            buyer.name,
            *([buyer.contact] if buyer.contact else []),
            *map(say.own_direction, _address(buyer.address, seller.address.country)),
        ],
        "page": say("page", page="{page}", pages="{pages}"),
        "footer": [column for column in ([seller.name, *registered], ids, bank) if column],
        "draft": "",
        "intro": "",
        "notes": [],
        "payment": None,
    }


def _address(address: Address | None, home: str) -> list[str]:
    """The lines of an address, if there is one; its country only where it is not `home`."""
    if address is None:
        return []
    city = " ".join(text for text in (address.postcode, address.city) if text)
    lines = [*address.street.split("\n"), city, address.region]
    if address.country != home:
        lines.append(address.country)
    return [line for line in lines if line]


def _facts_of(say: Wording, account: str, buyer: Buyer) -> list[tuple[str, str]]:
    facts = [(say("account"), say.isolated(account))]
    if buyer.tax_id:
        facts.append((say("customer_tax_id"), say.isolated(buyer.tax_id)))
    return facts


def _columns(say: Wording, keys: Sequence[str]) -> list[Content]:
    return [
        {"label": say("description"), "align": "start", "wide": True},
        *({"label": say(key), "align": "end", "wide": False} for key in keys),
    ]


def _row(say: Wording, line: Line, currency: str) -> list[tuple[str, str]]:
    details: list[str] = []
    if line.service_from and line.service_until:
        details.append(_period(say, line.service_from, line.service_until))
    if line.usage is not None:
        octets = line.usage.octets_in + line.usage.octets_out
        hundredths = octets * 100 // _GIGABYTE
        details.append(
            say(
                "used",
                sessions=line.usage.sessions,
                time=f"{line.usage.seconds // 3600}:{line.usage.seconds // 60 % 60:02}",
                volume=say.number(f"{hundredths // 100}.{hundredths % 100:02}"),
            )
        )
    if line.discount_micros:
        reason = f" ({line.discount_reason})" if line.discount_reason else ""
        details.append(f"{say('discount')}{reason}: {say.amount(-line.discount_micros, currency)}")
    quantity = format_micros(line.quantity_micros)
    return [
        (line.description, "\n".join(details)),
        (say.number(quantity.removesuffix(".00")), ""),
        (say.amount(line.unit_price_micros, currency), ""),
        (say.amount(line.amount_micros - line.discount_micros, currency), ""),
    ]


def _period(say: Wording, since: date, until: date) -> str:
    last = date.fromordinal(until.toordinal() - 1)
    return f"{say.day(since)} \u2013 {say.day(last)}"


def _totals(
    say: Wording, net_micros: int, taxes: Iterable[RateTotal], currency: str
) -> list[Content]:
    return [
        _total(say("net"), say.money(net_micros, currency)),
        *(
            _total(
                say(
                    "tax",
                    tax=total.rate.tax,
                    percent=say.number(format_percent(total.rate.ppm)),
                    base=say.money(total.base_micros, currency),
                ),
                say.money(total.tax_micros, currency),
            )
            for total in taxes
        ),
    ]


def _total(label: str, value: str, strong: bool = False) -> Content:
    return {"label": label, "value": value, "strong": strong}


def _notes(say: Wording, invoice: Invoice) -> list[str]:
    notes = _reasons(invoice.taxes)
    if any(line.inclusive and line.tax_micros for line in invoice.lines):
        notes.append(say("gross_prices"))
    if invoice.kind in (Kind.CONSUMPTION, Kind.TOPUP):
        notes.append(say("prepaid"))
    if invoice.kind is Kind.PROFORMA:
        notes.append(say("proforma_note"))
    return notes


def _reasons(taxes: Iterable[RateTotal]) -> list[str]:
    return list(dict.fromkeys(total.rate.reason for total in taxes if total.rate.reason))


def _payment(say: Wording, invoice: Invoice, due_micros: int) -> Content:
    seller, number = invoice.seller, invoice.number or ""
    assert invoice.due_on is not None
    lines = [
        (name, say.isolated(value))
        for name, value in ((say("bank"), seller.bank), ("IBAN", seller.iban), ("BIC", seller.bic))
        if value
    ]
    return {
        "title": f"{say('to_pay')}: {say.money(due_micros, invoice.currency)}",
        "intro": say("pay_by", date=say.day(invoice.due_on), number=say.isolated(number)),
        "lines": lines,
        "qr": payment_code(seller, invoice.currency, due_micros, number),
        "scan": say("scan"),
    }


def _money(say: Wording, receipt: Receipt, micros: int) -> str:
    return say.money(micros, receipt.currency)


def _ymd(day: date) -> tuple[int, int, int]:
    return day.year, day.month, day.day
