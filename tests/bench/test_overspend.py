"""The arithmetic of `make bench-overspend`, and that its fleets are alive and their books exact."""

import argparse

import pytest

from bench.credit_world import CreditWorld, Exhausted
from bench.overspend import INTERIMS_S, SESSIONS, TOPUP, fleets, shares, simulate
from rating.plan import Policy

ARGUMENTS = argparse.Namespace(accounts=5, hours=0.7, seed=3, reserve_mb=10)


def test_shares_are_of_what_was_charged_and_rounded_half_up() -> None:
    told = shares([Exhausted("a", 5_000_000, 100_000, 0), Exhausted("b", 3_000_000, 0, 20_001)])
    assert told["revenue_micros"] == 8_000_000
    assert told["overspent_ppm"] == 12_500
    assert told["stranded_ppm"] == 2_500  # 2,500.125


def test_nothing_exhausted_is_no_share() -> None:
    assert shares([])["overspent_ppm"] == 0


def test_all_are_simulated_in_the_order_of_the_table() -> None:
    wanted = fleets(ARGUMENTS)
    assert len(wanted) == len(Policy) * len(INTERIMS_S) * len(SESSIONS)
    assert [each.plan.policy for each in wanted[::6]] == list(Policy)
    assert all(each.topup == TOPUP for each in wanted)


@pytest.fixture(scope="module")
def worlds() -> dict[Policy, CreditWorld]:
    """An hour of each policy; two sessions an account that report every minute."""
    made: dict[Policy, CreditWorld] = {}
    for fleet in fleets(ARGUMENTS):
        if fleet.interim_s == 60 and fleet.sessions_an_account == 2:
            made[fleet.plan.policy] = CreditWorld(fleet)
            made[fleet.plan.policy].run()  # it compares the books itself
    return made


@pytest.mark.parametrize("policy", list(Policy))
def test_credit_runs_out_and_is_topped_up_again(
    worlds: dict[Policy, CreditWorld], policy: Policy
) -> None:
    world = worlds[policy]
    assert len(world.exhausted) >= 3
    assert world.obedient.disconnects_obeyed >= len(world.exhausted)
    for each in world.exhausted:
        assert each.charged > 0
        assert each.overspent == 0 or each.stranded == 0
        assert each.stranded < 20_000  # the sample plan's minimum credit


def test_strict_overspends_less_than_lenient(worlds: dict[Policy, CreditWorld]) -> None:
    spent = {policy: shares(world.exhausted)["overspent_ppm"] for policy, world in worlds.items()}
    assert spent[Policy.STRICT] < spent[Policy.LENIENT]


def test_a_seed_is_a_history() -> None:
    first, second = (simulate(fleets(ARGUMENTS)[0]) for _ in range(2))
    assert first | {"seconds": 0} == second | {"seconds": 0}
