"""The arithmetic of the bench: what a table cell says of the rounds behind it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.ratios import Goal, Ratio, ratio_of

ROUNDS = st.lists(st.tuples(st.floats(0.1, 10), st.floats(0.1, 10)), min_size=1, max_size=30)


def of_pairs(*pairs: tuple[float, float], goal: Goal | None = None) -> Ratio:
    return ratio_of("ours", "theirs", [[a] for a, _ in pairs], [[b] for _, b in pairs], goal=goal)


def test_a_ratio_is_of_medians_and_its_spread_of_the_rounds_own() -> None:
    found = of_pairs((1, 1), (4, 2), (9, 3))
    assert (found.median, found.low, found.high, found.rounds) == (2, 1, 3, 3)


def test_one_round_that_was_disturbed_moves_neither_median_nor_spread() -> None:
    quiet = of_pairs(*[(2, 1)] * 20)
    disturbed = of_pairs(*[(2, 1)] * 19, (50, 1))
    assert disturbed == quiet


def test_a_tail_is_held_against_the_median_of_the_same_jobs() -> None:
    latencies = [[float(number) for number in range(1, 101)]]
    found = ratio_of("tail", "its median", latencies, latencies, quantile=0.99)
    assert found.median == 100 / 50.5


def test_a_goal_that_wants_more_is_turned_so_that_less_than_one_is_reached() -> None:
    faster = of_pairs((3, 2), goal=Goal(1.0, 1.5, at_least=True))
    cheaper = of_pairs((1, 2), goal=Goal(1.0, 0.7))
    assert faster.share_of_goal == pytest.approx(2 / 3)
    assert cheaper.share_of_goal == 0.5
    assert of_pairs((1, 2)).share_of_goal is None


@given(ROUNDS)
def test_the_bounds_hold_in_order_for_any_rounds(pairs: list[tuple[float, float]]) -> None:
    found = of_pairs(*pairs)
    each = [a / b for a, b in pairs]
    assert min(each) <= found.low <= found.high <= max(each)
    assert found.least <= found.most


@given(ROUNDS, st.floats(0.5, 2))
def test_a_machine_twice_as_slow_changes_no_ratio(
    pairs: list[tuple[float, float]], factor: float
) -> None:
    slower = of_pairs(*((a * factor, b * factor) for a, b in pairs))
    assert slower.median == pytest.approx(of_pairs(*pairs).median)
