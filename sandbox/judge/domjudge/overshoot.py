"""timelimit_overshoot: how long past its limit a submission runs on before it is killed."""

import operator
import re
from collections.abc import Callable

from sandbox.spec.errors import ProtocolError
from sandbox.spec.fields import shown

__all__ = ["overshoot_seconds"]

_TERM = r"([0-9]{1,9})([s%])"
_RULE = re.compile(rf"{_TERM}(?:([+|&]){_TERM})?")
_JOIN: dict[str, Callable[[float, float], float]] = {"+": operator.add, "|": max, "&": min}


def overshoot_seconds(rule: str, limit_seconds: float) -> float:
    """Of DOMjudge's `1s|10%`: seconds, or percent of the limit; joined by + (sum), | or & (the
    larger, the smaller of both). Raises ProtocolError.
    """
    match = _RULE.fullmatch(rule)
    if match is None:
        raise ProtocolError(f"config.timelimit_overshoot: {shown(rule)} is nothing like 1s|10%")
    one = _seconds(match[1], match[2], limit_seconds)
    if match[3] is None:
        return one
    return _JOIN[match[3]](one, _seconds(match[4], match[5], limit_seconds))


def _seconds(number: str, unit: str, limit_seconds: float) -> float:
    return float(number) if unit == "s" else limit_seconds * int(number) / 100
