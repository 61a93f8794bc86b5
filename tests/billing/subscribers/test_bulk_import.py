"""Importing many subscribers: everything or nothing, and as if each had been added by hand."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import pytest

from balances.messages import AnyMovement, OpenAccount, Post, PutSubscriber, decode_movement
from billing.accounts import money
from billing.accounts import register as accounts
from billing.accounts.account import MAX_BALANCE_MICROS, AccountStatus, PaymentMode
from billing.database import Connection, Pool
from billing.errors import Conflict
from billing.ledger.statement import balance, statement
from billing.sealing.keyring import Keyring
from billing.subscribers import bulk_import, register
from billing.subscribers.bulk_import import Imported, ImportRefused, import_csv, import_file
from billing.subscribers.login import NO_BOUNDS, LoginTerms, PasswordKind, encode_login
from billing.subscribers.subscriber import password_purpose

HEADER = "username,account,plan,currency,topup,password\n"

NOT_AN_AMOUNT = (
    "line 11, topup: 'x' is not an amount: write digits with a decimal point and at most six"
    " decimals, for example 12.50"
)


async def run(conn: Connection, keyring: Keyring, now: datetime, rows: Sequence[str]) -> Imported:
    lines = [HEADER, *(f"{row}\n" for row in rows)]
    return await import_csv(conn, keyring, lines, actor="staff", now=now)


async def faults_of(
    conn: Connection, keyring: Keyring, now: datetime, rows: Sequence[str]
) -> list[str]:
    before = await contents(conn)
    with pytest.raises(ImportRefused) as caught:
        await run(conn, keyring, now, rows)
    assert await contents(conn) == before, "nothing was imported"
    assert caught.value.number == len(caught.value.faults)
    return [str(fault) for fault in caught.value.faults]


async def contents(conn: Connection) -> list[int]:
    return [
        await conn.fetchval(f"SELECT count(*) FROM {table}")
        for table in (
            "customer_billing_accounts",
            "subscribers",
            "store_outbox",
            "billing_transactions",
            "ledger_postings",
        )
    ]


async def posted(conn: Connection, account: str) -> list[AnyMovement]:
    rows = await conn.fetch(
        "SELECT movement FROM store_outbox WHERE account_id = $1 ORDER BY sequence", account
    )
    return [decode_movement(row[0]) for row in rows]


async def test_accounts_subscribers_and_topups_come_in(
    conn: Connection, keyring: Keyring, now: datetime
) -> None:
    imported = await run(
        conn,
        keyring,
        now,
        ["u1,a,metered,EUR,12.50,pw", "u2,b,dollars,USD,,", "u3,a,metered,EUR,0.000001,"],
    )
    assert imported == Imported(3, 2, 2, {"EUR": 12_500_001})
    account = await accounts.get(conn, "a")
    assert account.payment_mode is PaymentMode.PREPAID
    assert (account.currency, account.credit_limit_micros) == ("EUR", 0)
    assert account.balance_micros == 12_500_001
    assert [row.amount_micros for row in await statement(conn, "a")] == [12_500_000, 1]
    assert [entry.username for entry in await register.list_of(conn, "a")] == ["u1", "u3"]
    assert (await register.get(conn, "u1")).has_password
    assert not (await register.get(conn, "u2")).has_password
    sealed = await conn.fetchval("SELECT password_sealed FROM subscribers WHERE username = 'u1'")
    assert keyring.unseal(sealed, password_purpose("u1")) == b"pw"
    assert await posted(conn, "a") == [
        OpenAccount("a", 1, "EUR"),
        Post("a", 2, 12_500_000),
        PutSubscriber(
            "a", 3, "u1", "metered", encode_login(LoginTerms(PasswordKind.CLEAR, sealed, NO_BOUNDS))
        ),
        Post("a", 4, 1),
        PutSubscriber("a", 5, "u3", "metered"),
    ]
    assert await posted(conn, "b") == [
        OpenAccount("b", 1, "USD"),
        PutSubscriber("b", 2, "u2", "dollars"),
    ]


async def test_accounts_that_exist_are_used(
    conn: Connection, keyring: Keyring, now: datetime
) -> None:
    await accounts.create(conn, "a", "EUR", PaymentMode.POSTPAID, credit_limit_micros=5, now=now)
    await money.top_up(conn, "a", 3, actor="staff", now=now)
    assert await run(conn, keyring, now, ["u1,a,metered,EUR,1,"]) == Imported(
        1, 0, 1, {"EUR": 1_000_000}
    )
    account = await accounts.get(conn, "a")
    assert (account.payment_mode, account.balance_micros) == (PaymentMode.POSTPAID, 1_000_003)
    assert [type(movement) for movement in await posted(conn, "a")] == [
        OpenAccount,
        Post,
        Post,
        PutSubscriber,
    ]


async def test_files_can_be_imported_one_after_the_other(
    conn: Connection, keyring: Keyring, now: datetime
) -> None:
    for number in range(3):
        await run(conn, keyring, now, [f"u{number},a,metered,EUR,1,"])
    assert await balance(conn, "a") == 3_000_000


async def test_an_empty_file_imports_nothing(
    conn: Connection, keyring: Keyring, now: datetime
) -> None:
    assert await run(conn, keyring, now, []) == Imported(0, 0, 0, {})


async def test_the_same_file_twice_is_refused(
    conn: Connection, keyring: Keyring, now: datetime
) -> None:
    rows = ["u1,a,metered,EUR,1,", "u2,a,metered,EUR,1,"]
    await run(conn, keyring, now, rows)
    assert await faults_of(conn, keyring, now, rows) == [
        "line 2, username: u1 exists already",
        "line 3, username: u2 exists already",
    ]


async def test_everything_that_contradicts_the_database_is_named_by_line(
    conn: Connection, keyring: Keyring, now: datetime
) -> None:
    for name, currency in (("rich", "EUR"), ("yen", "JPY"), ("gone", "EUR"), ("old", "EUR")):
        await accounts.create(conn, name, currency, now=now)
    await accounts.set_status(conn, "gone", AccountStatus.CLOSED, now=now)
    await money.top_up(conn, "rich", MAX_BALANCE_MICROS, actor="staff", now=now)
    for username in ("taken", "moving"):
        await register.add(conn, keyring, username, account="old", plan="metered", now=now)
    await register.remove(conn, "moving", now=now)
    rows = [
        "fine,new,metered,EUR,1,",
        "taken,new,metered,EUR,1,",
        "u2,new,gold,EUR,1,",
        "u3,new,dollars,EUR,1,",
        "u4,yen,metered,EUR,1,",
        "u5,gone,metered,EUR,1,",
        "u6,rich,metered,EUR,,",
        "u7,rich,metered,EUR,0.000001,",
        "moving,new,metered,EUR,1,",
        "u8,new,metered,EUR,x,",
        "u8,new,metered,EUR,1,",
    ]
    assert await faults_of(conn, keyring, now, rows) == [
        "line 3, username: taken exists already",
        "line 4, plan: gold does not exist",
        "line 5, plan: dollars is in USD, the account in EUR",
        "line 6, currency: account yen is in JPY, here in EUR",
        "line 7, account: account gone is closed",
        "line 8, topup: account rich would have too large a balance",
        "line 10, username: moving is just being removed from account old; try again",
        NOT_AN_AMOUNT,
        "line 12, username: 'u8' is on line 11 already",
    ]


async def test_more_faults_than_are_listed_are_counted(
    conn: Connection, keyring: Keyring, now: datetime
) -> None:
    with pytest.raises(ImportRefused) as caught:
        await run(conn, keyring, now, [f"u{number},a,gold,EUR,1," for number in range(1234)])
    assert caught.value.number == 1234
    assert len(caught.value.faults) == 1000
    assert str(caught.value).splitlines()[0] == "nothing was imported; 1,234 faults:"
    assert str(caught.value).splitlines()[-1] == "and 234 more"


async def test_a_user_name_added_meanwhile_leaves_nothing_half_done(
    pool: Pool, keyring: Keyring, now: datetime
) -> None:
    async with pool.acquire() as conn, pool.acquire() as other:
        await accounts.create(conn, "old", "EUR", now=now)
        adding = other.transaction()
        await adding.start()
        await register.add(other, keyring, "u500", account="old", plan="metered", now=now)
        importing = asyncio.create_task(
            run(
                conn, keyring, now, [f"u{number},a{number},metered,EUR,1," for number in range(999)]
            )
        )
        while not await pool.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
            await asyncio.sleep(0.01)
        await adding.commit()
        with pytest.raises(Conflict, match=r"somebody else added one of these.*u500"):
            await importing
        assert [account.account for account in await accounts.list_(conn)] == ["old"]


async def test_progress_runs_through_its_stages(
    conn: Connection, keyring: Keyring, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_import, "_CHUNK", 10)
    told: list[tuple[str, int, int]] = []
    lines = [HEADER, *(f"u{number},a{number % 7},metered,EUR,1,\n" for number in range(25))]
    await import_csv(
        conn,
        keyring,
        lines,
        actor="staff",
        now=now,
        progress=lambda stage, done, of: told.append((stage, done, of)),
    )
    assert list(dict.fromkeys(stage for stage, _, _ in told)) == [
        "reading",
        "sealing",
        "checking",
        "creating",
        "topping up",
        "posting",
    ]
    assert told[-3:] == [("posting", 10, 25), ("posting", 20, 25), ("posting", 25, 25)]
    assert await balance(conn, "a0") == 4_000_000


async def test_a_file_is_read_from_its_path(
    conn: Connection, keyring: Keyring, now: datetime, tmp_path: Path
) -> None:
    path = tmp_path / "subscribers.csv"
    path.write_bytes(b"\xef\xbb\xbf" + HEADER.encode() + "ünï,a,metered,EUR,1,\r\n".encode())
    imported = await import_file(conn, keyring, path, actor="staff", now=now)
    assert imported.subscribers == 1
    assert (await register.get(conn, "ünï")).account == "a"
    good = "".join(f"u{number},a,metered,EUR,1,\n" for number in range(10_000)).encode()
    path.write_bytes(HEADER.encode() + good + b"u\xfc,a,metered,EUR,1,\n\xfc,a,metered,EUR,1,\n")
    with pytest.raises(ImportRefused) as caught:
        await import_file(conn, keyring, path, actor="staff", now=now)
    assert str(caught.value).splitlines() == [
        "nothing was imported; 2 faults:",
        "line 10002: is not UTF-8: invalid start byte at its octet 2",
        "line 10003: is not UTF-8: invalid start byte at its octet 1",
    ]
    with pytest.raises(OSError, match="No such file"):
        await import_file(conn, keyring, tmp_path / "missing", actor="staff", now=now)
