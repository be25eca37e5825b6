"""Rows in columns, for a terminal or as a Markdown table."""

from collections.abc import Sequence

from bench.ratios import Goal, Ratio

__all__ = ["format_rows", "number", "ratio_rows"]

_HEAD = ("figure", "÷ peer", "ratio", "p10 to p90", "must", "aim", "")


def ratio_rows(ratios: Sequence[Ratio]) -> list[tuple[str, ...]]:
    """A head, and a row for each ratio; the last cell says what is not reached."""
    return [_HEAD, *map(_row, ratios)]


def format_rows(rows: Sequence[tuple[str, ...]], *, markdown: bool) -> str:
    """All cells of a column equally wide; the first row is the head."""
    least = 3 if markdown else 0  # of dashes below a head
    widths = [max(least, *map(len, column)) for column in zip(*rows, strict=True)]
    left, between, right = ("| ", " | ", " |") if markdown else ("", "  ", "")
    rule = [tuple("-" * width for width in widths)] if markdown else []
    lines = (
        left + between.join(map(str.ljust, row, widths)) + right
        for row in (rows[0], *rule, *rows[1:])
    )
    return "\n".join(line.rstrip() for line in lines)


def number(value: float) -> str:
    """A ratio, with as many digits as it is worth."""
    return f"{value:.{1 if value >= 10 else 2 if value >= 1.1 else 3}f}"


def _row(found: Ratio) -> tuple[str, ...]:
    goal = found.goal
    spread = f"{number(found.low)} to {number(found.high)}" if found.rounds > 1 else ""
    bounds = ("", "") if goal is None else (_bound(goal, goal.must), _bound(goal, goal.aim))
    share = found.share_of_goal
    mark = "MISSED" if share is not None and share > 1 else ""
    return (found.figure, found.peer, number(found.median), spread, *bounds, mark)


def _bound(goal: Goal, value: float) -> str:
    return f"{'≥' if goal.at_least else '≤'} {value:g}"
