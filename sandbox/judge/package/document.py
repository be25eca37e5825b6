"""YAML as a package may hold it: the safe tags, and nothing that grows, repeats or nests deeply."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from sandbox.judge.package.errors import PackageError
from sandbox.judge.package.files import read_text

__all__ = ["parse_document", "read_document", "written"]

_MOST_BYTES = 256 << 10
_MOST_DEPTH = 16
# Two slips that everybody makes, and PyYAML tells in words for those who write parsers.
_ADVICE = {
    "found character '\\t' that cannot start any token": "; indent by spaces, not by tabs",
    "mapping values are not allowed here": '; put a text with ": " in it in quotes',
}


class _Int(int):
    written: str


class _Float(float):
    written: str


class _Loader(yaml.SafeLoader):
    """SafeLoader is safe from code, not from size: ten lines of aliases can be 10^9 values."""

    _depth = 0

    def __init__(self, text: str, repeated: list[yaml.MarkedYAMLError] | None) -> None:
        """`repeated`: where keys that are there twice are told; None: they are errors."""
        super().__init__(text)
        self._repeated = repeated

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise _refusal("an alias; write the value where it is meant", self.peek_event())
        if self._depth >= _MOST_DEPTH:
            raise _refusal(f"over {_MOST_DEPTH} levels deep", self.peek_event())
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    self._tell_repeated(key)
                seen.add(key.value)
        return super().construct_mapping(node, deep)

    def _tell_repeated(self, key: yaml.ScalarNode) -> None:
        refusal = _refusal(f'the key "{key.value}" twice', key)
        if self._repeated is None:
            raise refusal
        self._repeated.append(refusal)

    def construct_scalar(self, node: yaml.ScalarNode) -> Any:
        if any(char == "\0" or "\ud800" <= char <= "\udfff" for char in node.value):
            # By an escape; no command line, no file and no message could hold it.
            raise _refusal("a NUL, or half a surrogate pair", node)
        return super().construct_scalar(node)

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        number = _Int(super().construct_yaml_int(node))
        number.written = node.value
        return number

    def construct_yaml_float(self, node: yaml.ScalarNode) -> float:
        number = _Float(super().construct_yaml_float(node))
        number.written = node.value
        return number


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.construct_yaml_float)


def read_document(path: Path, where: str, notes: list[str] | None = None) -> Any:
    """The YAML document in `path`; None: an empty one. Raises PackageError naming `where`.

    `notes`: where a key that is there twice is told, whose last value counts then.
    """
    return parse_document(read_text(path, where, _MOST_BYTES), where, notes)


def parse_document(text: str, where: str, notes: list[str] | None = None) -> Any:
    """The YAML document that `text` is; None: an empty one. Raises PackageError."""
    repeated: list[yaml.MarkedYAMLError] | None = None if notes is None else []
    try:
        document = _Loader(text, repeated).get_single_data()
    except yaml.MarkedYAMLError as error:
        raise _package_error(where, error) from error
    # ValueError: more digits than int() takes, a month 13. OverflowError: 1:1:1.5 of many parts.
    # The others are what PyYAML lets through of explicit tags on values that they do not fit.
    except (
        yaml.YAMLError, ValueError, TypeError, KeyError, AttributeError, IndexError, OverflowError
    ) as error:  # fmt: skip
        raise PackageError(where, f"is no YAML: {str(error) or type(error).__name__}") from error
    for refusal in repeated or ():
        assert notes is not None
        notes.append(f"{_package_error(where, refusal)}; the last one counts")
    return document


def written(value: Any) -> str | None:
    """The text that `value` is, or the one that its number was written as; None: it is neither.

    So that flags are what the author wrote, though YAML takes 1.0e6 for a number.
    """
    if isinstance(value, str):
        return value
    return value.written if isinstance(value, _Int | _Float) else None


def _refusal(problem: str, at: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=at.start_mark)


def _package_error(where: str, error: yaml.MarkedYAMLError) -> PackageError:
    mark = error.problem_mark or error.context_mark
    line = f"line {mark.line + 1}: " if mark else ""
    problem = error.problem or error.context
    return PackageError(where, f"{line}{problem}{_ADVICE.get(problem or '', '')}")
