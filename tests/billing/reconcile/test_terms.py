"""When an account's two sides agree, and what is said when they do not."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from balances.messages import Account, AccountAudit
from billing.reconcile.terms import AccountDrift, LedgerSide, compare, moved_between

_micros = st.integers(-(10**12), 10**12)


def audit(
    balance: int = 100,
    *,
    moved: int = 3,
    reserved: int = 0,
    held: int | None = None,
    currency: str = "EUR",
) -> AccountAudit:
    """An account of the store."""
    account = Account("alice", currency, balance, reserved, 0, 0, 1, 7, moved)
    return AccountAudit(account, reserved if held is None else held, 1)


def ledger(
    balance: int = 100, *, posted: int = 3, waiting: int = 0, waiting_micros: int = 0
) -> LedgerSide:
    """The same account in Postgres."""
    return LedgerSide("alice", "EUR", balance, posted, waiting, waiting_micros)


def faults(drift: AccountDrift | None) -> tuple[str, ...]:
    """What is said of an account that drifts."""
    assert drift is not None
    return drift.faults


@given(posted=_micros, unapplied=_micros, unsettled=st.integers(0, 10**12), off=_micros)
def test_drift_is_what_the_terms_do_not_explain(
    posted: int, unapplied: int, unsettled: int, off: int
) -> None:
    """Money on the road is not in the store yet, a charge not settled is not in the ledger yet."""
    there = audit(posted - unapplied - unsettled + off, moved=2)
    here = ledger(posted, posted=3, waiting=1, waiting_micros=unapplied)
    drift = compare(there, here, unsettled)
    if off:
        assert drift is not None
        assert drift.drift_micros == off
        assert drift.store_balance_micros == posted - unapplied - unsettled + off
    else:
        assert drift is None


def test_an_account_on_its_way_to_the_store() -> None:
    """It is not there yet, and nothing is wrong with that; with all its movements gone, it is."""
    assert compare(None, ledger(50, posted=2, waiting=2, waiting_micros=50), 0) is None
    assert faults(compare(None, ledger(0, posted=2, waiting=0), 0))


def test_reservations_must_be_those_of_the_sessions() -> None:
    """Money that is reserved for nobody could never be used."""
    assert compare(audit(reserved=30), ledger(), 0) is None
    assert "30 micros are reserved" in faults(compare(audit(reserved=30, held=20), ledger(), 0))[0]


def test_other_faults_are_told() -> None:
    """A currency that differs, and a store that is ahead of Postgres."""
    assert "USD" in faults(compare(audit(currency="USD"), ledger(), 0))[0]
    assert "movement 4" in faults(compare(audit(moved=4), ledger(posted=3), 0))[0]


def test_a_movement_in_between() -> None:
    """What the store lacked is not on the road any more: it has reached the store since."""
    assert not moved_between(audit(moved=3), ledger(posted=3))
    assert not moved_between(audit(moved=1), ledger(posted=3, waiting=2))
    assert not moved_between(None, ledger(posted=2, waiting=2))
    assert moved_between(audit(moved=1), ledger(posted=3, waiting=1))
    assert moved_between(None, ledger(posted=1))


def test_a_movement_that_is_lost() -> None:
    """If it has not reached the store after all, that is said, whatever the balances are."""
    drift = compare(audit(moved=1), ledger(posted=3, waiting=1), 0)
    assert "only 1 of those between" in faults(drift)[0]


def test_a_drift_can_be_sent() -> None:
    """With each term, under plain keys."""
    drift = compare(audit(99), ledger(100), 0)
    assert msgspec.json.decode(msgspec.json.encode(drift)) == {
        "account": "alice",
        "drift_micros": -1,
        "faults": ["its balance is 99 micros, expected is 100"],
        "store_balance_micros": 99,
        "ledger_balance_micros": 100,
        "unapplied_micros": 0,
        "unsettled_micros": 0,
        "reserved_micros": 0,
        "held_micros": 0,
        "parked_micros": 0,
    }
