"""A plot of the figures that have goals, as SVG: each ratio as a share of what it must be."""

import math
from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape

from bench.ratios import Ratio
from bench.table import number

__all__ = ["STYLE", "plot"]

_LEAST_SHARE = 1 / 16
_WIDTH, _LABELS, _VALUES, _LINE, _TOP, _BAR = 960, 420, 70, 26, 46, 12
# Colours that hold on white and on near black; the text takes the reader's choice.
_LEGEND = "share of what it must be: left of the line is reached; violet: the aim; thin: p10 to p90"
STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #1f2328 }
  .quiet { fill: #59636e } .axis { stroke: #59636e } .grid { stroke: #d1d9e0 }
  .reached { fill: #2da44e } .missed { fill: #d1643c } .spread { stroke: #1f2328 }
  .aim { stroke: #8250df; stroke-width: 2 }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc } .quiet { fill: #9198a1 } .axis { stroke: #9198a1 }
    .grid { stroke: #3d444d } .spread { stroke: #f0f6fc } .aim { stroke: #ab7df8 }
  }
"""


def plot(ratios: Sequence[Ratio], machine: str) -> str:
    """The whole SVG document; ratios without a goal are left out."""
    shown = [ratio for ratio in ratios if ratio.goal is not None]
    scale = _Scale(shown)
    height = _TOP + _LINE * len(shown) + 50
    bottom = _TOP + _LINE * len(shown)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img">',
        f"<title>Figures as shares of their goals</title><style>{STYLE}</style>",
        f'<text x="8" y="18" class="quiet">{_LEGEND}</text>',
    ]
    for share in scale.ticks():
        x = scale.x(share)
        kind = "axis" if share == 1 else "grid"
        lines.append(f'<path class="{kind}" d="M{x:.1f} {_TOP - 8}V{bottom}"/>')
        label = "must" if share == 1 else f"{share:g}" if share > 1 else f"1/{1 / share:g}"
        lines.append(
            f'<text class="quiet" x="{x:.1f}" y="{_TOP - 12}" text-anchor="middle">{label}</text>'
        )
    for place, ratio in enumerate(shown):
        lines += _bar(ratio, scale, _TOP + _LINE * place)
    for place, line in enumerate(machine.splitlines()):
        y = bottom + 20 + 16 * place
        lines.append(f'<text class="quiet" x="8" y="{y}">{escape(line)}</text>')
    return "\n".join([*lines, "</svg>\n"])


class _Scale:
    """Logarithmic, so that twice as good is as far from the goal as twice as bad."""

    def __init__(self, ratios: Sequence[Ratio]) -> None:
        values = [share for ratio in ratios for share in _shares(ratio)]
        self._low = math.floor(math.log2(min(values, default=0.5) * 0.99))
        self._high = math.ceil(math.log2(max([*values, 1.0]) * 1.01))

    def x(self, share: float) -> float:
        part = (math.log2(share) - self._low) / (self._high - self._low)
        return _LABELS + part * (_WIDTH - _LABELS - _VALUES)

    def ticks(self) -> Iterator[float]:
        yield from (2.0**power for power in range(self._low, self._high + 1))


def _shares(ratio: Ratio) -> tuple[float, float, float, float]:
    """The median, both ends of the spread, and the aim."""
    assert ratio.goal is not None
    values = (ratio.median, ratio.low, ratio.high, ratio.goal.aim)
    # Memory may shrink, and a logarithm has no place for that.
    median, low, high, aim = (max(ratio.turned(value), _LEAST_SHARE) for value in values)
    return median, low, high, aim


def _bar(ratio: Ratio, scale: _Scale, top: float) -> Iterator[str]:
    shares = _shares(ratio)
    median, low, high, aim = map(scale.x, shares)
    goal, middle = scale.x(1), top + _LINE / 2
    left, width = min(median, goal), max(abs(median - goal), 1)
    kind = "missed" if shares[0] > 1 else "reached"
    name = escape(f"{ratio.figure} ÷ {ratio.peer}".replace("`", ""))
    yield f'<text x="{_LABELS - 10}" y="{middle + 4.5}" text-anchor="end">{name}</text>'
    yield (
        f'<rect class="{kind}" x="{left:.1f}" y="{middle - _BAR / 2}" width="{width:.1f}" '
        f'height="{_BAR}"/>'
    )
    yield (
        f'<path class="spread" d="M{low:.1f} {middle}H{high:.1f}M{low:.1f} {middle - 4}v8'
        f'M{high:.1f} {middle - 4}v8"/>'
    )
    yield f'<path class="aim" d="M{aim:.1f} {middle - _BAR / 2 - 2}v{_BAR + 4}"/>'
    yield f'<text x="{_WIDTH - _VALUES + 12}" y="{middle + 4.5}">{number(ratio.median)}</text>'
