"""A Problem as lines of text, and back: it is read in a sandbox, and used outside of it.

A line of JSON each test, then one for all else, then one that says how many tests there were. Who
takes them trusts nothing: whatever comes is a Problem of the right types, whose files are below its
directory, or refused.
"""

from __future__ import annotations

import functools
import json
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from sandbox.judge.problem import Group, Problem, Test

__all__ = ["problem_from_lines", "problem_lines"]

_Decode = Callable[[Any, "_Taken"], Any]


def problem_lines(problem: Problem) -> Iterator[str]:
    """Of a problem that was read; each line ends with its newline."""

    def plain(value: Any) -> Any:
        if isinstance(value, Path):
            return str(value.relative_to(problem.directory))
        if isinstance(value, Mapping):
            return {key: plain(item) for key, item in value.items()}
        if isinstance(value, frozenset):
            return sorted(value)
        if isinstance(value, Group):
            # Its tests have lines of their own, in this order.
            members = [None if isinstance(one, Test) else plain(one) for one in value.members]
            return [value.name, members, *map(plain, value[2:])]
        return [plain(item) for item in value] if isinstance(value, tuple) else value

    count = 0
    for test in problem.data.tests():
        yield _line(plain(test))
        count += 1
    yield _line([".", *map(plain, problem[1:])])
    yield _line(count)


def problem_from_lines(
    lines: Iterable[bytes], directory: Path, name_problem: Callable[[str], str | None]
) -> Problem:
    """The problem whose files are below `directory`.

    `name_problem`: why a file may not be called so. Raises ValueError: they are of none. Takes
    long, and lets go of the interpreter between the lines.
    """
    taken = _Taken(directory, name_problem)
    last: list[Any] = []
    decode = _decoder(Test)
    for line in lines:
        last.append(json.loads(line))
        if len(last) > 2:
            taken.tests.append(decode(last.pop(0), taken))
    if len(last) != 2 or last[1] != len(taken.tests):
        raise ValueError("lines are missing")
    problem: Problem = _decoder(Problem)(last[0], taken)
    if taken.used != len(taken.tests):
        raise ValueError("a test is in no group")
    return problem


class _Taken:
    """What was taken so far."""

    def __init__(self, directory: Path, name_problem: Callable[[str], str | None]) -> None:
        self._directory, self._name_problem = directory, name_problem
        self.tests: list[Test] = []
        self.used = 0

    def next_test(self) -> Test:
        self.used += 1
        if self.used > len(self.tests):
            raise ValueError("more tests than lines")
        return self.tests[self.used - 1]

    def path(self, name: str) -> Path:
        if name == ".":
            return self._directory
        if problem := self._name_problem(name):
            raise ValueError(f"{name!r} {problem}")
        return self._directory / name


@functools.cache
def _decoder(kind: Any) -> _Decode:
    """Of values of that type, as the fields of a Problem are annotated."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if kind == Test | Group:
        group = _later(Group)
        return lambda value, taken: taken.next_test() if value is None else group(value, taken)
    if origin in (typing.Union, types.UnionType):
        (other,) = (_decoder(one) for one in inner if one is not types.NoneType)
        return lambda value, taken: None if value is None else other(value, taken)
    if origin is tuple and inner[1:] == (...,):
        item = _decoder(inner[0])
        return lambda value, taken: tuple(item(one, taken) for one in _of(list, value))
    if origin is tuple:
        return _fields(inner, lambda *values: values)
    if origin is frozenset:
        return lambda value, taken: frozenset(_of(str, one) for one in _of(list, value))
    if origin is Mapping:
        item = _decoder(inner[1])
        return lambda value, taken: {k: item(v, taken) for k, v in _of(dict, value).items()}
    if kind is Path:
        return lambda value, taken: taken.path(_of(str, value))
    if kind is float:
        return lambda value, taken: value if type(value) is float else float(_of(int, value))
    if hasattr(kind, "_fields"):
        return _fields(typing.get_type_hints(kind).values(), kind)
    return lambda value, taken: _of(kind, value)


def _later(kind: Any) -> _Decode:
    return lambda value, taken: _decoder(kind)(value, taken)


def _fields(kinds: Iterable[Any], make: Callable[..., Any]) -> _Decode:
    decoders = [_decoder(kind) for kind in kinds]

    def decode(value: Any, taken: _Taken) -> Any:
        pairs = zip(decoders, _of(list, value), strict=True)
        return make(*(decoder(item, taken) for decoder, item in pairs))

    return decode


def _of(kind: type, value: Any) -> Any:
    if type(value) is not kind:
        raise ValueError(f"{type(value).__name__} where {kind.__name__} belongs")
    return value


def _line(value: Any) -> str:
    return json.dumps(value, separators=(",", ":")) + "\n"
