"""How long wrong passwords keep a user waiting."""

from ratewire.access.slowing import FREE, LONGEST_MS, SHORTEST_MS, guessed, hold_ms


def test_the_first_ones_cost_nothing_and_each_further_one_twice_as_much() -> None:
    assert [hold_ms(number) for number in range(FREE + 1)] == [0] * (FREE + 1)
    following = [hold_ms(FREE + number) for number in range(1, 8)]
    assert following[:3] == [SHORTEST_MS, 2 * SHORTEST_MS, 4 * SHORTEST_MS]
    assert following[-1] == hold_ms(10**9) == LONGEST_MS


def test_each_user_at_each_nas_for_itself() -> None:
    keys = {guessed(user, nas) for user in ("a", "a|b") for nas in ("n", "n|a")}
    assert len(keys) == 4
