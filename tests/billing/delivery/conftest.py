"""A real SMTP server, and a customer who reads mail."""

import socket
from collections.abc import AsyncIterator
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from billing.customers import register as customers
from billing.customers.customer import Details
from billing.database import Connection
from billing.delivery.sending import Smtp
from billing.documents.storage import FileStorage
from tests.billing.invoices.making import NOW, open_account, open_business
from tests.support.ports import free_port


class Post:
    """What an SMTP server was sent; `refuse` is what it answers instead of taking a message."""

    def __init__(self) -> None:
        self.messages: list[EmailMessage] = []
        self.refuse: list[str] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        if self.refuse:
            return self.refuse.pop(0)
        self.messages.append(BytesParser(policy=default).parsebytes(envelope.content))
        return "250 OK"


@pytest.fixture
async def post() -> Post:
    """What arrives."""
    return Post()


@pytest.fixture
async def smtp(post: Post) -> AsyncIterator[Smtp]:
    """A server that takes everything, without TLS."""
    controller = Controller(post, hostname="127.0.0.1", port=free_port(socket.SOCK_STREAM))
    controller.start()
    yield Smtp("127.0.0.1", controller.port, "billing@nordlicht.example", "none", timeout_s=10)
    controller.stop()


@pytest.fixture
def storage(tmp_path: Path) -> FileStorage:
    """An empty storage."""
    return FileStorage(tmp_path / "documents")


@pytest.fixture(autouse=True)
async def anna(conn: Connection) -> None:
    """The seller, and an account of a customer with an e-mail address."""
    await open_business(conn)
    await open_account(conn)
    details = Details(name="Anna Beispiel", email="anna@example.net", country="DE")
    await customers.create(conn, "anna", details, now=NOW)
    await conn.execute(
        "UPDATE customer_billing_accounts SET customer_id = 'anna', language = 'de'"
        " WHERE account_id = 'anna'"
    )
