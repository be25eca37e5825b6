"""Every kept input of every fuzz target, and some new ones: nothing is found twice."""

from pathlib import Path

import pytest

from fuzz.driver import corpus
from fuzz.mutation import Mutator
from fuzz.targets import TARGETS, load

INPUTS = 60  # new ones a target: some seconds in all
SLOW_INPUTS = 15
SLOW = ("http", "journal", "policy", "server")  # each input has a loop, or files, of its own


@pytest.mark.parametrize(
    ("name", "path"),
    [
        pytest.param(name, path, id=f"{name}-{path.name}")
        for name in TARGETS
        for path in corpus(name)
    ],
)
def test_a_kept_input_finds_nothing(name: str, path: Path) -> None:
    target, _ = load(name)
    target(path.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_has_dozens_of_seeds(name: str) -> None:
    assert len(corpus(name)) >= 24
    target, _ = load(name)
    target(b"")


@pytest.mark.parametrize("name", TARGETS)
def test_new_inputs_find_nothing(name: str) -> None:
    """The same each time: it is a smoke test, and no campaign (python -m fuzz)."""
    target, tokens = load(name)
    mutate = Mutator([path.read_bytes() for path in corpus(name)], tokens, seed=6)
    for _ in range(SLOW_INPUTS if name in SLOW else INPUTS):
        data = mutate()
        try:
            target(data)
        except Exception as error:
            error.add_note(f"{name}: {data!r}")
            raise
