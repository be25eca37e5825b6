"""What a campaign has reached over time, as SVG: one small plot a target."""

from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape

from bench.plot import STYLE
from fuzz.campaign import Outcome

__all__ = ["curves"]

_COLUMNS, _WIDTH, _HEIGHT, _GAP, _TOP = 4, 220, 90, 50, 40


def curves(outcomes: Sequence[Outcome], unit: str) -> str:
    """The whole document; `unit`: what is counted. Time is linear, and so is what was reached."""
    rows = -(-len(outcomes) // _COLUMNS)
    width, height = _COLUMNS * (_WIDTH + _GAP), _TOP + rows * (_HEIGHT + _GAP)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
        f"<title>What was reached over time</title><style>{STYLE}"
        " .curve { fill: none; stroke: #2da44e; stroke-width: 2 }</style>",
        f'<text x="8" y="18" class="quiet">{escape(unit)} over seconds</text>',
    ]
    for place, outcome in enumerate(outcomes):
        left = 8 + place % _COLUMNS * (_WIDTH + _GAP)
        top = _TOP + place // _COLUMNS * (_HEIGHT + _GAP)
        lines += _curve(outcome, left, top)
    return "\n".join([*lines, "</svg>\n"])


def _curve(outcome: Outcome, left: float, top: float) -> Iterator[str]:
    most = max(outcome.moments[-1].reached, 1)
    scale = _WIDTH / max(outcome.seconds, 1)
    # What was reached stays reached: a step up at each moment.
    path = f"M{left} {top + _HEIGHT}" + "".join(
        f"H{left + scale * moment.seconds:.1f}V{top + _HEIGHT * (1 - moment.reached / most):.1f}"
        for moment in outcome.moments
    )
    yield f'<path class="axis" fill="none" d="M{left} {top}v{_HEIGHT}h{_WIDTH}"/>'
    yield f'<path class="curve" d="{path} H{left + _WIDTH}"/>'
    title = f"{outcome.target}: {most} after {outcome.inputs} inputs"
    yield f'<text x="{left}" y="{top + _HEIGHT + 16}">{escape(title)}</text>'
    yield (
        f'<text class="quiet" x="{left + _WIDTH}" y="{top + _HEIGHT - 4}" text-anchor="end">'
        f"{outcome.seconds:.0f} s</text>"
    )
