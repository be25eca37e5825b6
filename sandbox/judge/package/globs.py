"""Patterns of submissions.yaml: * within a name, {a,b}, and a match of what is above counts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

__all__ = ["expand", "matches", "matches_any"]

_MOST_LENGTH = 1000
_MOST_PATTERNS = 256


def expand(pattern: str) -> list[str]:
    """`pattern` without braces, as several. Raises ValueError that says what it cannot have."""
    if len(pattern) > _MOST_LENGTH:
        raise ValueError(f"a pattern of over {_MOST_LENGTH} characters")
    if "**" in pattern or "[" in pattern:
        raise ValueError("** and [ ] have no meaning in patterns; use * and { , }")
    pending, done = [pattern], []
    while pending:
        text = pending.pop()
        close = text.find("}")
        start = text.rfind("{", 0, close if close >= 0 else None)
        if close < 0 and start < 0:
            done.append(text)
        elif close < 0 or start < 0:
            raise ValueError("a brace without the other one")
        else:  # the innermost pair first
            # Names have no spaces, so one beside a choice is for whoever reads it.
            choices = map(str.strip, text[start + 1 : close].split(","))
            pending += [text[:start] + choice + text[close + 1 :] for choice in choices]
        if len(pending) + len(done) > _MOST_PATTERNS:
            raise ValueError(f"braces that make over {_MOST_PATTERNS} patterns")
    return done


def matches(pattern: str, name: str) -> bool:
    """Whether `pattern` is one of `name` ("secret/group1/03"), or of a directory above it.

    Raises ValueError as expand does.
    """
    return matches_any(expand(pattern), name)


def matches_any(expanded: Iterable[str], name: str) -> bool:
    """The same of a pattern that was expanded before."""
    above = [part.split("/") for part in _above(name)]
    return any(_matches(single, names) for single in expanded for names in above)


def _above(name: str) -> Iterator[str]:
    while name:
        yield name
        name = name.rpartition("/")[0]


def _matches(pattern: str, names: Sequence[str]) -> bool:
    parts = pattern.rstrip("/").split("/")
    return len(parts) == len(names) and all(map(_matches_part, parts, names))


def _matches_part(pattern: str, name: str) -> bool:
    """Each piece at its first place: a pattern of many stars costs no more than its length."""
    first, *rest = pattern.split("*")
    if not rest:
        return pattern == name
    *middle, last = rest
    if not name.startswith(first) or len(name) < len(first) + len(last):
        return False
    at, end = len(first), len(name) - len(last)
    for piece in middle:
        found = name.find(piece, at, end)
        if found < 0:
            return False
        at = found + len(piece)
    return name.endswith(last)
