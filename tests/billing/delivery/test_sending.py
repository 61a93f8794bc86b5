"""Messages arrive at a real server, once refused are told so, and are tried again."""

import asyncio

import msgspec
import pytest

from billing.database import Connection, Pool
from billing.delivery import outbox
from billing.delivery.sending import Mailer, NotSent, Smtp
from billing.documents.storage import FileStorage
from billing.invoices import reading
from billing.upkeep.scheduler import Scheduler
from tests.billing.delivery.conftest import Post
from tests.billing.documents.test_typesetting import text_of
from tests.billing.invoices.making import NOW, asked
from tests.billing.invoices.test_finalizing import issue


async def queued(conn: Connection) -> tuple[int, int]:
    """An invoice, and the message that brings it."""
    invoice = await issue(conn, asked(buyer=None))
    return invoice, await outbox.send_invoice(conn, invoice, now=NOW)


async def test_an_invoice_arrives_with_its_pdf(
    conn: Connection, pool: Pool, storage: FileStorage, smtp: Smtp, post: Post
) -> None:
    invoice, message = await queued(conn)
    mailer = Mailer(pool, storage, smtp, 3)
    assert await mailer.deliver(message, NOW)
    assert not await mailer.deliver(message, NOW)
    [received] = post.messages
    assert received["To"] == "anna@example.net"
    assert received["From"] == "Nordlicht Internet GmbH <billing@nordlicht.example>"
    assert received["Message-ID"] == f"<ratewire-{message}@nordlicht.example>"
    body = received.get_body()
    assert body is not None
    assert "Bitte zahlen Sie 35,69\u00a0EUR bis zum 28.03.2026" in body.get_content()
    [attachment] = received.iter_attachments()
    assert "INV-2026-00001" in text_of(attachment.get_content())
    [told] = await outbox.list_(conn)
    assert (told.status, told.attempts, told.sent_at) == ("sent", 1, NOW)
    assert (await reading.get(conn, invoice, NOW)).sent_at == NOW


async def test_what_fails_for_now_is_tried_again_and_then_has_failed(
    conn: Connection, pool: Pool, storage: FileStorage, smtp: Smtp, post: Post
) -> None:
    _, message = await queued(conn)
    mailer = Mailer(pool, storage, smtp, 2)
    post.refuse = ["451 try later", "451 try later"]
    with pytest.raises(NotSent, match="451"):
        await mailer.deliver(message, NOW)
    [told] = await outbox.list_(conn)
    assert (told.status, told.attempts) == ("queued", 1)
    assert not await mailer.deliver(message, NOW)
    [told] = await outbox.list_(conn)
    assert (told.status, told.attempts) == ("failed", 2)
    await outbox.send_again(conn, message)
    assert await mailer.deliver(message, NOW)
    assert len(post.messages) == 1


async def test_what_is_refused_for_good_has_failed_at_once(
    conn: Connection, pool: Pool, storage: FileStorage, smtp: Smtp, post: Post
) -> None:
    _, message = await queued(conn)
    post.refuse = ["550 no such mailbox"]
    assert not await Mailer(pool, storage, smtp, 5).deliver(message, NOW)
    [told] = await outbox.list_(conn, status="failed")
    assert "550" in told.error


async def test_without_a_server_it_waits_and_a_link_attaches_nothing(
    conn: Connection, pool: Pool, storage: FileStorage, smtp: Smtp, post: Post
) -> None:
    _, message = await queued(conn)
    away = msgspec.structs.replace(smtp, port=1)
    with pytest.raises(NotSent):
        await Mailer(pool, storage, away, 5).deliver(message, NOW)
    secured = msgspec.structs.replace(smtp, security="starttls")
    with pytest.raises(NotSent, match="STARTTLS"):
        await Mailer(pool, storage, secured, 5).deliver(message, NOW)
    linked = msgspec.structs.replace(smtp, attach=False)
    assert await Mailer(pool, storage, linked, 5).deliver(message, NOW)
    assert list(post.messages[0].iter_attachments()) == []
    assert "secret" not in repr(msgspec.structs.replace(smtp, password="secret"))


async def test_the_scheduler_sends_what_is_queued_and_tries_again(
    conn: Connection, pool: Pool, storage: FileStorage, smtp: Smtp, post: Post
) -> None:
    stop = asyncio.Event()
    mailer = Mailer(pool, storage, smtp, 5)
    post.refuse = ["451 try later"]
    scheduler = Scheduler(pool, lambda: NOW, mailer.deliver)
    await queued(conn)
    running = asyncio.create_task(scheduler.run(stop))
    async with asyncio.timeout(60):
        while not post.messages:
            await asyncio.sleep(0.1)
    stop.set()
    await running
    [told] = await outbox.list_(conn)
    assert (told.status, told.attempts) == ("sent", 2)
