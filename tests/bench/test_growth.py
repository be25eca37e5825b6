"""What counts as growth in a long run."""

from typing import NamedTuple

import pytest

from bench.growth import growth, print_verdict


class Sample(NamedTuple):
    jobs: int
    fds: int


def samples(*fds: int) -> list[Sample]:
    return [Sample(number, value) for number, value in enumerate(fds)]


def test_what_rises_is_told_with_the_medians_of_both_thirds() -> None:
    assert growth(samples(5, 6, 7, 9, 9, 9, 8, 9, 10), {}, ("jobs",)) == {"fds": (6, 9)}


def test_one_sample_out_of_line_is_no_growth() -> None:
    assert growth(samples(5, 5, 5, 5, 5, 5, 5, 90, 5), {}, ("jobs",)) == {}


def test_what_falls_is_no_growth() -> None:
    assert growth(samples(9, 9, 9, 5, 5, 5), {}, ("jobs",)) == {}


@pytest.mark.parametrize(("slack", "grown"), [((0.1, 0.0), True), ((0.5, 0.0), False),
                                              ((0.0, 4.0), True), ((0.0, 5.0), False)])  # fmt: skip
def test_a_rise_within_the_slack_is_none(slack: tuple[float, float], grown: bool) -> None:
    assert bool(growth(samples(10, 10, 15), {"fds": slack}, ("jobs",))) is grown


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_samples_judge_nothing(count: int) -> None:
    assert growth(samples(1, 99)[:count], {}) == {}


def test_the_verdict_says_good_only_where_nothing_is_wrong(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_verdict(samples(1, 1, 1), "3 jobs", {}, [])
    assert "nothing grew" in capsys.readouterr().out
    print_verdict(samples(1, 1, 1), "3 jobs", {}, ["a fault", "a fault"])
    told = capsys.readouterr().out
    assert "FAULT: a fault (2 times)" in told
    assert "nothing grew" not in told
    print_verdict(samples(1, 1, 2), "3 jobs", {"fds": (1, 2)}, [])
    told = capsys.readouterr().out
    assert "GROWN: fds: 1 in the first third, 2 in the last" in told
    assert "nothing grew" not in told
