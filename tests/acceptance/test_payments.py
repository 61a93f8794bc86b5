"""A customer's money on its whole way: store, ledger, statement and overview agree at each step.

`metered` costs 2 micros for each step of 1,000 octets begun.
"""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from zoneinfo import ZoneInfo

import msgspec

from billing.accounts import register as accounts
from billing.accounts.account import Particulars
from billing.accounts.live import balances
from billing.customers import register as customers
from billing.customers.customer import Details
from billing.database import Connection
from billing.ledger.period import period
from billing.ledger.search import search
from billing.ledger.statement import balance
from billing.ledger.transaction import Kind
from billing.overview.figures import customer_summary, overview
from billing.payments import chargebacks
from billing.payments.chargebacks import ChargebackStatus
from billing.payments.payment import Method
from billing.payments.refunds import refund
from billing.payments.register import NewPayment, receive
from billing.subscribers import register as subscribers
from billing.vouchers import batches
from billing.vouchers.redeeming import redeem
from ratewire.wiring import System, now
from tests.acceptance.books import Books
from tests.acceptance.conftest import Nas, World
from tests.acceptance.installation import eventually

EURO = 1_000_000
BY = "clerk"


class Seen(msgspec.Struct, frozen=True):
    """One account's money as each side tells it (micros)."""

    store: int
    ledger: int
    statement: int
    summary: int


class Desk:
    """A clerk with one customer, whose account has the same name."""

    def __init__(self, books: Books, account: str) -> None:
        self._books = books
        self.account = account

    def do(self, work: Callable[[System, Connection], Awaitable[None]]) -> None:
        """Do something, and bring it to the store."""

        async def done(system: System, conn: Connection) -> None:
            await work(system, conn)
            await (await system.relay()).drain([self.account])

        self._books.at_desk(done)

    def look(self) -> Seen:
        """The account's money on each side, as of now."""

        async def work(system: System, conn: Connection) -> Seen:
            live = await balances(conn, system.stream, self.account)
            today = now().date()
            zone = ZoneInfo("UTC")
            # Of one moment: settlement goes on meanwhile.
            async with conn.transaction(isolation="repeatable_read", readonly=True):
                made = await period(
                    conn,
                    self.account,
                    today - timedelta(days=1),
                    today + timedelta(days=2),
                    zone,
                )
                moved = sum(
                    found.amounts_micros.get("EUR", 0)
                    for found in await search(conn, account=self.account, limit=1000)
                )
            assert moved == made.closing_micros
            [summary] = await customer_summary(conn, self.account)
            for euro in await overview(conn, now()):
                assert sum(euro.ledgers_micros.values()) == 0
            ledger = await balance(conn, self.account)
            return Seen(live.current_micros, ledger, made.closing_micros, summary.balance_micros)

        return self._books.at_desk(work)

    def assert_has(self, micros: int) -> None:
        """All sides agree on this balance to the micro, once what was used is settled."""
        everywhere = Seen(micros, micros, micros, micros)
        eventually(lambda: self.look() == everywhere or None)
        found = self._books.reconcile()
        assert found.exact, found


def test_money_on_its_whole_way(books: Books, world: World, nas: Nas, user: str) -> None:
    desk = Desk(books, f"journey-{user}")
    account = desk.account
    codes: list[str] = []
    card: list[int] = []

    async def open_account(system: System, conn: Connection) -> None:
        await customers.create(conn, account, Details(name="Ada"), now=now())
        await accounts.create(
            conn, account, "EUR", particulars=Particulars(customer=account), now=now()
        )
        await subscribers.add(
            conn, system.keyring, user, account=account, plan="metered", now=now()
        )
        made = await batches.create(
            conn, currency="EUR", amount_micros=5 * EURO, vouchers=1, actor=BY, now=now()
        )
        codes.extend(made.codes)

    desk.do(open_account)
    desk.assert_has(0)

    async def use_voucher(_: System, conn: Connection) -> None:
        for _again in range(2):
            await redeem(conn, account, codes[0], actor=account, now=now())

    desk.do(use_voucher)
    desk.assert_has(5 * EURO)

    async def pay(_: System, conn: Connection) -> None:
        for _again in range(2):
            new = NewPayment(account, 10 * EURO, Method.CARD, key="receipt 1")
            card.append((await receive(conn, new, actor=BY, now=now())).payment.payment_id)
        assert len(set(card)) == 1

    desk.do(pay)
    desk.assert_has(15 * EURO)

    login = world.login(user)
    nas.send(login.start())
    nas.send(login.interim(300, 100_000_000, 400_000_000))
    nas.send(login.stop(600, 200_000_000, 800_000_000))
    used = 1_000_000 * 2
    desk.assert_has(15 * EURO - used)

    async def give_back(_: System, conn: Connection) -> None:
        for _again in range(2):
            await refund(
                conn, card[0], 4 * EURO, reason="moved away", key="refund 1", actor=BY, now=now()
            )

    desk.do(give_back)
    desk.assert_has(11 * EURO - used)

    async def charged_back(_: System, conn: Connection) -> None:
        opened = await chargebacks.open_(conn, card[0], reference="bank 1", actor=BY, now=now())
        assert opened.amount_micros == 6 * EURO
        for _again in range(2):
            await chargebacks.close(
                conn, opened.chargeback_id, ChargebackStatus.LOST, {}, actor=BY, now=now()
            )

    desk.do(charged_back)
    desk.assert_has(5 * EURO - used)

    kinds = [row.kind for row in books.ledger(account)]
    assert kinds[:2] == [Kind.PAYMENT, Kind.PAYMENT]
    assert kinds.count(Kind.REFUND) == 1
    assert set(kinds) <= {Kind.PAYMENT, Kind.USAGE, Kind.REFUND, Kind.CHARGEBACK}
