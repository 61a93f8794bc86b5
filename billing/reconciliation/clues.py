"""What the books know of whom lines may be from: asked for many lines at once."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from billing.database import Connection
from billing.reconciliation.matching import Clues, Named, OpenInvoice, Owner
from billing.reconciliation.naming import candidates, words_of
from billing.reconciliation.statement import BankLine
from billing.statements import load

SQL = load(__package__, "queries.sql")


async def gather(conn: Connection, lines: Sequence[BankLine]) -> Clues:
    """Return what is known for these lines, by a fixed number of statements."""
    names = sorted({name for line in lines for name in candidates(words_of(line))})
    named: defaultdict[str, list[Named]] = defaultdict(list)
    for row in await conn.fetch(SQL["named_invoices"], names):
        named[row["name"]].append(Named(row["account_id"], row["number"]))
    for row in await conn.fetch(SQL["named_accounts"], names):
        named[row["name"]].append(Named(row["account_id"]))
    payers: defaultdict[str, list[str]] = defaultdict(list)
    banks = {line.payer_account for line in lines if line.payer_account}
    for row in await conn.fetch(SQL["payers"], sorted(banks)):
        payers[row["payer_account"]].append(row["account_id"])
    people: defaultdict[str, list[str]] = defaultdict(list)
    for row in await conn.fetch(SQL["people"], sorted({e.payer.lower() for e in lines if e.payer})):
        people[row["name"]].append(row["account_id"])
    amounts = sorted({(line.currency, line.amount_micros) for line in lines})
    alone = {
        (row["currency"], row["micros"]): row["account_id"]
        for row in await conn.fetch(
            SQL["alone"], [each[0] for each in amounts], [each[1] for each in amounts]
        )
    }
    accounts = {each.account for things in named.values() for each in things}
    accounts.update(alone.values(), *payers.values(), *people.values())
    return Clues(await _owners(conn, accounts), named, payers, people, alone)


async def _owners(conn: Connection, accounts: Iterable[str]) -> dict[str, Owner]:
    wanted = sorted(accounts)
    invoices: defaultdict[str, list[OpenInvoice]] = defaultdict(list)
    for row in await conn.fetch(SQL["open_invoices"], wanted):
        invoices[row["account_id"]].append(
            OpenInvoice(row["invoice_id"], row["number"], row["left_micros"])
        )
    return {
        row["account_id"]: Owner(
            row["account_id"],
            row["currency"],
            tuple(name for name in row["names"] if name),
            tuple(invoices[row["account_id"]]),
        )
        for row in await conn.fetch(SQL["owners"], wanted)
    }
