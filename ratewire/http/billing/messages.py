"""Messages to customers over HTTP: what became of them, and the templates that they follow."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from billing.delivery import outbox
from billing.delivery.message import MessageKind, template
from billing.delivery.outbox import Message
from billing.entities.entity import LANGUAGES
from ratewire.http.endpoint import CARE, READERS, Call, Nothing, Page, endpoint


class Messages(msgspec.Struct, frozen=True):
    """Messages, newest first."""

    data: list[Message]
    next: str | None


class MessagesQuery(Page, frozen=True):
    """Which messages."""

    account: str | None = None
    status: Literal["queued", "sent", "failed"] | None = None


class Template(msgspec.Struct, frozen=True):
    """A template (Jinja): its first line is the subject."""

    kind: MessageKind
    language: str
    text: Annotated[str, Meta(examples=["Invoice {{ number }}"])]


class Templates(msgspec.Struct, frozen=True):
    """All templates."""

    data: list[Template]


async def list_(call: Call[MessagesQuery, Nothing]) -> Messages:
    """List messages."""
    query = call.query
    found = await outbox.list_(
        call.conn,
        account=query.account,
        status=query.status,
        limit=query.limit + 1,
        before=query.number(),
    )
    page, more = query.cut(found, lambda each: each.message_id)
    return Messages(list(page), more)


async def again(call: Call[Nothing, Nothing]) -> None:
    """Queue one that failed once more."""
    await outbox.send_again(call.conn, int(call.path["message_id"]))


async def templates(_call: Call[Nothing, Nothing]) -> Templates:
    """List the templates."""
    return Templates(
        [
            Template(kind, language, template(kind, language))
            for kind in MessageKind
            for language in LANGUAGES
        ]
    )


ENDPOINTS = (
    endpoint(
        "GET",
        "billing/messages/",
        "List messages to customers",
        list_,
        roles=READERS,
        query=MessagesQuery,
        answer=Messages,
    ),
    endpoint(
        "POST",
        "billing/messages/{message_id}/retry",
        "Send a message that failed once more",
        again,
        roles=CARE,
        answer=None,
        status=204,
    ),
    endpoint(
        "GET",
        "billing/templates/",
        "List the templates of messages",
        templates,
        roles=READERS,
        answer=Templates,
    ),
)
