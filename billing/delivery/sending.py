"""Sending what is queued by SMTP.

A message is sent at least once: if we die between the server's answer and our commit, it goes
again, under the same Message-ID, by which mail programs know it.
"""

from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any, Final, Literal

import aiosmtplib
import msgspec

from billing.database import Connection, Pool
from billing.documents.archive import DocumentKind, File, Format, fetch
from billing.documents.storage import Storage
from billing.entities import register as entities
from billing.invoices.lifecycle import mark_sent
from billing.statements import load

SQL = load(__package__, "queries.sql")

#: The first reply code that says no for good (RFC 5321, 4.2.1).
_FOR_GOOD: Final = 500


class NotSent(Exception):
    """A message that is to be tried again; the message says why."""


class Smtp(msgspec.Struct, frozen=True):
    """A server to send by. `security`: TLS from the beginning, by STARTTLS (required), or none.

    `attach` False: documents are not attached, the text links to them.
    """

    host: str
    port: int
    sender: str
    security: Literal["tls", "starttls", "none"] = "starttls"
    user: str | None = None
    password: str | None = None
    timeout_s: float = 30.0
    attach: bool = True

    def __repr__(self) -> str:
        """Without the password."""
        return f"Smtp({self.host}:{self.port}, {self.security})"


class Mailer:
    """Sends messages of the outbox."""

    def __init__(self, pool: Pool, storage: Storage, smtp: Smtp, last_attempt: int) -> None:
        """At attempt number `last_attempt` a message that still cannot be sent has failed."""
        self._pool = pool
        self._storage = storage
        self._smtp = smtp
        self._last_attempt = last_attempt

    async def deliver(self, message_id: int, now: datetime) -> bool:
        """Send a message unless it was sent; return whether it was sent now.

        Raises NotSent if it is to be tried again. One that is refused for good, or that was tried
        often enough, has failed, which its row says.
        """
        async with self._pool.acquire() as conn:
            try:
                async with conn.transaction():
                    row = await conn.fetchrow(SQL["claim"], message_id)
                    if row is None:
                        return False
                    try:
                        await self._send(await self._compose(conn, row, now))
                    except (aiosmtplib.SMTPException, OSError) as error:
                        raise _Unsent(row["attempts"], error) from error
                    await conn.execute(SQL["sent"], message_id, now)
                    if row["document_kind"] == DocumentKind.INVOICE:
                        await mark_sent(conn, row["document_id"], now=now)
                    return True
            except _Unsent as unsent:
                failed = unsent.for_good or unsent.attempts >= self._last_attempt
                await conn.execute(
                    SQL["failed"],
                    message_id,
                    unsent.reason,
                    "failed" if failed else "queued",
                    unsent.attempts,
                )
                if failed:
                    return False
                raise NotSent(f"message {message_id}: {unsent.reason}") from unsent

    async def _compose(self, conn: Connection, row: Any, now: datetime) -> EmailMessage:
        seller = await entities.get(conn, row["entity"])
        message = EmailMessage()
        user, _, domain = self._smtp.sender.partition("@")
        message["From"] = Address(seller.name, user, domain)
        message["To"] = row["recipient"]
        message["Subject"] = row["subject"]
        message["Date"] = format_datetime(row["created_at"])
        message["Message-ID"] = f"<ratewire-{row['message_id']}@{domain}>"
        message["Auto-Submitted"] = "auto-generated"
        if seller.email:
            message["Reply-To"] = seller.email
        message.set_content(row["body"])
        if row["document_kind"] is not None and self._smtp.attach:
            kind = DocumentKind(row["document_kind"])
            file = await fetch(conn, self._storage, kind, row["document_id"], Format.PDF, now=now)
            _attach(message, file)
        return message

    async def _send(self, message: EmailMessage) -> None:
        smtp = self._smtp
        await aiosmtplib.send(
            message,
            hostname=smtp.host,
            port=smtp.port,
            username=smtp.user,
            password=smtp.password,
            use_tls=smtp.security == "tls",
            start_tls=smtp.security == "starttls",
            timeout=smtp.timeout_s,
        )


class _Unsent(Exception):
    def __init__(self, attempts: int, error: Exception) -> None:
        super().__init__(str(error))
        self.attempts = attempts
        self.reason = f"{type(error).__name__}: {error}"[:500]
        self.for_good = _refused_for_good(error)


def _refused_for_good(error: Exception) -> bool:
    """Whether a server refuses this recipient or message, and not just now."""
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        return all(each.code >= _FOR_GOOD for each in error.recipients)
    # A login that is refused is a fault of ours, which may be mended.
    if isinstance(error, aiosmtplib.SMTPAuthenticationError):
        return False
    return isinstance(error, aiosmtplib.SMTPResponseException) and error.code >= _FOR_GOOD


def _attach(message: EmailMessage, file: File) -> None:
    kind, _, subkind = file.media_type.partition("/")
    message.add_attachment(file.octets, maintype=kind, subtype=subkind, filename=file.name)
