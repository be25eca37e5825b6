"""Bugs that we plant ourselves are found: a target that cannot fail finds nothing either."""

import shutil

import pytest

from fuzz.planted.trial import Planted, clean_copy, plant, planted, try_to_find
from fuzz.targets import TARGETS

pytestmark = pytest.mark.skipif(shutil.which("patch") is None, reason="this host has no patch(1)")
SEED = ["--own", "--seed=6"]
# The quickest to be found. All of them: python -m fuzz.planted
QUICK = ("credit-sum", "frame-cap", "mount-line")


def bug(name: str) -> Planted:
    return next(each for each in planted() if each.name == name)


@pytest.mark.parametrize("name", [each.name for each in planted()])
def test_a_planted_bug_still_fits_and_is_for_some_target(name: str) -> None:
    with clean_copy() as root:
        plant(bug(name), root)
    assert bug(name).target in TARGETS


@pytest.mark.parametrize("name", QUICK)
def test_a_planted_bug_is_found_and_without_it_nothing_is(name: str) -> None:
    inputs = f"--inputs={bug(name).inputs}"
    with clean_copy() as root:
        plant(bug(name), root)
        outcome, left_out = try_to_find(bug(name), [*SEED, inputs], root)
    assert "Error" in outcome.finding and len(left_out) < 5
    with clean_copy() as root:
        inputs = f"--inputs={outcome.inputs + 1}"
        outcome, left_out = try_to_find(bug(name), [*SEED, inputs], root)
    assert not outcome.finding and not left_out
