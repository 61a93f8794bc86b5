"""Who a line of a bank file is from, and what it pays: proposals, each with a score and why. Pure.

Points are for what speaks for an account; together they are the score, of at most 100.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from billing.reconciliation.naming import found_in, same_person, words_of
from billing.reconciliation.statement import BankLine
from rating.money import format_micros

#: From this score on a line is paired without a person, if nobody else's is as high.
CERTAIN: Final = 80

#: The payer names an invoice that is open.
INVOICE: Final = 80
#: The payer names an account, or an invoice of it that is not open.
ACCOUNT: Final = 60
#: The payer's bank account paid for the account before.
PAYER: Final = 50
#: The amount is what is left of what is named, of one invoice, or of all.
AMOUNT: Final = 30
#: The payer has the name of the account's customer.
NAME: Final = 20


class OpenInvoice(msgspec.Struct, frozen=True):
    """An invoice that a payment can be put on, with what is left of it (micros)."""

    invoice_id: int
    number: str
    left_micros: int


class Owner(msgspec.Struct, frozen=True):
    """An account that may be paid for, the names of its customer, and its open invoices."""

    account: str
    currency: str
    names: tuple[str, ...]
    invoices: tuple[OpenInvoice, ...]


class Named(msgspec.Struct, frozen=True):
    """What a number or an id names: an account, by an invoice of it if there is a number."""

    account: str
    number: str | None = None


class Clues(msgspec.Struct, frozen=True):
    """What is known of whom lines may be from.

    `named` is by number and id without anything but letters and digits, `payers` by the payer's
    account at their bank, `people` by the payer's name in small letters; `alone` has the one
    account with an invoice of which so much of a currency is left.
    """

    owners: Mapping[str, Owner]
    named: Mapping[str, Sequence[Named]]
    payers: Mapping[str, Sequence[str]]
    people: Mapping[str, Sequence[str]]
    alone: Mapping[tuple[str, int], str]


class Proposal(msgspec.Struct, frozen=True):
    """An account that a line may be a payment of, and invoices that it pays before others."""

    account: str
    invoices: tuple[int, ...]
    score: int
    reasons: tuple[str, ...]

    @property
    def reason(self) -> str:
        """Why, in one sentence."""
        return "; ".join(self.reasons)


def propose(line: BankLine, clues: Clues) -> list[Proposal]:
    """Return who a line that brings money may be from, the likeliest first."""
    named = found_in(words_of(line), lambda word: clues.named.get(word, ()))
    accounts = dict.fromkeys(each.account for each in named)
    accounts |= dict.fromkeys(clues.payers.get(line.payer_account, ()))
    accounts |= dict.fromkeys(clues.people.get(line.payer.lower(), ()))
    alone = clues.alone.get((line.currency, line.amount_micros))
    if alone is not None:
        accounts[alone] = None
    found: list[Proposal] = []
    for account in accounts:
        owner = clues.owners.get(account)
        if owner is not None and owner.currency == line.currency:
            mine = [each for each in named if each.account == account]
            found.append(_judge(line, owner, mine, clues))
    return sorted(found, key=lambda each: (-each.score, each.account))


def certain(proposals: Sequence[Proposal], threshold: int = CERTAIN) -> Proposal | None:
    """Return the proposal that needs no person: high enough, and the only one that is."""
    high = [each for each in proposals if each.score >= threshold]
    return high[0] if len(high) == 1 else None


def _judge(line: BankLine, owner: Owner, named: Sequence[Named], clues: Clues) -> Proposal:
    points = 0
    reasons: list[str] = []
    numbers = {each.number for each in named if each.number is not None}
    paying = [each for each in owner.invoices if each.number in numbers]
    if paying:
        points += INVOICE
        reasons.append("names invoice " + ", ".join(each.number for each in paying))
    elif numbers:
        points += ACCOUNT
        reasons.append("names invoice " + ", ".join(sorted(numbers)) + ", which is not open")
    elif named:
        points += ACCOUNT
        reasons.append(f"names account {owner.account}")
    if line.payer_account and owner.account in clues.payers.get(line.payer_account, ()):
        points += PAYER
        reasons.append("the payer's bank account has paid for it before")
    if any(same_person(line.payer, name) for name in owner.names):
        points += NAME
        reasons.append("the payer has its customer's name")
    fitting = _fitting(line.amount_micros, owner, paying)
    if fitting is not None:
        points += AMOUNT
        told = format_micros(line.amount_micros, line.currency)
        reasons.append(f"{told} is what is left of {', '.join(each.number for each in fitting)}")
        paying = paying or fitting
    return Proposal(
        owner.account,
        tuple(each.invoice_id for each in paying),
        min(points, 100),
        tuple(reasons),
    )


def _fitting(
    micros: int, owner: Owner, named: Sequence[OpenInvoice]
) -> Sequence[OpenInvoice] | None:
    """The invoices of which exactly so much is left: those named, or else one, or all."""
    if named:
        return named if sum(each.left_micros for each in named) == micros else None
    for each in owner.invoices:
        if each.left_micros == micros:
            return [each]
    everything = owner.invoices
    return everything if everything and sum(e.left_micros for e in everything) == micros else None
