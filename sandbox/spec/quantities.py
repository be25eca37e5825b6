"""Sizes, times and counts as people write them, and back."""

import math
import re
from typing import Any

from sandbox.spec.errors import SpecError
from sandbox.spec.fields import shown

__all__ = [
    "GIB",
    "KIB",
    "MIB",
    "TIB",
    "format_seconds",
    "format_size",
    "parse_count",
    "parse_cpus",
    "parse_seconds",
    "parse_size",
]

KIB, MIB, GIB, TIB = 1 << 10, 1 << 20, 1 << 30, 1 << 40

_SIZE_UNITS = {"TiB": TIB, "GiB": GIB, "MiB": MIB, "KiB": KIB}
_SECONDS_PER_UNIT = {"": 1, "s": 1, "m": 60, "h": 3600}
# Digits are counted: int() refuses over 4300 of them with an error of its own.
_SIZE = re.compile(r"([0-9]{1,19})(KiB|MiB|GiB|TiB)?")
_ALMOST_SIZE = re.compile(r"\s*([0-9]{1,19})\s*([kmgt])i?b?\s*", re.IGNORECASE)
_SECONDS = re.compile(r"([0-9]{1,19}(?:\.[0-9]{1,20})?)(ms|s|m|h)?")
_COUNT = re.compile(r"[0-9]{1,19}")
_DECIMAL = re.compile(r"[0-9]{1,19}(?:\.[0-9]{1,20})?")


def parse_size(value: Any, field: str, *, least: int, most: int) -> int:
    """Bytes, from `"256MiB"` (KiB, MiB, GiB, TiB: binary) or a number of bytes.

    Decimal units are refused, not guessed: 256MB is 256000000 to some and 268435456 to others.
    """
    if isinstance(value, str) and (match := _SIZE.fullmatch(value)):
        value = int(match[1]) * _SIZE_UNITS.get(match[2], 1)
    if not _is_int(value):
        hint = "256MiB"
        if isinstance(value, str) and (match := _ALMOST_SIZE.fullmatch(value)):
            hint = f"{match[1]}{match[2].upper()}iB"
        raise SpecError(
            field, f"{shown(value)} is no size; write {hint} (binary) or a number of bytes"
        )
    if not least <= value <= most:
        raise _out_of_range(field, value, format_size(least), format_size(most))
    return int(value)


def parse_seconds(value: Any, field: str, *, least: float, most: float) -> float:
    """Seconds, from `"500ms"`, `"1.5s"`, `"2m"`, `"1h"`, or a number of seconds."""
    if isinstance(value, str) and (match := _SECONDS.fullmatch(value)):
        number, unit = float(match[1]), match[2] or ""
        # Divided, not multiplied by 0.001: only the division rounds as the literal does.
        value = number / 1000 if unit == "ms" else number * _SECONDS_PER_UNIT[unit]
    if not _is_number(value):
        raise SpecError(
            field, f"{shown(value)} is no time; write 2s, 500ms, 1.5s, 2m, 1h or a number"
        )
    if not least <= value <= most:
        raise _out_of_range(field, value, format_seconds(least), format_seconds(most))
    return float(value)


def parse_count(value: Any, field: str, *, least: int, most: int) -> int:
    """A whole number, written as one or as decimal text."""
    if isinstance(value, str) and _COUNT.fullmatch(value):
        value = int(value)
    if not _is_int(value):
        raise SpecError(field, f"{shown(value)} is no whole number; allowed: {least} to {most}")
    if not least <= value <= most:
        raise _out_of_range(field, value, str(least), str(most))
    return int(value)


def parse_cpus(value: Any, field: str, *, least: float, most: float) -> float:
    """CPUs' worth of time for each second, whole or not: 0.5 is half of one."""
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        value = float(value)
    if not _is_number(value):
        raise SpecError(field, f"{shown(value)} is no number of CPUs; write 1, 0.5 or 2")
    if not least <= value <= most:
        raise _out_of_range(field, value, f"{least:g}", f"{most:g}")
    return float(value)


def format_size(size_bytes: int) -> str:
    """`size_bytes` in the largest unit that divides it: what parse_size reads back unchanged."""
    for unit, unit_bytes in _SIZE_UNITS.items():
        if size_bytes and size_bytes % unit_bytes == 0:
            return f"{size_bytes // unit_bytes}{unit}"
    return str(size_bytes)


def format_seconds(seconds: float) -> str:
    """`seconds` with a unit: what parse_seconds reads back unchanged, from 1ms to 1e15s."""
    milliseconds = round(seconds * 1000)
    if seconds < 1 and milliseconds and milliseconds / 1000 == seconds:
        return f"{milliseconds}ms"
    return f"{int(seconds)}s" if seconds == int(seconds) else f"{seconds!r}s"


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    # Infinity is left to the bounds, which say what is allowed; NaN compares with nothing.
    return _is_int(value) or (isinstance(value, float) and not math.isnan(value))


def _out_of_range(field: str, value: Any, least: str, most: str) -> SpecError:
    return SpecError(field, f"{shown(value)} is out of range; allowed: {least} to {most}")
