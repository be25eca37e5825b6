"""What the bench prints and draws."""

import xml.etree.ElementTree as ElementTree

import pytest

from bench.plot import plot
from bench.ratios import Goal, Ratio, ratio_of
from bench.table import format_rows, ratio_rows

SVG = "{http://www.w3.org/2000/svg}"


def ratio(name: str, value: float, goal: Goal | None = None, rounds: int = 3) -> Ratio:
    return ratio_of(name, "peer", [[value]] * rounds, [[1.0]] * rounds, goal=goal)


REACHED = ratio("reached & <good>", 0.5, Goal(1.0, 0.7))
MISSED = ratio("missed", 0.5, Goal(1.0, 1.5, at_least=True))
PLAIN = ratio("without a goal", 12.345)


def test_the_table_says_what_is_missed_and_by_which_side() -> None:
    head, reached, missed, plain = ratio_rows([REACHED, MISSED, PLAIN])
    assert head[4:6] == ("must", "aim")
    assert reached[2:] == ("0.500", "0.500 to 0.500", "≤ 1", "≤ 0.7", "")
    assert missed[2:] == ("0.500", "0.500 to 0.500", "≥ 1", "≥ 1.5", "MISSED")
    assert plain[2:] == ("12.3", "12.3 to 12.3", "", "", "")


def test_markdown_has_a_rule_and_as_many_cells_in_each_line() -> None:
    lines = format_rows(ratio_rows([REACHED, PLAIN]), markdown=True).splitlines()
    assert set(lines[1]) == set("| -")
    assert {line.count("|") for line in lines} == {8}
    assert len({len(line) for line in lines}) == 1


def test_a_terminal_gets_columns_without_trailing_blanks() -> None:
    lines = format_rows(ratio_rows([REACHED, PLAIN]), markdown=False).splitlines()
    assert all(line == line.rstrip() and "|" not in line for line in lines)
    assert len({line.index("peer") for line in lines}) == 2  # the head says "÷ peer"


def test_the_plot_is_well_formed_and_draws_a_bar_for_each_goal() -> None:
    drawn = ElementTree.fromstring(plot([REACHED, MISSED, PLAIN], "a <machine>"))
    bars = [bar.get("class") for bar in drawn.iter(f"{SVG}rect")]
    assert bars == ["reached", "missed"]
    texts = [text.text for text in drawn.iter(f"{SVG}text")]
    assert "reached & <good> ÷ peer" in texts
    assert "a <machine>" in texts


@pytest.mark.parametrize("value", [-1.0, 0.0, 1e-9, 1.0, 1e9])
def test_any_value_is_drawn_within_the_picture(value: float) -> None:
    drawn = ElementTree.fromstring(plot([ratio("one", value, Goal(1.0, 0.7))], ""))
    width = float(drawn.get("viewBox", "").split()[2])
    for bar in drawn.iter(f"{SVG}rect"):
        left, wide = float(bar.get("x", "")), float(bar.get("width", ""))
        assert 0 <= left <= left + wide <= width


def test_a_run_without_goals_is_drawn_too() -> None:
    assert ElementTree.fromstring(plot([], "")).tag == f"{SVG}svg"
