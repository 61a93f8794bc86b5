"""A message is queued with what causes it, or not at all."""

import pytest

from billing.database import Connection
from billing.delivery import outbox
from billing.delivery.message import MessageKind
from billing.errors import Conflict
from billing.invoices import drafts
from tests.billing.invoices.making import NOW, asked, open_account
from tests.billing.invoices.test_finalizing import issue


async def test_what_is_rolled_back_sends_nothing(conn: Connection) -> None:
    transaction = conn.transaction()
    await transaction.start()
    invoice = await issue(conn, asked(buyer=None))
    await outbox.send_invoice(conn, invoice, now=NOW)
    await transaction.rollback()
    assert await outbox.list_(conn) == []
    assert not await conn.fetch("SELECT FROM pgqueuer")


async def test_messages_are_in_the_customers_language_and_can_be_listed(conn: Connection) -> None:
    invoice = await issue(conn, asked(buyer=None))
    await outbox.send_invoice(conn, invoice, now=NOW)
    await outbox.tell(conn, "anna", MessageKind.LOW_BALANCE, 500_000, "EUR", now=NOW)
    low, sent = await outbox.list_(conn, account="anna", status="queued")
    assert (sent.subject, sent.recipient) == (
        *("Nordlicht Internet GmbH: Rechnung INV-2026-00001", "anna@example.net"),
    )
    assert low.subject == "Nordlicht Internet GmbH: Ihr Guthaben ist fast aufgebraucht"
    assert await conn.fetchval("SELECT count(*) FROM pgqueuer WHERE entrypoint = 'mail'") == 2


async def test_what_cannot_be_sent_is_refused(conn: Connection) -> None:
    draft = await drafts.create(conn, asked(), now=NOW)
    with pytest.raises(Conflict, match="is draft: not sent"):
        await outbox.send_invoice(conn, draft, now=NOW)
    await open_account(conn, "bert")
    with pytest.raises(Conflict, match="bert has no e-mail address"):
        await outbox.tell(conn, "bert", MessageKind.SUSPENSION, 1, "EUR", now=NOW)
    with pytest.raises(Conflict, match="did not fail"):
        await outbox.send_again(conn, 1)
