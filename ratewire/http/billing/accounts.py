"""Billing accounts over HTTP."""

from datetime import datetime
from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import UNSET, Meta, UnsetType

from billing.accounts import live, money, register
from billing.accounts.account import AccountStatus, BillingAccount, Particulars, PaymentMode
from billing.errors import Conflict
from billing.ledger.statement import statement
from ratewire.http.amounts import Amount, read, shown, shown_or_none
from ratewire.http.endpoint import (
    CARE,
    MONEY,
    READERS,
    Call,
    Currency,
    Name,
    Nothing,
    Page,
    endpoint,
)

UNLIMITED = "unlimited"

#: An amount, or no bound.
Limit: TypeAlias = Annotated[
    str, Meta(pattern=r"^([0-9]{1,10}(\.[0-9]{1,6})?|unlimited)$", examples=["20.00"])
]


class NewAccount(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An account to be opened. `credit_limit` is an amount, or "unlimited"."""

    id: Name
    currency: Currency
    payment_mode: PaymentMode = PaymentMode.PREPAID
    credit_limit: Limit = "0"
    minimum_balance: Amount = "0"
    customer: str | None = None
    payer: str | None = None
    time_zone: str = "UTC"
    language: str = "en"
    payment_days: Annotated[int, Meta(ge=0, le=365)] = 14
    auto_pay: bool = False
    dunning_excluded: bool = False


class AccountChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to change of an account; what is not sent stays as it is."""

    status: AccountStatus | UnsetType = UNSET
    credit_limit: str | UnsetType = UNSET
    minimum_balance: str | UnsetType = UNSET
    customer: str | UnsetType | None = UNSET
    payer: str | UnsetType | None = UNSET
    time_zone: str | UnsetType = UNSET
    language: str | UnsetType = UNSET
    payment_days: int | UnsetType = UNSET
    auto_pay: bool | UnsetType = UNSET
    dunning_excluded: bool | UnsetType = UNSET


class AccountView(msgspec.Struct, frozen=True):
    """An account. `balance` is the ledger's; `credit_limit` null is unlimited."""

    id: str
    currency: str
    payment_mode: PaymentMode
    status: AccountStatus
    balance: str
    credit_limit: str | None
    minimum_balance: str
    customer: str | None
    payer: str | None
    time_zone: str
    language: str
    payment_days: int
    auto_pay: bool
    dunning_excluded: bool
    revision: int
    created_at: datetime


class Accounts(msgspec.Struct, frozen=True):
    """Accounts by id."""

    data: list[AccountView]
    next: str | None


class AccountsQuery(Page, frozen=True):
    """Which accounts."""

    customer: str | None = None
    status: AccountStatus | None = None
    currency: str | None = None
    payment_mode: PaymentMode | None = None


class LiveBalance(msgspec.Struct, frozen=True):
    """An account's money, live: as sessions use it up. `available` null: without bound.

    available = balance - reserved + credit limit - minimum balance.
    """

    account: str
    currency: str
    balance: str
    reserved: str
    available: str | None
    open_sessions: int


class Adjustment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Credit to be given (or taken, negative) without money moving.

    Taking more than is available is refused unless `beyond_limits`.
    """

    amount: Amount
    reason: Annotated[str, Meta(min_length=1, max_length=255)]
    beyond_limits: bool = False


class Adjusted(msgspec.Struct, frozen=True):
    """What was posted."""

    account: str
    transaction_id: int
    amount: str
    balance: str


class TransactionView(msgspec.Struct, frozen=True):
    """What a transaction did to an account, and its balance after it."""

    transaction_id: int
    posted_at: datetime
    kind: str
    description: str
    actor: str
    ledger: str
    amount: str
    balance: str


class Transactions(msgspec.Struct, frozen=True):
    """Transactions, newest first; one that moved money within the account is several rows."""

    account: str
    currency: str
    data: list[TransactionView]
    next: str | None


def view(account: BillingAccount) -> AccountView:
    """Return an account as the API tells it."""
    return AccountView(
        id=account.account,
        currency=account.currency,
        payment_mode=account.payment_mode,
        status=account.status,
        balance=shown(account.balance_micros, account.currency),
        credit_limit=shown_or_none(account.credit_limit_micros, account.currency),
        minimum_balance=shown(account.minimum_balance_micros, account.currency),
        customer=account.customer,
        payer=account.payer,
        time_zone=account.time_zone,
        language=account.language,
        payment_days=account.payment_days,
        auto_pay=account.auto_pay,
        dunning_excluded=account.dunning_excluded,
        revision=account.revision,
        created_at=account.created_at,
    )


async def create(call: Call[Nothing, NewAccount]) -> AccountView:
    """Open an account."""
    new = call.body
    made = await register.create(
        call.conn,
        new.id,
        new.currency,
        new.payment_mode,
        credit_limit_micros=_limit(new.credit_limit),
        minimum_balance_micros=read(new.minimum_balance, "minimum_balance"),
        particulars=Particulars(**_particular(new)),
        now=call.now,
    )
    return view(made)


async def list_(call: Call[AccountsQuery, Nothing]) -> Accounts:
    """List accounts."""
    query = call.query
    found = await register.list_(
        call.conn,
        after=query.cursor or "",
        customer=query.customer,
        status=query.status,
        currency=query.currency,
        payment_mode=query.payment_mode,
        limit=query.limit + 1,
    )
    page, more = query.cut(found, lambda each: each.account)
    return Accounts([view(each) for each in page], more)


async def get(call: Call[Nothing, Nothing]) -> AccountView:
    """Read one."""
    return view(await register.get(call.conn, call.path["account"]))


async def change(call: Call[Nothing, AccountChange]) -> AccountView:
    """Change one: how it is billed, its limits, its status; all or nothing."""
    account, wanted = call.path["account"], call.body
    await register.lock(call.conn, account)
    before = await register.get(call.conn, account)
    if call.revision is not None and before.revision != call.revision:
        raise Conflict(
            f"account {account} is at revision {before.revision}, not {call.revision}:"
            " read it again"
        )
    changed = {n: v for n, v in _particular(wanted).items() if v is not UNSET}
    particulars = msgspec.structs.replace(register.particulars_of(before), **changed)
    await register.set_particulars(call.conn, account, particulars)
    limit, least = before.credit_limit_micros, before.minimum_balance_micros
    if wanted.credit_limit is not UNSET:
        limit = _limit(wanted.credit_limit)
    if wanted.minimum_balance is not UNSET:
        least = read(wanted.minimum_balance, "minimum_balance")
    await register.set_limits(
        call.conn, account, credit_limit_micros=limit, minimum_balance_micros=least, now=call.now
    )
    if wanted.status is not UNSET:
        await register.set_status(call.conn, account, wanted.status, now=call.now)
    return view(await register.get(call.conn, account))


async def live_balance(call: Call[Nothing, Nothing]) -> LiveBalance:
    """Read the money of one, live from the store."""
    there = await live.balances(call.conn, call.system.stream, call.path["account"])
    if not there.live:
        raise Conflict(f"account {there.account} is on its way to the store; try again")
    return LiveBalance(
        account=there.account,
        currency=there.currency,
        balance=shown(there.current_micros, there.currency),
        reserved=shown(there.reserved_micros, there.currency),
        available=shown_or_none(there.available_micros, there.currency),
        open_sessions=there.open_sessions,
    )


async def adjust(call: Call[Nothing, Adjustment]) -> Adjusted:
    """Give or take credit: a posting with its reason, never an assignment."""
    account = call.path["account"]
    receipt = await money.adjust(
        call.conn,
        account,
        read(call.body.amount, "amount"),
        reason=call.body.reason,
        key=call.key,
        beyond_limits=call.body.beyond_limits,
        actor=call.actor,
        now=call.now,
    )
    after = await register.get(call.conn, account)
    return Adjusted(
        account,
        receipt.transaction_id,
        shown(receipt.amount_micros, after.currency),
        shown(after.balance_micros, after.currency),
    )


async def transactions(call: Call[Page, Nothing]) -> Transactions:
    """List what was posted to one, newest first."""
    account = await register.get(call.conn, call.path["account"])
    rows = await statement(
        call.conn, account.account, limit=call.query.limit + 1, before=call.query.number()
    )
    numbers = list(dict.fromkeys(row.transaction_id for row in reversed(rows)))
    kept, more = call.query.cut(numbers, lambda number: number)
    views = [
        TransactionView(
            transaction_id=row.transaction_id,
            posted_at=row.posted_at,
            kind=row.kind,
            description=row.description,
            actor=row.actor,
            ledger=row.ledger,
            amount=shown(row.amount_micros, row.currency),
            balance=shown(row.balance_micros, row.currency),
        )
        for row in reversed(rows)
        if row.transaction_id >= kept[-1]
    ]
    return Transactions(account.account, account.currency, views, more)


def _limit(text: str) -> int | None:
    return None if text == UNLIMITED else read(text, "credit_limit")


def _particular(of: NewAccount | AccountChange) -> dict[str, Any]:
    return {name: getattr(of, name) for name in Particulars.__struct_fields__}


_ONE = "billing/accounts/{account}"

ENDPOINTS = (
    endpoint(
        "POST",
        "billing/accounts/",
        "Open an account",
        create,
        roles=CARE,
        body=NewAccount,
        answer=AccountView,
        status=201,
    ),
    endpoint(
        "GET",
        "billing/accounts/",
        "List accounts",
        list_,
        roles=READERS,
        query=AccountsQuery,
        answer=Accounts,
    ),
    endpoint("GET", _ONE, "Read an account", get, roles=READERS, answer=AccountView),
    endpoint(
        "PATCH",
        _ONE,
        "Change an account",
        change,
        roles=CARE,
        body=AccountChange,
        answer=AccountView,
    ),
    endpoint(
        "GET",
        f"{_ONE}/balance",
        "Read an account's money, live",
        live_balance,
        roles=READERS,
        answer=LiveBalance,
    ),
    endpoint(
        "POST",
        f"{_ONE}/balance",
        "Give or take credit",
        adjust,
        roles=MONEY,
        body=Adjustment,
        answer=Adjusted,
        status=201,
    ),
    endpoint(
        "GET",
        f"{_ONE}/transactions",
        "List what was posted to an account",
        transactions,
        roles=READERS,
        query=Page,
        answer=Transactions,
    ),
)
