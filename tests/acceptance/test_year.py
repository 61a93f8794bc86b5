"""A year of an account, month by month by a moved clock: each document and the books are exact.

Everything is real: `ratewire serve`, a NAS that reports and is told to disconnect, the ledger, the
store. The scheduler of the running system goes by the same moved clock; whatever it does first is
not done again. `metered` costs 2 micros for each step of 1,000 octets begun.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime

import pytest

from billing.accounts import register as accounts
from billing.accounts.account import Particulars, PaymentMode
from billing.clock import moved
from billing.coupons import register as coupons
from billing.coupons.discount import Terms
from billing.coupons.register import Coupon
from billing.cycles import run, schedule
from billing.cycles.calendar import Alignment
from billing.database import Connection
from billing.dunning import campaigns, processes
from billing.dunning.campaign import Action, Campaign, Step
from billing.invoices.settling import InvoiceDocuments
from billing.offers import register as offers
from billing.offers.offer import Offer, RecurringCharge
from billing.payment_plans import register as plans
from billing.payments.allocation import allocate_oldest
from billing.payments.payment import Method, PaymentStatus
from billing.payments.refunds import refund
from billing.payments.register import NewPayment, receive
from billing.services import register as services
from billing.subscribers import register as subscribers
from ratewire.wiring import System, now
from tests.acceptance.books import Books
from tests.acceptance.conftest import World
from tests.acceptance.installation import eventually
from tests.acceptance.pyrad_nas import PyradNas
from tests.billing.invoices.making import open_business

CENT = 10_000
CUT_S = 30.0
BY = "clerk"


def offer(name: str, micros: int) -> Offer:
    fee = RecurringCharge(code="access", description=f"Access {name}", amount_micros=micros)
    return Offer(name=name, version=1, currency="EUR", plan="metered", recurring=(fee,))


CAMPAIGN = Campaign(
    name="year",
    steps=(
        Step(3, Action.REMIND),
        Step(14, Action.SUSPEND),
        Step(14, Action.REACTIVATION_FEE, {"EUR": 1000 * CENT}),
    ),
    threshold_micros={"EUR": 100 * CENT},
)


class Desk:
    """A clerk, at a time that is moved."""

    def __init__(self, books: Books, account: str) -> None:
        self._books = books
        self.account = account
        self.now = now()

    def at(self, month: int, day: int, hour: int = 12) -> None:
        """Move the clock of the billing side."""
        self.now = datetime(2027, month, day, hour, tzinfo=UTC)

        async def work(_: System, conn: Connection) -> None:
            await moved.move(conn, self.now, now())

        self.do(work)

    def do(self, work: Callable[[System, Connection], Awaitable[None]]) -> None:
        """Do something, and bring it to the store."""

        async def done(system: System, conn: Connection) -> None:
            await work(system, conn)
            await (await system.relay()).drain([self.account])

        self._books.at_desk(done)

    def bill(self, month: int, day: int = 1) -> None:
        """Let the run of a day bill what is due."""
        self.at(month, day, 9)

        async def work(system: System, _: Connection) -> None:
            await run.run(await system.pool(), at=self.now, actor=BY, now=self.now)

        self.do(work)

    def dun(self) -> None:
        async def work(_: System, conn: Connection) -> None:
            await processes.look_at(conn, self.account, self.now)

        self.do(work)

    def pay(self, cents: int, status: PaymentStatus = PaymentStatus.SUCCEEDED) -> int:
        """Take a payment, and put it on the invoices that are due first."""
        made: list[int] = []

        async def work(_: System, conn: Connection) -> None:
            new = NewPayment(self.account, cents * CENT, Method.BANK_TRANSFER, status)
            payment = (await receive(conn, new, actor=BY, now=self.now)).payment
            made.append(payment.payment_id)
            if status is PaymentStatus.SUCCEEDED:
                await allocate_oldest(
                    conn, payment.payment_id, "invoice", InvoiceDocuments(), actor=BY, now=self.now
                )

        self.do(work)
        return made[0]

    def rows(self, query: str) -> list[tuple[object, ...]]:
        """Rows about the account, which is $1."""

        async def work(_: System, conn: Connection) -> list[tuple[object, ...]]:
            return [tuple(row) for row in await conn.fetch(query, self.account)]

        return self._books.at_desk(work)

    def invoices(self) -> list[tuple[object, ...]]:
        """Day, net and tax in cents, and the state of each invoice, oldest first."""
        return self.rows(
            "SELECT issued_on, (net_micros / 10000)::int, (tax_micros / 10000)::int, status"
            " FROM invoices WHERE account_id = $1 ORDER BY invoice_id"
        )

    def balance(self) -> int:
        """The account's balance by the ledger, in cents."""
        [(micros,)] = self.rows(
            "SELECT -coalesce(sum(amount_micros), 0)::bigint FROM ledger_postings"
            " JOIN ledgers USING (ledger) WHERE account_id = $1 AND of_customer"
        )
        assert isinstance(micros, int)
        assert micros % CENT == 0
        return micros // CENT


@pytest.fixture
def desk(books: Books, user: str) -> Desk:
    """The account, its subscriber, what is sold and how debts are dunned."""
    made = Desk(books, f"year-{user}")
    made.at(1, 1, 9)

    async def work(system: System, conn: Connection) -> None:
        await open_business(conn)
        await offers.load_offers(
            conn, [offer("home", 3100 * CENT), offer("plus", 6200 * CENT)], now()
        )
        await campaigns.put(conn, CAMPAIGN, now=made.now)
        await accounts.create(
            conn, made.account, "EUR", PaymentMode.POSTPAID, credit_limit_micros=None,
            particulars=Particulars(time_zone="Europe/Berlin"), now=made.now,
        )  # fmt: skip
        await subscribers.add(
            conn, system.keyring, user, account=made.account, plan="metered", now=made.now
        )
        await campaigns.set_account(
            conn, made.account, campaign="year", excluded=False, reason="test"
        )
        async with conn.transaction():
            await schedule.set_cycle(conn, made.account, alignment=Alignment.CALENDAR, now=made.now)
        terms = Terms(basis_points=1000, cycles=3, charges=("access",))
        code = f"TEN-{made.account.partition('@')[0]}"
        await coupons.create(conn, Coupon(code=code, description="Ten", terms=terms), made.now)
        await coupons.redeem(
            conn, code, made.account, today=made.now.date(), actor=BY, now=made.now
        )

    made.do(work)
    return made


def test_a_year_of_an_account(
    world: World, books: Books, pyrad_nas: PyradNas, user: str, desk: Desk
) -> None:
    service: list[int] = []

    async def begin(_: System, conn: Connection) -> None:
        entry = await services.order(
            conn, desk.account, "home", username=user, actor=BY, now=desk.now
        )
        await services.start(conn, entry.service, actor=BY, now=desk.now)
        service.append(entry.service)

    desk.do(begin)
    desk.bill(1)
    assert desk.invoices() == [(date(2027, 1, 1), 2790, 530, "open")]

    # January: 500,000,000 octets are EUR 1.00, settled before the bill of February
    login = world.login(user, "year-1")
    pyrad_nas.send(login.start(), login.stop(600, 100_000_000, 400_000_000))
    eventually(lambda: desk.balance() == -3320 - 100 or None)
    desk.bill(2)
    assert desk.invoices()[1:] == [(date(2027, 2, 1), 2890, 549, "open")]
    desk.pay(3320 + 3439)
    assert desk.balance() == 0
    assert [row[3] for row in desk.invoices()] == ["paid", "paid"]

    # An upgrade in mid-month: 14 of 28 days, and the coupon holds for both
    desk.at(2, 15)

    async def upgrade(_: System, conn: Connection) -> None:
        await services.change(conn, service[0], "plus", actor=BY, now=desk.now)

    desk.do(upgrade)
    desk.bill(2, 16)
    assert desk.invoices()[2:] == [(date(2027, 2, 16), 1395, 265, "open")]
    desk.bill(3)
    assert desk.invoices()[3:] == [(date(2027, 3, 1), 5580, 1060, "open")]

    # A payment that fails is none, and the debt is dunned to the suspension
    desk.pay(1660, PaymentStatus.FAILED)
    assert desk.balance() == -1660 - 6640
    second = world.login(user, "year-2")
    pyrad_nas.send(second.start(), second.interim(300, 20_000_000, 80_000_000))
    with world.coa_port(pyrad_nas.address) as coa_port:
        desk.at(3, 16)
        desk.dun()
        request = coa_port.receive(CUT_S)
        assert request is not None
        assert request.session_id == "year-2"
        coa_port.acknowledge(request)
        pyrad_nas.send(second.stop(301, 20_000_000, 80_000_000))
        coa_port.pass_over()

    # A payment plan restores the service; a session is accepted again
    plan: list[plans.PaymentPlan] = []

    async def agree(_: System, conn: Connection) -> None:
        plan.append(
            await plans.create(
                conn, desk.account, number=2, first_due=date(2027, 3, 20), actor=BY, now=desk.now
            )
        )

    desk.do(agree)
    assert [part.amount_micros // CENT for part in plan[0].instalments] == [4150, 4150]
    desk.dun()
    assert desk.invoices()[4:] == [(date(2027, 3, 16), 1000, 190, "open")]
    third = world.login(user, "year-3")
    pyrad_nas.send(third.start())
    [live] = eventually(lambda: books.open_sessions(user))
    assert not live.cutting
    pyrad_nas.send(third.stop(60, 0, 0))

    desk.at(3, 20)
    desk.pay(4150)
    eventually(lambda: desk.balance() == -4150 - 1190 - 20 or None)
    desk.bill(4)  # EUR 62.00, and 0.20 for 100,000,000 octets; the coupon is used up
    assert desk.invoices()[5:] == [(date(2027, 4, 1), 6220, 1182, "open")]
    desk.pay(4150 + 1190 + 7402)
    assert desk.balance() == 0
    eventually(
        lambda: (
            desk.rows("SELECT status FROM payment_plans WHERE account_id = $1") == [("completed",)]
            or None
        )
    )

    # A season without service is not billed
    desk.bill(5)
    desk.pay(7378)

    async def pause(_: System, conn: Connection) -> None:
        await services.pause(
            conn, service[0], on=date(2027, 6, 1), until=date(2027, 7, 1), reason="summer",
            actor=BY, now=desk.now,
        )  # fmt: skip

    desk.do(pause)
    desk.bill(6)
    assert [row[0] for row in desk.invoices()[6:]] == [date(2027, 5, 1)]
    desk.bill(7)
    desk.bill(8)
    assert desk.invoices()[7:] == [
        (date(2027, 7, 1), 6200, 1178, "open"),
        (date(2027, 8, 1), 6200, 1178, "open"),
    ]
    last = desk.pay(2 * 7378)

    # The end: 21 of 31 days are given back, with their tax, and refunded
    desk.at(8, 11)

    async def cancel(_: System, conn: Connection) -> None:
        await services.cancel(conn, service[0], reason="moved", actor=BY, now=desk.now)

    desk.do(cancel)
    desk.bill(8, 12)
    notes = desk.rows(
        "SELECT (net_micros / 10000)::int, (tax_micros / 10000)::int FROM credit_notes"
        " WHERE account_id = $1"
    )
    assert notes == [(4200, 798)]
    assert desk.balance() == 4998
    for month in (9, 10, 11, 12):
        desk.bill(month)
    assert len(desk.invoices()) == 9
    assert all(row[3] == "paid" for row in desk.invoices())

    async def give_back(_: System, conn: Connection) -> None:
        await refund(conn, last, 4998 * CENT, reason="moved", actor=BY, now=desk.now)

    desk.do(give_back)
    assert desk.balance() == 0
    kinds = desk.rows(
        "SELECT kind, count(*) FROM billing_transactions WHERE account_id = $1 GROUP BY kind"
        " ORDER BY kind"
    )
    told = {kind: number for kind, number in kinds}  # noqa: C416 -- for the type checker
    assert (told["invoice"], told["payment"], told["credit_note"], told["refund"]) == (9, 5, 1, 1)
    found = books.reconcile()
    assert found.exact, found
