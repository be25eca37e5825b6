"""Every kept input of every fuzz target: what was found once is not found again."""

from pathlib import Path

import pytest

from fuzz import conversation, frame, message, server, spec
from fuzz.driver import corpus

TARGETS = {
    "conversation": conversation.target,
    "frame": frame.target,
    "message": message.target,
    "server": server.target,
    "spec": spec.target,
}


@pytest.mark.parametrize(
    ("name", "path"),
    [
        pytest.param(name, path, id=f"{name}-{path.name}")
        for name in TARGETS
        for path in corpus(name)
    ],
)
def test_a_kept_input_finds_nothing(name: str, path: Path) -> None:
    TARGETS[name](path.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_has_dozens_of_seeds(name: str) -> None:
    assert len(corpus(name)) >= 24
    TARGETS[name](b"")
