"""Named tuples that cost no start-up time behave as those of typing."""

from __future__ import annotations

import copy
import inspect
import pickle
import subprocess
import sys
import typing
from pathlib import Path

import pytest

from sandbox.spec.named_tuple import NamedTuple

ROOT = Path(__file__).resolve().parents[2]


class Ours(NamedTuple):
    """One."""

    name: str
    size_bytes: int = 0

    @property
    def is_empty(self) -> bool:
        return not self.size_bytes

    @classmethod
    def named(cls, name: str) -> Ours:
        return cls(name)


class Theirs(typing.NamedTuple):
    """One."""

    name: str
    size_bytes: int = 0

    @property
    def is_empty(self) -> bool:
        return not self.size_bytes

    @classmethod
    def named(cls, name: str) -> Theirs:
        return cls(name)


def test_it_is_what_typing_makes() -> None:
    ours, theirs = Ours("a", size_bytes=3), Theirs("a", size_bytes=3)
    assert ours == theirs == ("a", 3)
    assert repr(ours) == repr(theirs).replace("Theirs", "Ours")
    assert ours._asdict() == theirs._asdict()
    assert ours._replace(name="b") == ("b", 3)
    assert (Ours._fields, Ours._field_defaults) == (Theirs._fields, Theirs._field_defaults)
    assert inspect.signature(Ours).parameters.keys() == inspect.signature(Theirs).parameters.keys()
    assert (Ours.__doc__, Ours.__module__, Ours.__qualname__) == ("One.", __name__, "Ours")
    assert list(Ours.__annotations__) == list(Theirs.__annotations__)


def test_what_else_the_class_has_stays() -> None:
    assert Ours.named("a").is_empty
    assert not Ours("a", 1).is_empty


def test_it_is_copied_and_matched() -> None:
    ours = Ours("a", 1)
    assert pickle.loads(pickle.dumps(ours)) == copy.deepcopy(ours) == ours
    match ours:
        case Ours(name, size_bytes):
            assert (name, size_bytes) == ("a", 1)


def test_what_lacks_or_has_no_field_is_refused() -> None:
    for arguments, named in (((), {}), (("a", 1, 2), {}), (("a",), {"other": 1})):
        with pytest.raises(TypeError):
            Ours(*arguments, **named)


def test_the_wire_loads_no_typing() -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "import sandbox.wire.calls, sandbox.wire.credits, sandbox.wire.errors\n"
        "import sandbox.wire.framing, sandbox.wire.result\n"
        "print('typing' in sys.modules)"
    )
    command = [sys.executable, "-I", "-c", code]
    assert subprocess.run(command, check=True, capture_output=True).stdout == b"False\n"
