"""invoice, credit-note, message: documents and how they reach customers."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
import typer

from billing.credit_notes import issuing, voiding
from billing.credit_notes import reading as credit_notes
from billing.credit_notes.credit import CreditedPart, CreditNote, NewCreditNote
from billing.credit_notes.reading import FoundCreditNote
from billing.database import Connection
from billing.delivery import outbox
from billing.delivery.outbox import Message
from billing.documents.archive import DocumentKind, File, Format, fetch
from billing.entities.entity import MAIN
from billing.invoices import drafts, lifecycle, numbers, reading
from billing.invoices import finalizing as finals
from billing.invoices.finalizing import Finalized
from billing.invoices.invoice import Invoice, NewInvoice, Status
from billing.invoices.numbers import Series
from billing.invoices.reading import Found, Search
from ratewire.cli.running import (
    ConfigOption,
    JsonOption,
    Refused,
    actor,
    bring,
    print_json,
    print_table,
    run,
)
from ratewire.wiring import System, now
from rating.money import format_micros, parse_amount

T = TypeVar("T")

Named = Annotated[str, typer.Argument(help="The document's number or id.")]
Account = Annotated[str | None, typer.Option(help="Only those of this account.")]
Limit = Annotated[int, typer.Option(min=1, max=1000, help="Most rows, the newest.")]
Output = Annotated[Path, typer.Option("--output", "-o", help="The file to write.")]
As = Annotated[Format, typer.Option("--as", help="pdf, or an e-invoice: cii, ubl.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    groups = {
        "invoice": (
            "Invoices, from draft to paid.",
            (
                *(invoice_draft, invoice_preview, invoice_delete, invoice_finalize),
                *(invoice_list, invoice_show, invoice_void, invoice_reissue),
                *(invoice_write_off, invoice_send, invoice_file, invoice_series),
                invoice_continue,
            ),
        ),
        "credit-note": (
            "What is given back of invoices.",
            (
                *(credit_note_issue, credit_note_list, credit_note_show, credit_note_void),
                credit_note_file,
            ),
        ),
        "message": ("Messages to customers: list, again.", (message_list, message_again)),
    }
    for name, (help_text, commands) in groups.items():
        group = typer.Typer(help=help_text, no_args_is_help=True)
        for command in commands:
            words = command.__name__.removeprefix(name.replace("-", "_") + "_")
            group.command(words.replace("_", "-"))(command)
        app.add_typer(group, name=name)


NewFile = Annotated[Path, typer.Argument(help="JSON of an invoice; see docs/invoicing.md.")]


def invoice_draft(file: NewFile, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Make a draft."""
    new = _read(file, NewInvoice)

    async def work(system: System) -> Invoice:
        async with (await system.pool()).acquire() as conn:
            draft = await drafts.create(conn, new, now=now())
            return await reading.get(conn, draft, now())

    _print_invoice(run(config, work, store=False), as_json)


def invoice_preview(
    file: NewFile, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Show what a draft would be; nothing is written."""
    new = _read(file, NewInvoice)

    async def work(system: System) -> Invoice:
        async with (await system.pool()).acquire() as conn:
            return await drafts.preview(conn, new, now=now())

    _print_invoice(run(config, work, store=False), as_json)


def invoice_delete(invoice: Named, config: ConfigOption = None) -> None:
    """Delete a draft; its usage waits for another one."""

    async def work(conn: Connection, number: int) -> str:
        found = await reading.get(conn, number, now())
        await drafts.delete(conn, number, now=now())
        return found.account

    _change(config, invoice, work)
    print(f"draft {invoice} is deleted")


def invoice_finalize(
    invoice: Named, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Freeze a draft, book it, and give it its number and date."""
    made: list[Finalized] = []

    async def work(conn: Connection, number: int) -> str:
        made.append(await finals.finalize(conn, number, actor=actor(), now=now()))
        return (await reading.get(conn, number, now())).account

    _change(config, invoice, work)
    if as_json:
        print_json(made[0])
    else:
        print(f"{made[0].number} of {made[0].issued_on}")


def invoice_list(
    account: Account = None,
    status: Annotated[Status | None, typer.Option(help="Only those in this state.")] = None,
    number: Annotated[str | None, typer.Option(help="Only numbers that begin so.")] = None,
    overdue: Annotated[bool, typer.Option(help="Only what is overdue.")] = False,
    limit: Limit = 100,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List invoices, the newest first."""
    wanted = Search(account=account, status=status, number=number, overdue=overdue or None)

    async def work(system: System) -> list[Found]:
        async with (await system.pool()).acquire() as conn:
            return await reading.search(conn, wanted, today=now().date(), limit=limit)

    found = run(config, work, store=False)
    if as_json:
        print_json(found)
        return
    rows = [
        (
            *(each.invoice_id, each.number, each.kind, each.status, each.account, each.issued_on),
            *(each.due_on, format_micros(each.total_micros, each.currency)),
            *(format_micros(each.left_micros, each.currency), each.currency),
        )
        for each in found
    ]
    columns = ("id", "number", "kind", "status", "account", "date", "due", "total", "left", "in")
    print_table("Invoices", columns, rows)


def invoice_show(invoice: Named, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show an invoice with its lines."""

    async def work(system: System) -> Invoice:
        async with (await system.pool()).acquire() as conn:
            return await reading.get(conn, await reading.identify(conn, invoice), now())

    _print_invoice(run(config, work, store=False), as_json)


def invoice_void(invoice: Named, config: ConfigOption = None) -> None:
    """Void an open invoice; it keeps its number, and its usage waits for another one."""

    async def work(conn: Connection, number: int) -> str:
        found = await reading.get(conn, number, now())
        await lifecycle.void(conn, number, actor=actor(), now=now())
        return found.account

    _change(config, invoice, work)
    print(f"{invoice} is void")


def invoice_reissue(invoice: Named, config: ConfigOption = None) -> None:
    """Void an open invoice, and make a draft with its lines in its place."""
    made: list[int] = []

    async def work(conn: Connection, number: int) -> str:
        made.append(await lifecycle.reissue(conn, number, actor=actor(), now=now()))
        return (await reading.get(conn, number, now())).account

    _change(config, invoice, work)
    print(f"{invoice} is void; draft {made[0]} is in its place")


def invoice_write_off(invoice: Named, config: ConfigOption = None) -> None:
    """Write what is left of an open invoice off; it can still be paid."""

    async def work(conn: Connection, number: int) -> str:
        found = await reading.get(conn, number, now())
        await lifecycle.mark_uncollectible(conn, number, actor=actor(), now=now())
        return found.account

    _change(config, invoice, work)
    print(f"{invoice} is written off")


def invoice_send(
    invoice: Named,
    link: Annotated[str, typer.Option(help="Where the document is found.")] = "",
    config: ConfigOption = None,
) -> None:
    """Send an invoice by e-mail."""

    async def work(system: System) -> int:
        async with (await system.pool()).acquire() as conn:
            number = await reading.identify(conn, invoice)
            return await outbox.send_invoice(conn, number, link=link, now=now())

    print(f"message {run(config, work, store=False)} is queued")


def invoice_file(
    invoice: Named, output: Output, file_format: As = Format.PDF, config: ConfigOption = None
) -> None:
    """Write an invoice's PDF or e-invoice to a file; a reprint has the same octets."""

    async def work(system: System) -> File:
        async with (await system.pool()).acquire() as conn:
            number = await reading.identify(conn, invoice)
            kind = DocumentKind.INVOICE
            return await fetch(conn, system.documents, kind, number, file_format, now=now())

    _write(run(config, work, store=False), output)


def invoice_series(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List the series of numbers; exit status 1 if a number is on no document."""

    async def work(system: System) -> list[Series]:
        async with (await system.pool()).acquire() as conn:
            return await numbers.list_(conn)

    found = run(config, work, store=False)
    if as_json:
        print_json(found)
    else:
        rows = [
            (s.entity, s.series, s.year, s.continues_from, s.last_number, s.documents, s.missing)
            for s in found
        ]
        columns = ("entity", "series", "year", "after", "last", "documents", "missing")
        print_table("Series", columns, rows)
    if any(each.missing for each in found):
        raise typer.Exit(1)


def invoice_continue(
    series: Annotated[str, typer.Argument(help="invoice, credit_note, proforma or statement.")],
    year: int,
    last_number: Annotated[int, typer.Argument(help="The last number of the other system.")],
    entity: Annotated[str, typer.Option(help="Whose series it is.")] = MAIN,
    config: ConfigOption = None,
) -> None:
    """Have a series that has not begun go on after the last number of another system."""

    async def work(system: System) -> None:
        async with (await system.pool()).acquire() as conn:
            await numbers.continue_from(conn, entity, series, year, last_number)

    run(config, work, store=False)
    print(f"the next {series} of {entity} in {year} is number {last_number + 1}")


def credit_note_issue(
    invoice: Named,
    reason: Annotated[str, typer.Option(help="Stands on the credit note.")],
    line: Annotated[
        list[str] | None,
        typer.Option(help="LINE or LINE=AMOUNT, tax included; without any, all that is left."),
    ] = None,
    refund: Annotated[str, typer.Option(help="What is to be paid out of it.")] = "0",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Credit an invoice: first what is still to be paid, then the account."""
    parts = tuple(_part(text) for text in line or ())
    micros = parse_amount(refund)
    made: list[CreditNote] = []

    async def work(conn: Connection, number: int) -> str:
        new = NewCreditNote(invoice_id=number, reason=reason, lines=parts, refund_micros=micros)
        note = await issuing.issue(conn, new, actor=actor(), now=now())
        made.append(await credit_notes.get(conn, note))
        return made[0].account

    _change(config, invoice, work)
    _print_credit_note(made[0], as_json)


def credit_note_list(
    account: Account = None,
    limit: Limit = 100,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List credit notes, the newest first."""

    async def work(system: System) -> list[FoundCreditNote]:
        async with (await system.pool()).acquire() as conn:
            return await credit_notes.list_(conn, account=account, limit=limit)

    found = run(config, work, store=False)
    if as_json:
        print_json(found)
        return
    rows = [
        (n.number, n.account_id, n.issued_on, format_micros(n.total_micros, n.currency), n.reason)
        for n in found
    ]
    print_table("Credit notes", ("number", "account", "date", "total", "reason"), rows)


def credit_note_show(
    credit_note: Named, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Show a credit note with its lines."""

    async def work(system: System) -> CreditNote:
        async with (await system.pool()).acquire() as conn:
            return await credit_notes.get(conn, await credit_notes.identify(conn, credit_note))

    _print_credit_note(run(config, work, store=False), as_json)


def credit_note_void(
    credit_note: Named,
    reason: Annotated[str, typer.Option(help="Is kept with it.")],
    config: ConfigOption = None,
) -> None:
    """Void a credit note: its invoice asks for the money again. The number stays taken."""

    async def work(system: System) -> str:
        async with (await system.pool()).acquire() as conn:
            number = await credit_notes.identify(conn, credit_note)
            await voiding.void(conn, number, reason=reason, actor=actor(), now=now())
            note = await credit_notes.get(conn, number)
        await bring(system, note.account)
        return note.number

    print(f"{run(config, work)} is void")


def credit_note_file(
    credit_note: Named, output: Output, file_format: As = Format.PDF, config: ConfigOption = None
) -> None:
    """Write a credit note's PDF or e-invoice to a file."""

    async def work(system: System) -> File:
        async with (await system.pool()).acquire() as conn:
            number = await credit_notes.identify(conn, credit_note)
            kind = DocumentKind.CREDIT_NOTE
            return await fetch(conn, system.documents, kind, number, file_format, now=now())

    _write(run(config, work, store=False), output)


def message_list(
    account: Account = None,
    status: Annotated[str | None, typer.Option(help="queued, sent or failed.")] = None,
    limit: Limit = 100,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List messages to customers, the newest first, and what became of them."""

    async def work(system: System) -> list[Message]:
        async with (await system.pool()).acquire() as conn:
            return await outbox.list_(conn, account=account, status=status, limit=limit)

    found = run(config, work, store=False)
    if as_json:
        print_json(found)
        return
    rows = [
        (m.message_id, m.account_id, m.kind, m.recipient, m.status, m.attempts, m.error)
        for m in found
    ]
    columns = ("id", "account", "kind", "to", "status", "attempts", "error")
    print_table("Messages", columns, rows)


def message_again(message: int, config: ConfigOption = None) -> None:
    """Send a message that failed once more."""

    async def work(system: System) -> None:
        async with (await system.pool()).acquire() as conn:
            await outbox.send_again(conn, message)

    run(config, work, store=False)
    print(f"message {message} is queued")


def _change(
    config: Path | None, named: str, work: Callable[[Connection, int], Awaitable[str]]
) -> None:
    """Change a document, and bring what that did to its account's balance to the store."""

    async def do(system: System) -> None:
        async with (await system.pool()).acquire() as conn:
            account = await work(conn, await reading.identify(conn, named))
        await bring(system, account)

    run(config, do)


def _read(file: Path, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(file.read_bytes(), type=kind)
    except OSError as error:
        raise Refused(f"{file} cannot be read: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise Refused(f"{file}: {error}") from error


def _write(file: File, output: Path) -> None:
    try:
        output.write_bytes(file.octets)
    except OSError as error:
        raise Refused(f"{output} cannot be written: {error.strerror}") from error
    print(f"{output}: {len(file.octets)} octets")


def _part(text: str) -> CreditedPart:
    line, equals, amount = text.partition("=")
    if not line.isdecimal():
        raise Refused(f"line {text!r}: allowed is LINE or LINE=AMOUNT, such as 1=11.90")
    return CreditedPart(int(line), parse_amount(amount) if equals else None)


def _print_invoice(invoice: Invoice, as_json: bool) -> None:
    if as_json:
        print_json({**_fields(invoice), "left_micros": invoice.left_micros})
        return
    name = invoice.number or ("preview" if invoice.invoice_id is None else invoice.invoice_id)
    print(f"{invoice.kind} {name}: {invoice.status}, for {invoice.buyer.name}")
    rows = [
        (
            *(line.line, line.description, format_micros(line.net_micros, invoice.currency)),
            *(format_micros(line.tax_micros, invoice.currency),),
        )
        for line in invoice.lines
    ]
    print_table("Lines", ("line", "description", "net", "tax"), rows)
    for label, micros in (
        ("net", invoice.net_micros),
        ("tax", invoice.tax_micros),
        ("total", invoice.total_micros),
        ("left", invoice.left_micros),
    ):
        print(f"{label:6} {format_micros(micros, invoice.currency):>14} {invoice.currency}")


def _print_credit_note(note: CreditNote, as_json: bool) -> None:
    if as_json:
        print_json(note)
        return
    print(f"{note.number} of {note.issued_on}, for {note.invoice_number}: {note.reason}")
    for label, micros in (
        ("total", note.total_micros),
        ("offset", note.offset_micros),
        ("credit", note.credit_micros),
        ("refund", note.refund_micros),
    ):
        print(f"{label:6} {format_micros(micros, note.currency):>14} {note.currency}")


def _fields(invoice: Invoice) -> dict[str, object]:
    return {name: getattr(invoice, name) for name in Invoice.__struct_fields__}
