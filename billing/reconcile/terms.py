"""An account's two sides, and whether they agree. Pure."""

import msgspec

from balances.messages import AccountAudit


class LedgerSide(msgspec.Struct, frozen=True):
    """What Postgres knows of an account.

    `posted` is the sequence of its last movement. `waiting` movements are on the road to the store,
    which lacks them; the money in them is `waiting_micros`.
    """

    account: str
    currency: str
    balance_micros: int
    posted: int
    waiting: int
    waiting_micros: int


class AccountDrift(msgspec.Struct, frozen=True):
    """An account whose sides do not agree, with each term. `faults` says in words what is wrong.

    drift = store balance - (ledger balance - unapplied - unsettled). `unapplied_micros` was posted
    and has not reached the store, `unsettled_micros` was charged there and has not reached the
    ledger. `parked_micros` are charges whose entries were parked: the cause of that much drift.
    """

    account: str
    drift_micros: int
    faults: tuple[str, ...]
    store_balance_micros: int
    ledger_balance_micros: int
    unapplied_micros: int
    unsettled_micros: int
    reserved_micros: int
    held_micros: int
    parked_micros: int = 0


def applied(audit: AccountAudit | None) -> int:
    """Return the last movement that the store has applied to an account; 0 if it holds none."""
    return 0 if audit is None else audit.account.moved


def moved_between(audit: AccountAudit | None, ledger: LedgerSide) -> bool:
    """Whether the two sides were read around a movement that reached the store in between.

    All movements that the store lacked must still be on the road; if some are not, the store has
    applied them since, and what was read of it is too old to be compared.
    """
    return ledger.posted > applied(audit) + ledger.waiting


def compare(
    audit: AccountAudit | None, ledger: LedgerSide, unsettled_micros: int
) -> AccountDrift | None:
    """Return how an account's sides differ; None if they agree.

    `audit` is None for an account that the store does not hold; `unsettled_micros` are the charges
    that its balance includes and the ledger does not yet.
    """
    faults: list[str] = []
    balance = reserved = held = 0
    if audit is None:
        if ledger.waiting < ledger.posted or not ledger.posted:
            faults.append("the store does not hold it")
    else:
        account = audit.account
        balance, reserved, held = account.balance, account.reserved, audit.held
        if moved_between(audit, ledger):
            faults.append(
                f"movement {ledger.posted} was posted, the store has applied up to {account.moved},"
                f" and only {ledger.waiting} of those between are on the road"
            )
        if account.currency != ledger.currency:
            faults.append(f"it is in {account.currency} in the store, in {ledger.currency} here")
        if account.moved > ledger.posted:
            faults.append(
                f"the store has applied movement {account.moved}, the last posted is"
                f" {ledger.posted}"
            )
        if reserved != held:
            faults.append(f"{reserved} micros are reserved, its sessions hold {held}")
    expected = ledger.balance_micros - ledger.waiting_micros - unsettled_micros
    drift = balance - expected
    if drift:
        faults.append(f"its balance is {balance} micros, expected is {expected}")
    if not faults:
        return None
    return AccountDrift(
        account=ledger.account,
        drift_micros=drift,
        faults=tuple(faults),
        store_balance_micros=balance,
        ledger_balance_micros=ledger.balance_micros,
        unapplied_micros=ledger.waiting_micros,
        unsettled_micros=unsettled_micros,
        reserved_micros=reserved,
        held_micros=held,
    )
