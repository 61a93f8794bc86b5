"""What a message says: a template by language and kind, of which the first line is the subject."""

import enum
from typing import Final

import jinja2
import msgspec


class MessageKind(enum.StrEnum):
    """What a customer is told."""

    INVOICE = "invoice"
    RECEIPT = "receipt"
    REMINDER = "reminder"
    LOW_BALANCE = "low_balance"
    SUSPENSION = "suspension"


class Values(msgspec.Struct, frozen=True, kw_only=True):
    """What is put into a template, worded already; what does not apply is empty."""

    seller: str
    name: str
    title: str = ""
    number: str = ""
    total: str = ""
    left: str = ""
    others: str = ""
    due: str = ""
    link: str = ""


class Worded(msgspec.Struct, frozen=True):
    """A message's subject, which is one line, and its text."""

    subject: str
    body: str


_environment: Final = jinja2.Environment(
    loader=jinja2.PackageLoader(__package__ or "", "templates"),
    undefined=jinja2.StrictUndefined,
    autoescape=False,  # noqa: S701 - plain text, in which nothing is to be escaped
    keep_trailing_newline=True,
)


def template(kind: MessageKind, language: str) -> str:
    """Return the text of a template."""
    loader = _environment.loader
    assert loader is not None
    return loader.get_source(_environment, f"{language}/{kind}.txt")[0]


def worded(kind: MessageKind, language: str, values: Values) -> Worded:
    """Return a message in a language that there are templates for."""
    template = _environment.get_template(f"{language}/{kind}.txt")
    # Names come from customers: none of them begins a line of its own.
    given = {
        name: " ".join(text.splitlines()) for name, text in msgspec.structs.asdict(values).items()
    }
    subject, _, body = template.render(given).partition("\n")
    return Worded(subject, body)
