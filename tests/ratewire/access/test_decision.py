"""Who is refused and why, and what the others may have."""

import msgspec
import pytest

from balances.messages import Account
from billing.subscribers.login import NO_BOUNDS, Bounds, LoginTerms
from radius.profiles import Profile, builtin_profiles
from ratewire.access.decision import (
    MESSAGES,
    Promise,
    Refusal,
    Rules,
    promise_of,
    refusal_of,
    session_limit,
    takes_in,
)
from ratewire.access.limits import Volume
from rating.access import Access
from rating.charge import running_total
from rating.plan import Plan
from tests.ratewire.access.logins import login
from tests.ratewire.records import HOURLY, METERED

ACCOUNT = Account("acme", "EUR", 1_000_000, 0, 0, 0, 1, 0, 0)
PROFILES = builtin_profiles()
RULES = Rules()
change = msgspec.structs.replace


def promise(plan: Plan, available: int | None, profile: Profile, rules: Rules) -> Promise | Refusal:
    """What a login under a plan may have, by its counters alone."""
    return promise_of(
        plan, lambda ahead: running_total(plan.tariff, ahead), available, profile, rules
    )


@pytest.mark.parametrize(
    ("account", "plan", "bounds", "refusal"),
    [
        (ACCOUNT, METERED, NO_BOUNDS, None),
        (change(ACCOUNT, suspended=True), METERED, NO_BOUNDS, Refusal.SUSPENDED),
        (change(ACCOUNT, closed=True), METERED, NO_BOUNDS, Refusal.CLOSED),
        (ACCOUNT, None, NO_BOUNDS, Refusal.NO_PLAN),
        (change(ACCOUNT, currency="USD"), METERED, NO_BOUNDS, Refusal.NO_PLAN),
        (ACCOUNT, METERED, Bounds(nas="pop1"), None),
        (ACCOUNT, METERED, Bounds(nas="pop2"), Refusal.OTHER_NAS),
        (ACCOUNT, METERED, Bounds(calling_station="00:53:00:aa:bb:cc"), None),
        (ACCOUNT, METERED, Bounds(calling_station="other"), Refusal.OTHER_STATION),
    ],
)
def test_before_any_money(
    account: Account, plan: Plan | None, bounds: Bounds, refusal: Refusal | None
) -> None:
    asked = login(Calling_Station_Id="00-53-00-AA-BB-CC")
    terms = LoginTerms(bounds=bounds)
    assert refusal_of(asked, account, plan, terms) is refusal


def test_a_subscriber_that_is_suspended_is_refused() -> None:
    suspended = LoginTerms(suspended=True)
    assert refusal_of(login(), ACCOUNT, METERED, suspended) is Refusal.SUSPENDED


def test_every_refusal_has_its_words() -> None:
    assert set(MESSAGES) == set(Refusal)


class TestPromise:
    def test_a_slice_is_reserved_and_the_limits_are_all_there_is(self) -> None:
        """The NAS can be told to cut: its own limits are the second line."""
        promised = promise(METERED, 1_000_000, PROFILES["mikrotik-ppp"], RULES)
        assert isinstance(promised, Promise)
        assert promised.want_micros == promised.grant_micros == 40_000
        assert promised.volume == Volume(500_000_000, 500_000_000, 500_000_000)
        assert promised.seconds is None

    def test_what_there_is_when_it_is_less(self) -> None:
        promised = promise(METERED, 30_000, PROFILES["generic"], RULES)
        assert isinstance(promised, Promise)
        assert (promised.want_micros, promised.grant_micros) == (40_000, 30_000)
        assert promised.volume == Volume(), "a generic NAS takes none"

    def test_a_nas_that_cannot_be_cut_reserves_all_that_it_is_let_do(self) -> None:
        promised = promise(HOURLY, 10_000_000, PROFILES["ocserv"], RULES)
        assert promised == Promise(600_000, 600_000, 3600, Volume())
        short = promise(HOURLY, 60_000, PROFILES["ocserv"], RULES)
        assert short == Promise(600_000, 60_000, 360, Volume())

    def test_unlimited_credit(self) -> None:
        promised = promise(HOURLY, None, PROFILES["generic"], RULES)
        assert promised == Promise(62_500, 62_500, None, Volume())

    def test_the_longest_session_of_the_plan(self) -> None:
        plan = change(HOURLY, access=Access(session_seconds=7200))
        promised = promise(plan, None, PROFILES["generic"], RULES)
        assert isinstance(promised, Promise)
        assert promised.seconds == 7200
        little = promise(plan, 100_000, PROFILES["generic"], RULES)
        assert isinstance(little, Promise)
        assert little.seconds == 600

    @pytest.mark.parametrize(
        ("plan", "available"),
        [
            (METERED, 0),
            (METERED, -5),
            (HOURLY, 100),
            (change(METERED, minimum_credit_micros=20_000), 19_999),
        ],
    )
    def test_without_enough_credit(self, plan: Plan, available: int) -> None:
        assert promise(plan, available, PROFILES["generic"], RULES) is Refusal.NO_CREDIT

    def test_what_costs_nothing_needs_no_credit(self) -> None:
        free = change(METERED, tariff=change(METERED.tariff, rules=()))
        promised = promise(free, 0, PROFILES["generic"], RULES)
        assert promised == Promise(0, 0, None, Volume())


class TestGarden:
    PLAN = change(METERED, access=Access(garden="portal", garden_plan="free"))

    def test_it_takes_in_who_can_pay(self) -> None:
        generic = PROFILES["generic"]
        assert takes_in(Refusal.NO_CREDIT, self.PLAN, generic)
        assert not takes_in(Refusal.NO_CREDIT, METERED, generic)
        assert not takes_in(Refusal.NO_CREDIT, None, generic)
        assert not takes_in(Refusal.CLOSED, self.PLAN, generic)
        assert not takes_in(Refusal.NO_CREDIT, self.PLAN, PROFILES["hostapd"])


def test_the_subscribers_own_limit_goes_before_the_plans() -> None:
    plan = change(METERED, access=Access(session_limit=3))
    assert session_limit(NO_BOUNDS, METERED) == 0
    assert session_limit(NO_BOUNDS, plan) == 3
    assert session_limit(Bounds(session_limit=1), plan) == 1
