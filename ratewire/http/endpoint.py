"""What an endpoint is: declared once; routing, checks, roles and OpenAPI follow from it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Final, Generic, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import Meta

from billing.database import Connection
from billing.identifiers import IDENTIFIER
from billing.tokens.register import Role
from ratewire.http.problems import BadRequest, Fault
from ratewire.wiring import System

Query = TypeVar("Query")
Body = TypeVar("Body")
Row = TypeVar("Row")

MAX_PAGE: Final = 1000
MAX_BODY_OCTETS: Final = 1024 * 1024

#: How accounts and customers may be called.
Name: TypeAlias = Annotated[str, Meta(pattern=f"^{IDENTIFIER}$", examples=["acme-7"])]
Currency: TypeAlias = Annotated[str, Meta(pattern="^[A-Z]{3}$", examples=["EUR"])]

READERS: Final = frozenset(Role)
MONEY: Final = frozenset({Role.ADMIN, Role.FINANCE})
CARE: Final = frozenset({Role.ADMIN, Role.FINANCE, Role.SUPPORT})
SERVICE: Final = frozenset({Role.ADMIN, Role.SUPPORT})
ADMIN: Final = frozenset({Role.ADMIN})


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No query, or no body."""


class Page(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which part of a listing: `cursor` is the `next` of the page before."""

    cursor: str | None = None
    limit: Annotated[int, Meta(ge=1, le=MAX_PAGE)] = 100

    def cut(
        self, found: Sequence[Row], place: Callable[[Row], object]
    ) -> tuple[Sequence[Row], str | None]:
        """Cut rows, of which one more than `limit` was asked for, to what is on the page.

        Returns them with the cursor of the next page: the `place` of the last one; None at the end.
        """
        page = found[: self.limit]
        return page, str(place(page[-1])) if len(found) > self.limit else None

    def number(self) -> int | None:
        """The cursor of a listing by number. Raises BadRequest."""
        return None if self.cursor is None else number_of(self.cursor)


def number_of(cursor: str) -> int:
    """Return the number that a cursor is. Raises BadRequest."""
    if not (cursor.isascii() and cursor.isdecimal()) or len(cursor) > 18:
        raise BadRequest(Fault("?cursor", "allowed is the `next` of another page"))
    return int(cursor)


class Call(Generic[Query, Body]):
    """One request that was let in and understood.

    `conn` is in a transaction if the endpoint changes anything, which is committed before the
    answer is sent; `actor` is who is written into the books, `revision` what If-Match asks for
    (None: any).
    """

    def __init__(
        self,
        system: System,
        path: Mapping[str, str],
        query: Query,
        body: Body,
        *,
        actor: str,
        key: str | None,
        revision: int | None,
        now: datetime,
    ) -> None:
        self.system = system
        self.conn: Connection
        self.path = path
        self.query = query
        self.body = body
        self.actor = actor
        self.key = key
        self.revision = revision
        self.now = now


class Endpoint(msgspec.Struct, frozen=True):
    """One method of one path. Made by `endpoint`, which checks that its types fit together.

    With `media_types` it answers with a file (billing.documents.archive.File) of one of them. A
    body has at most `max_octets`.
    """

    method: Literal["GET", "POST", "PATCH", "PUT", "DELETE"]
    path: str
    summary: str
    roles: frozenset[Role]
    query: type[Any]
    body: type[Any]
    answer: Any
    handler: Callable[[Call[Any, Any]], Awaitable[Any]]
    status: int = 200
    tag: str = ""
    media_types: tuple[str, ...] = ()
    told_once: bool = False
    max_octets: int = MAX_BODY_OCTETS

    @property
    def changes(self) -> bool:
        """Whether it changes anything."""
        return self.method != "GET"

    @property
    def body_may_be_missing(self) -> bool:
        """Whether a request without a body says enough: no field has to be given."""
        return self.method == "POST" and not any(
            field.required for field in msgspec.structs.fields(self.body)
        )

    @property
    def numbers(self) -> tuple[str, ...]:
        """The parts of the path that are numbers, by name."""
        return tuple(part[1:-1] for part in self.path.split("/") if part.endswith("_id}"))


def endpoint(
    method: Literal["GET", "POST", "PATCH", "PUT", "DELETE"],
    path: str,
    summary: str,
    handler: Callable[[Call[Query, Body]], Awaitable[Any]],
    *,
    roles: frozenset[Role],
    answer: Any,
    query: type[Query] = Nothing,
    body: type[Body] = Nothing,
    status: int = 200,
    media_types: tuple[str, ...] = (),
    told_once: bool = False,
    max_octets: int = MAX_BODY_OCTETS,
) -> Endpoint:
    """Declare an endpoint. `path` is below /api/v1/; `{x_id}` in it is a number, `{x}` a name.

    `told_once`: its answer has a secret, which is not kept for who sends the request again.
    """
    tag = path.split("/")[1] if path.startswith("billing/") else path.split("/")[0]
    return Endpoint(
        *(method, f"/api/v1/{path}", summary, roles, query, body, answer, handler),
        *(status, tag, media_types, told_once, max_octets),
    )
