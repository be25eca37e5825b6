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


class _Int(int):
    written: str


class _Float(float):
    written: str


class _Loader(yaml.SafeLoader):
    """SafeLoader is safe from code, not from size: ten lines of aliases can be 10^9 values."""

    _depth = 0

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
                    raise _refusal(f'the key "{key.value}" twice', key)
                seen.add(key.value)
        return super().construct_mapping(node, deep)

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


def read_document(path: Path, where: str) -> Any:
    """The YAML document in `path`; None: an empty one. Raises PackageError naming `where`."""
    return parse_document(read_text(path, where, _MOST_BYTES), where)


def parse_document(text: str, where: str) -> Any:
    """The YAML document that `text` is; None: an empty one. Raises PackageError."""
    try:
        return yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f"line {mark.line + 1}: " if mark else ""
        raise PackageError(where, f"{line}{error.problem or error.context}") from error
    # ValueError: more digits than int() takes, a month 13. OverflowError: 1:1:1.5 of many parts.
    # The others are what PyYAML lets through of explicit tags on values that they do not fit.
    except (
        yaml.YAMLError, ValueError, TypeError, KeyError, AttributeError, IndexError, OverflowError
    ) as error:  # fmt: skip
        raise PackageError(where, f"is no YAML: {str(error) or type(error).__name__}") from error


def written(value: Any) -> str | None:
    """The text that `value` is, or the one that its number was written as; None: it is neither.

    So that flags are what the author wrote, though YAML takes 1.0e6 for a number.
    """
    if isinstance(value, str):
        return value
    return value.written if isinstance(value, _Int | _Float) else None


def _refusal(problem: str, at: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=at.start_mark)
