"""Commits and movements of the store in memory: refused as a whole, they leave nothing."""

import pytest
from msgspec.structs import replace

from balances.errors import StoreRefused
from balances.memory.booking import Booking, Moving
from balances.memory.partition import Partition, Wake
from balances.messages import (
    AnyMovement,
    CutCause,
    DropSubscriber,
    OpenAccount,
    Post,
    PutSubscriber,
    Status,
    Step,
    Subscriber,
)
from tests.balances.world import ALICE, NAS, SESSION, SIBLING, START_MS, uid_of

STEP = Step(
    session=SESSION,
    nas=NAS,
    account=ALICE,
    uid=uid_of(SESSION),
    state=b"",
    open=True,
    expected_version=0,
    expected_rating=1,
    expected_boot=None,
    charge=0,
    want=40,
    grant=40,
    cut_after_ms=None,
    cut_cause=CutCause.EXHAUSTED,
    quiet=900,
    entries=(b"x",),
)


def moved(partition: Partition, *movements: AnyMovement) -> None:
    moving = Moving(partition)
    for movement in movements:
        moving.move(movement)
    moving.keep()


def funded(balance: int) -> Partition:
    partition = Partition()
    partition.begin(1)
    moved(partition, OpenAccount(ALICE, 1, "EUR"), Post(ALICE, 2, balance))
    return partition


def test_steps_of_one_commit_are_booked_one_after_the_other() -> None:
    partition = funded(100)
    sibling = replace(STEP, session=SIBLING, uid=uid_of(SIBLING), want=90, grant=60)
    outcomes = Booking(partition, START_MS).book([STEP, sibling], [])
    assert [outcome.status for outcome in outcomes] == [Status.COMMITTED] * 2
    assert partition.accounts[ALICE].reserved == 100
    assert len(partition.entries) == 1


def test_movements_are_kept_only_as_a_whole() -> None:
    partition = funded(100)
    moving = Moving(partition)
    moving.move(PutSubscriber(ALICE, 3, "bob", "metered"))
    moving.move(Post(ALICE, 4, -200))
    assert partition.accounts[ALICE].balance == 100
    assert partition.subscribers == {}
    with pytest.raises(StoreRefused):
        moving.move(Post("nobody", 1, 5))
    moving.keep()
    assert partition.accounts[ALICE].balance == -100
    assert partition.subscribers == {"bob": Subscriber(ALICE, "metered")}
    assert (ALICE, Wake.ALL) in partition.waking


def test_a_subscriber_put_and_dropped_in_one_call_is_gone() -> None:
    partition = funded(0)
    moved(
        partition,
        PutSubscriber(ALICE, 3, "bob", "metered"),
        DropSubscriber(ALICE, 4, "bob"),
        DropSubscriber(ALICE, 5, "eve"),
    )
    assert partition.subscribers == {}
