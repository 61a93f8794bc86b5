"""bank: files of the bank, and making payments of their lines."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from billing.audit.trail import AuditEvent
from billing.database import Connection
from billing.reconciliation import files, line, pairing
from billing.reconciliation.files import BankFile, Imported
from billing.reconciliation.line import KeptLine, State
from billing.reconciliation.matching import CERTAIN
from billing.reconciliation.pairing import Matched, Processed
from billing.reconciliation.table import CsvFormat
from ratewire.cli.running import (
    ConfigOption,
    JsonOption,
    Refused,
    actor,
    bring,
    moment,
    print_json,
    print_table,
    run,
)
from ratewire.documents import DOCUMENTS, INVOICE
from ratewire.wiring import System, now
from rating.money import format_micros

FileOption = Annotated[int | None, typer.Option("--file", help="Of this file only.")]
ReasonOption = Annotated[str, typer.Option(help="Why; it is kept.")]
ThresholdOption = Annotated[
    int, typer.Option(min=1, max=100, help="From which score on nobody has to look.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    bank = typer.Typer(help="Bank files: import, process, pair.", no_args_is_help=True)
    for name, command in (
        *(("import", bank_import), ("files", bank_files), ("lines", bank_lines)),
        *(("preview", bank_preview), ("process", bank_process), ("pair", bank_pair)),
        *(("unpair", bank_unpair), ("ignore", bank_ignore), ("reopen", bank_reopen)),
        ("history", bank_history),
    ):
        bank.command(name)(command)
    app.add_typer(bank, name="bank")


@asynccontextmanager
async def _desk(system: System) -> AsyncGenerator[Connection]:
    """A connection in a transaction."""
    async with (await system.pool()).acquire() as conn, conn.transaction():
        yield conn


def bank_import(
    path: Annotated[Path, typer.Argument(help="CAMT.053, CAMT.054, MT940, OFX, or CSV.")],
    csv: Annotated[
        Path | None, typer.Option(help="TOML that says how a CSV file is written.")
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Keep a file and its lines. The same file again changes nothing."""
    content = _octets(path)
    written = None if csv is None else _csv_format(csv)

    async def work(system: System) -> Imported:
        async with _desk(system) as conn:
            return await files.import_(
                conn, content, path.name, written=written, actor=actor(), now=now()
            )

    done = run(config, work, store=False)
    if as_json:
        print_json({**msgspec.to_builtins(done.file), "repeated": done.repeated})
        return
    before = ", imported before" if done.repeated else ""
    told = ", ".join(f"{number} {state}" for state, number in sorted(done.file.lines.items()))
    print(f"file {done.file.file_id}: {done.file.format}, lines: {told or 'none'}{before}")


def bank_files(
    limit: Annotated[int, typer.Option(min=1, help="Most files, the last ones.")] = 100,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List files, newest first, with their lines by state."""

    async def work(system: System) -> list[BankFile]:
        async with (await system.pool()).acquire() as conn:
            return await files.list_(conn, limit=limit)

    found = run(config, work, store=False)
    if as_json:
        print_json(found)
        return
    print_table(
        "Bank files",
        ("file", "imported (UTC)", "format", *State, "name"),
        [
            (
                each.file_id,
                moment(each.imported_at),
                each.format.value,
                *(each.lines.get(state, 0) for state in State),
                each.name,
            )
            for each in found
        ],
    )


def bank_lines(
    file: FileOption = None,
    state: Annotated[State | None, typer.Option(help="In this state only.")] = None,
    after: Annotated[int, typer.Option(min=0, help="After this line.")] = 0,
    limit: Annotated[int, typer.Option(min=1, help="Most lines.")] = 1000,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List lines, in the order in which they came."""

    async def work(system: System) -> list[KeptLine]:
        async with (await system.pool()).acquire() as conn:
            return await line.list_(conn, after=after, file_id=file, state=state, limit=limit)

    found = run(config, work, store=False)
    if as_json:
        print_json(found)
        return
    print_table(
        "Bank lines",
        (*_TOLD, "state", "account", "payment", "reason"),
        [
            (*_told(each), each.state.value, each.account, each.payment_id, each.reason)
            for each in found
        ],
    )


def bank_preview(
    file: FileOption = None,
    threshold: ThresholdOption = CERTAIN,
    after: Annotated[int, typer.Option(min=0, help="After this line.")] = 0,
    limit: Annotated[int, typer.Option(min=1, help="Most lines.")] = pairing.CHUNK,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell whose lines are, and why. Nothing is changed."""

    async def work(system: System) -> list[Matched]:
        async with (await system.pool()).acquire() as conn:
            return await pairing.preview(
                conn, file_id=file, after=after, threshold=threshold, limit=limit
            )

    found = run(config, work, store=False)
    if as_json:
        print_json(found)
        return
    rows: list[Sequence[object]] = []
    for each in found:
        if not each.proposals:
            rows.append((*_told(each.line), "", "", "nobody", ""))
        for proposal in each.proposals:
            sure = "is paid" if proposal == each.certain else "by hand"
            rows.append(
                (*_told(each.line), sure, proposal.score, proposal.account, proposal.reason)
            )
    print_table("Whose lines are", (*_TOLD, "would be", "score", "account", "reason"), rows)


def bank_process(
    file: FileOption = None,
    threshold: ThresholdOption = CERTAIN,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make payments of all lines that are certain, and pay invoices with them."""

    async def work(system: System) -> Processed:
        paired: list[int] = []
        left, failed, last = 0, 0, 0
        accounts: set[str] = set()
        while True:
            async with _desk(system) as conn:
                done = await pairing.process(
                    conn,
                    DOCUMENTS[INVOICE],
                    file_id=file,
                    after=last,
                    threshold=threshold,
                    actor=actor(),
                    now=now(),
                )
            if done.last is None:
                break
            paired.extend(done.paired)
            left, failed, last = left + done.left, failed + done.failed, done.last
            accounts.update(done.accounts)
        if accounts:
            await bring(system, *sorted(accounts))
        return Processed(tuple(paired), left, failed, tuple(sorted(accounts)), last or None)

    done = run(config, work)
    if as_json:
        print_json(done)
        return
    print(f"{len(done.paired)} lines paid, {done.left} left for a person, {done.failed} failed")


def bank_pair(
    number: Annotated[int, typer.Argument(metavar="LINE", help="See `bank lines`.")],
    account: str,
    invoice: Annotated[
        list[int] | None, typer.Option(help="Invoices (ids) that it pays before others.")
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a line a payment of an account, by hand."""

    async def work(system: System) -> KeptLine:
        async with _desk(system) as conn:
            done = await pairing.pair(
                conn,
                number,
                account,
                invoice or (),
                DOCUMENTS[INVOICE],
                actor=actor(),
                now=now(),
            )
        await bring(system, account)
        return done

    _show(run(config, work), as_json)


def bank_unpair(
    number: Annotated[int, typer.Argument(metavar="LINE")],
    reason: ReasonOption,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Undo a pairing. The payment comes off its invoices and out of its account."""

    async def work(system: System) -> KeptLine:
        async with _desk(system) as conn:
            account = (await line.get(conn, number)).account
            done = await pairing.unpair(
                conn, number, DOCUMENTS[INVOICE], reason=reason, actor=actor(), now=now()
            )
        if account is not None:
            await bring(system, account)
        return done

    _show(run(config, work), as_json)


def bank_ignore(
    number: Annotated[int, typer.Argument(metavar="LINE")],
    reason: ReasonOption,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say of a line that it is no payment of a customer's."""

    async def work(system: System) -> KeptLine:
        async with _desk(system) as conn:
            return await pairing.ignore(conn, number, reason=reason, actor=actor(), now=now())

    _show(run(config, work, store=False), as_json)


def bank_reopen(
    number: Annotated[int, typer.Argument(metavar="LINE")],
    reason: ReasonOption,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a line up again that was ignored, or that is no duplicate."""

    async def work(system: System) -> KeptLine:
        async with _desk(system) as conn:
            return await pairing.reopen(conn, number, reason=reason, actor=actor(), now=now())

    _show(run(config, work, store=False), as_json)


def bank_history(
    number: Annotated[int, typer.Argument(metavar="LINE")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell what was decided about a line, and by whom, the last first."""

    async def work(system: System) -> list[AuditEvent]:
        async with (await system.pool()).acquire() as conn:
            return await line.history(conn, number)

    found = run(config, work, store=False)
    if as_json:
        print_json(found)
        return
    print_table(
        f"What was decided about line {number}",
        ("at (UTC)", "by", "changed to"),
        [(moment(each.at), each.actor, bytes(each.after or b"").decode()) for each in found],
    )


_TOLD = ("line", "booked on", "amount", "", "payer", "text")


def _told(of: KeptLine) -> tuple[object, ...]:
    return (
        of.line_id,
        of.booked_on,
        format_micros(of.amount_micros, of.currency),
        of.currency,
        of.payer,
        f"{of.reference} {of.text}".strip()[:60],
    )


def _show(of: KeptLine, as_json: bool) -> None:
    if as_json:
        print_json(of)
        return
    paid = "" if of.payment_id is None else f", payment {of.payment_id} of {of.account}"
    told = f"{format_micros(of.amount_micros, of.currency)} {of.currency}"
    print(f"line {of.line_id}: {told} {of.state}{paid}: {of.reason}")


def _octets(path: Path) -> bytes:
    try:
        if path.stat().st_size > files.MAX_OCTETS:
            raise Refused(f"{path}: allowed are at most {files.MAX_OCTETS} octets")
        return path.read_bytes()
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}; allowed is a readable file") from error


def _csv_format(path: Path) -> CsvFormat:
    try:
        return msgspec.toml.decode(_octets(path), type=CsvFormat)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(f"{path}: {error}") from error
