"""Patterns of submissions.yaml, beside a plain reading of them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.judge.package.globs import expand, matches


@pytest.mark.parametrize(
    ("pattern", "name", "is_match"),
    [
        ("accepted", "accepted/a.py", True),
        ("accepted/*", "accepted/a.py", True),
        ("*", "secret/group/1", True),
        ("secret/*-hard", "secret/1-hard", True),
        ("secret/*-hard", "secret/g/1-hard", False),
        ("secret/g", "secret/g/1", True),
        ("secret/g", "secret/gg", False),
        ("a.{py,cpp}", "a.cpp", True),
        ("{a,b{c,d}}", "bd", True),
        ("{a,b{c,d}}", "b", False),
        ("*{1,3}", "11", True),
        ("a*a", "a", False),
        ("a.c", "abc", False),
        ("{,x}y", "y", True),
        ("{ 4, x }{ 2 }", "42", True),
    ],
)
def test_a_pattern_matches_a_name_or_what_is_above_it(pattern, name, is_match) -> None:
    assert matches(pattern, name) is is_match


@pytest.mark.parametrize("pattern", ["a}", "{a", "}{", "**", "[a]", "{a,b}" * 9, "a" * 1001])
def test_what_patterns_cannot_say_is_refused(pattern) -> None:
    with pytest.raises(ValueError):
        expand(pattern)


@given(st.text("ab*/", max_size=12), st.text("ab/", min_size=1, max_size=12))
def test_stars_mean_what_a_regular_expression_says(pattern, name) -> None:
    if "**" in pattern or "//" in name or name.startswith("/") or name.endswith("/"):
        return
    plain = re.escape(pattern.rstrip("/")).replace(r"\*", "[^/]*")
    above = ["/".join(name.split("/")[:n]) for n in range(1, name.count("/") + 2)]
    assert matches(pattern, name) is any(re.fullmatch(plain, one) for one in above)


def test_many_stars_cost_no_more_than_their_length() -> None:
    assert not matches("*a" * 400, "a" * 399)
