"""Fees are invoiced at once; services end with their final bill due."""

from billing.accounts import register as accounts
from billing.cycles import schedule
from billing.database import Connection
from billing.dunning.effects import cancel_services, charge_fee
from billing.offers import register as offers
from billing.offers.offer import Offer
from billing.services import listing
from billing.services import register as services
from tests.billing.dunning.conftest import ISSUED, due


async def test_a_fee_of_nothing_and_one_of_a_prepaid_account_have_no_invoice(
    world: Connection,
) -> None:
    await accounts.create(world, "pre", "EUR", now=ISSUED)
    async with world.transaction():
        assert await charge_fee(world, "alice", "Fee", 0, actor="t", now=ISSUED) is None
        assert await charge_fee(world, "pre", "Fee", 10_000, actor="t", now=ISSUED) is None


async def test_all_services_of_an_account_are_cancelled(world: Connection) -> None:
    await offers.load_offers(world, [Offer(name="o", version=1, currency="EUR")], ISSUED)
    for _ in range(2):
        entry = await services.order(world, "alice", "o", actor="t", now=ISSUED)
        await services.start(world, entry.service, actor="t", now=ISSUED)
    assert await cancel_services(world, "alice", reason="debt", actor="t", now=due(0)) == 2
    assert await cancel_services(world, "alice", reason="debt", actor="t", now=due(0)) == 0
    ended = [each.cancelled_on for each in await listing.list_(world, "alice")]
    assert ended == [due(0).date()] * 2
    assert (await schedule.get(world, "alice")).next_bill_on == ISSUED.date()
