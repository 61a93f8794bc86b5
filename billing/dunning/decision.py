"""What is to be done about a debt: a function of campaign, process, debt and local time. Pure."""

from datetime import date, datetime, timedelta
from typing import Final

import msgspec

from billing.dunning.campaign import Action, Campaign, Step


class Debt(msgspec.Struct, frozen=True):
    """What of an account is overdue, and since which local day the oldest part of it."""

    currency: str
    overdue_micros: int
    oldest_due: date | None


class Done(msgspec.Struct, frozen=True):
    """A step that was taken, by its place in the campaign, and on which local day."""

    step: int
    on: date


class Process(msgspec.Struct, frozen=True):
    """Where an account's dunning stands: the steps taken for the debt that was due on `since`.

    No step is taken before `promised_until`, if a promise to pay was made.
    """

    since: date | None = None
    done: tuple[Done, ...] = ()
    promised_until: date | None = None
    excluded: bool = False


class Decision(msgspec.Struct, frozen=True):
    """What is to be done now.

    `take` are steps, in order, and `skip` reminders that a later one replaces. `kept` are the steps
    of before that still hold, with the day `since` which the debt is now overdue. `cleared` ends
    the process. `restore` lifts what steps did that no longer hold; `fee` is then the step whose
    reactivation fee is due. `next_on` is the day on which to look again, if nothing is paid.
    """

    since: date | None
    take: tuple[int, ...] = ()
    skip: tuple[int, ...] = ()
    kept: tuple[Done, ...] = ()
    cleared: bool = False
    restore: bool = False
    fee: int | None = None
    next_on: date | None = None


NOTHING: Final = Decision(None)


def decide(campaign: Campaign, process: Process, debt: Debt, local: datetime) -> Decision:
    """Return what is to be done at a local time.

    A debt within the threshold ends the process. If the oldest debt was paid and a later one is
    overdue, only those steps hold that its own days justify; the others may come again. Steps come
    in order, none before its day, and termination no sooner after the suspension than the campaign
    has it, even if nobody looked for long.
    """
    if process.excluded or debt.oldest_due is None:
        return _cleared(campaign, process)
    begun = bool(process.done) or process.since is not None
    bound = campaign.cleared_at(debt.currency) if begun else campaign.let_be(debt.currency)
    if debt.overdue_micros <= bound:
        return _cleared(campaign, process)
    today = local.date()
    kept = process.done
    if process.since is not None and debt.oldest_due > process.since:
        age = (today - debt.oldest_due).days
        kept = tuple(d for d in process.done if campaign.steps[d.step].after_days <= age)
    lifted = [done for done in process.done if done not in kept]
    take, next_on = _due(campaign, kept, process.promised_until, debt.oldest_due, local)
    replaced = _replaced(campaign, take)
    restore = _disrupted(campaign, lifted) and not _disrupted(
        campaign, [*kept, *(Done(step, today) for step in take)]
    )
    return Decision(
        since=debt.oldest_due,
        take=tuple(step for step in take if step not in replaced),
        skip=replaced,
        kept=kept,
        restore=restore,
        fee=_reactivation(campaign, process.done) if restore else None,
        next_on=next_on,
    )


def _cleared(campaign: Campaign, process: Process) -> Decision:
    if process.since is None:
        return NOTHING
    restore = _disrupted(campaign, process.done)
    return Decision(
        None,
        cleared=True,
        restore=restore,
        fee=_reactivation(campaign, process.done) if restore else None,
    )


def _due(
    campaign: Campaign,
    kept: tuple[Done, ...],
    promised_until: date | None,
    oldest_due: date,
    local: datetime,
) -> tuple[list[int], date | None]:
    """The steps that are due, in order, and the day of the first that is not yet."""
    taken = {done.step: done.on for done in kept}
    due: list[int] = []
    for index, step in enumerate(campaign.steps):
        if index in taken:
            continue
        day = oldest_due + timedelta(days=step.after_days)
        if promised_until is not None:
            day = max(day, promised_until)
        if step.action is Action.TERMINATE:
            day = max(day, _after_suspension(campaign, taken, step))
        if step.action.disrupts:
            day = campaign.allowed_from(day)
            if day < local.date():
                # It was due while nobody looked, and today may be a day on which it must not be.
                day = campaign.allowed_from(local.date())
        if day > local.date() or (day == local.date() and local.hour < campaign.hour):
            return due, day
        due.append(index)
        taken[index] = local.date()
    return due, None


def _after_suspension(campaign: Campaign, taken: dict[int, date], step: Step) -> date:
    """The first day on which a termination is as far after the suspension as in the campaign."""
    return max(
        (
            on + timedelta(days=step.after_days - campaign.steps[index].after_days)
            for index, on in taken.items()
            if campaign.steps[index].action is Action.SUSPEND
        ),
        default=date.min,
    )


def _replaced(campaign: Campaign, take: list[int]) -> tuple[int, ...]:
    """The reminders that are due together with a later one: only that one is sent."""
    reminders = [step for step in take if campaign.steps[step].action is Action.REMIND]
    return tuple(reminders[:-1])


def _disrupted(campaign: Campaign, done: "tuple[Done, ...] | list[Done]") -> bool:
    return any(campaign.steps[each.step].action.disrupts for each in done)


def _reactivation(campaign: Campaign, done: tuple[Done, ...]) -> int | None:
    """The last step that makes a restoration cost a fee."""
    fees = [
        each.step for each in done if campaign.steps[each.step].action is Action.REACTIVATION_FEE
    ]
    return max(fees, default=None)
