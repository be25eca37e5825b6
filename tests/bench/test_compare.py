"""Two runs of the bench side by side: what a change did, and what cannot be told."""

import pytest

from bench.compare import comparison_rows
from bench.machine import Machine
from bench.ratios import Goal, Ratio, ratio_of
from bench.results import Results, read_results, write_results

MORE, LESS = Goal(1.0, 1.5, at_least=True), Goal(1.0, 0.7)


def around(value: float, *, goal: Goal | None = LESS, spread: float = 0.05) -> Ratio:
    each = [value * (1 + spread * (number - 5) / 5) for number in range(11)]
    return ratio_of("figure", "peer", [[x] for x in each], [[1.0]] * 11, goal=goal)


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        (around(1.0), around(0.5), "better"),
        (around(0.5), around(1.0), "worse"),
        (around(0.5, goal=None), around(1.0, goal=None), "worse"),
        (around(1.0, goal=MORE), around(2.0, goal=MORE), "better"),
        (around(2.0, goal=MORE), around(1.0, goal=MORE), "worse"),
        (around(1.0), around(1.01), "not told apart"),
        (around(1.0, spread=0.9), around(0.8, spread=0.9), "not told apart"),
    ],
)
def test_a_change_is_told_only_where_the_bounds_are_apart(
    before: Ratio, after: Ratio, verdict: str
) -> None:
    _, row = comparison_rows([before], [after])
    assert row[-1] == verdict


def test_the_change_is_the_ratio_of_the_ratios() -> None:
    _, row = comparison_rows([around(2.0)], [around(1.0)])
    assert row[:5] == ("figure", "peer", "2.000", "1.000", "0.500")


def test_a_single_round_decides_nothing() -> None:
    once = ratio_of("figure", "peer", [[1.0]], [[1.0]])
    _, row = comparison_rows([once], [around(0.1)])
    assert row[-1] == "measured once"


def test_memory_that_did_not_grow_is_compared_too() -> None:
    _, row = comparison_rows([around(0.0)], [around(1.0)])
    assert (row[4], row[-1]) == ("inf", "worse")


def test_a_figure_that_one_run_lacks_is_not_compared() -> None:
    assert len(comparison_rows([around(1.0)], [around(1.0)._replace(peer="another")])) == 1


def test_results_are_read_as_they_were_written(tmp_path) -> None:
    machine = Machine("6.18", 2, "a CPU", None, "v1", 7, "3.11", 0.01, 0.1, 1.5, 0.0)
    results = Results(machine, {"nsjail": "not on PATH"}, [around(1.0), around(2.0, goal=None)])
    write_results(results, tmp_path / "run.json")
    assert read_results(tmp_path / "run.json") == results
