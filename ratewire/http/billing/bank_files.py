"""Bank files over HTTP: importing them, and making payments of what is certain."""

from datetime import datetime
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from billing.documents.archive import File
from billing.reconciliation import files, pairing
from billing.reconciliation.files import BankFile
from billing.reconciliation.line import State
from billing.reconciliation.matching import CERTAIN, Proposal
from billing.reconciliation.statement import Format
from billing.reconciliation.table import CsvFormat
from ratewire.documents import DOCUMENTS, INVOICE
from ratewire.http.billing.bank_lines import LineView
from ratewire.http.billing.bank_lines import view as line_view
from ratewire.http.endpoint import MONEY, READERS, Call, Nothing, Page, endpoint, number_of

#: A file in Base64 and what is said of it; larger ones are imported by the command line.
_MAX_OCTETS: Final = 24 * 1024 * 1024

Threshold = Annotated[int, Meta(ge=1, le=100)]
Text = Annotated[str, Meta(min_length=1, max_length=255)]


class FileRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A bank file as it came, in Base64; with `csv` how it is written if it is CSV."""

    name: Text
    content: bytes
    csv: CsvFormat | None = None


class FileView(msgspec.Struct, frozen=True):
    """A bank file, with the number of its lines by state. `digest` is its SHA-256.

    `repeated`: it had been imported before, and nothing was done.
    """

    id: int
    format: Format
    name: str
    digest: str
    octets: int
    actor: str
    imported_at: datetime
    lines: dict[State, int]
    repeated: bool = False


class Files(msgspec.Struct, frozen=True):
    """Bank files, newest first."""

    data: list[FileView]
    next: str | None


class PreviewQuery(Page, frozen=True):
    """From which score on a line counts as certain."""

    threshold: Threshold = CERTAIN


class ProposalView(msgspec.Struct, frozen=True):
    """An account that a line may pay, which invoices of it first, how likely and why."""

    account: str
    invoices: tuple[int, ...]
    score: int
    reasons: tuple[str, ...]


class MatchView(msgspec.Struct, frozen=True):
    """A line, whose it may be, and whose it would be taken for (null: a person decides)."""

    line: LineView
    proposals: list[ProposalView]
    certain: str | None


class Preview(msgspec.Struct, frozen=True):
    """What processing would do; nothing is done."""

    data: list[MatchView]
    next: str | None


class ProcessRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From which score on, and after which line; `last` of the answer before, or 0."""

    threshold: Threshold = CERTAIN
    after: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0


class ProcessView(msgspec.Struct, frozen=True):
    """Lines that are payments now, how many are left for a person, and how many failed.

    `last` is where to go on; null: there is no line any more.
    """

    paired: tuple[int, ...]
    left: int
    failed: int
    last: int | None


async def import_(call: Call[Nothing, FileRequest]) -> FileView:
    """Keep a file and its lines."""
    done = await files.import_(
        call.conn,
        call.body.content,
        call.body.name,
        written=call.body.csv,
        actor=call.actor,
        now=call.now,
    )
    return _view(done.file, repeated=done.repeated)


async def list_(call: Call[Page, Nothing]) -> Files:
    """List files."""
    found = await files.list_(call.conn, before=call.query.number(), limit=call.query.limit + 1)
    page, more = call.query.cut(found, lambda each: each.file_id)
    return Files([_view(each) for each in page], more)


async def get(call: Call[Nothing, Nothing]) -> FileView:
    """Read one."""
    return _view(await files.get(call.conn, int(call.path["file_id"])))


async def content(call: Call[Nothing, Nothing]) -> File:
    """Give one out as it came."""
    number = int(call.path["file_id"])
    _, octets = await files.content_of(call.conn, number)
    return File(f"bank-file-{number}", "application/octet-stream", octets)


async def preview(call: Call[PreviewQuery, Nothing]) -> Preview:
    """Tell what processing would do."""
    file = await files.get(call.conn, int(call.path["file_id"]))
    query = call.query
    found = await pairing.preview(
        call.conn,
        file_id=file.file_id,
        after=0 if query.cursor is None else number_of(query.cursor),
        threshold=query.threshold,
        limit=query.limit + 1,
    )
    page, more = query.cut(found, lambda each: each.line.line_id)
    views = [
        MatchView(
            line_view(each.line),
            [_proposal(one) for one in each.proposals],
            None if each.certain is None else each.certain.account,
        )
        for each in page
    ]
    return Preview(views, more)


async def process(call: Call[Nothing, ProcessRequest]) -> ProcessView:
    """Make payments of the next lines that are certain."""
    file = await files.get(call.conn, int(call.path["file_id"]))
    done = await pairing.process(
        call.conn,
        DOCUMENTS[INVOICE],
        file_id=file.file_id,
        after=call.body.after,
        threshold=call.body.threshold,
        actor=call.actor,
        now=call.now,
    )
    return ProcessView(done.paired, done.left, done.failed, done.last)


def _view(file: BankFile, *, repeated: bool = False) -> FileView:
    return FileView(
        id=file.file_id,
        format=file.format,
        name=file.name,
        digest=file.digest,
        octets=file.octets,
        actor=file.actor,
        imported_at=file.imported_at,
        lines=file.lines,
        repeated=repeated,
    )


def _proposal(of: Proposal) -> ProposalView:
    return ProposalView(of.account, of.invoices, of.score, of.reasons)


_ALL = "billing/bank-files/"
_ONE = "billing/bank-files/{file_id}"

ENDPOINTS = (
    endpoint(
        "POST",
        _ALL,
        "Import a bank file: CAMT.053, CAMT.054, MT940, OFX, or CSV",
        import_,
        roles=MONEY,
        body=FileRequest,
        answer=FileView,
        status=201,
        max_octets=_MAX_OCTETS,
    ),
    endpoint("GET", _ALL, "List bank files", list_, roles=READERS, query=Page, answer=Files),
    endpoint("GET", _ONE, "Read a bank file", get, roles=READERS, answer=FileView),
    endpoint(
        "GET",
        f"{_ONE}/content",
        "Get a bank file as it came",
        content,
        roles=MONEY,
        answer=File,
        media_types=("application/octet-stream",),
    ),
    endpoint(
        "GET",
        f"{_ONE}/preview",
        "Tell whose the lines of a bank file are",
        preview,
        roles=READERS,
        query=PreviewQuery,
        answer=Preview,
    ),
    endpoint(
        "POST",
        f"{_ONE}/process",
        "Make payments of the lines of a bank file that are certain, some hundred at a time",
        process,
        roles=MONEY,
        body=ProcessRequest,
        answer=ProcessView,
    ),
)
