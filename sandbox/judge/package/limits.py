"""limits of problem.yaml: their units, and the defaults of each format."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sandbox.judge.package.fields import Fields
from sandbox.judge.problem import ProblemLimits
from sandbox.spec.quantities import KIB, MIB

__all__ = ["MOST_SECONDS", "read_limits"]

MOST_SECONDS = 86400
_MOST_MIB = 1 << 20
_MOST_KEPT_MIB = 1 << 10  # of what is compared, or read of a grader: it is in our own memory
_MOST_PASSES = 1000
_LEGACY = "legacy"
# What the formats call typical of systems, in their units. They leave it to us: DOMjudge takes
# twice as much code, and an interactive validator writes all that a submission is to read.
_SIZES = {
    "memory": 2048, "output": 8, "code": 256, "compilation_memory": 2048, "validation_memory": 2048,
    "validation_output": 64,
}  # fmt: skip
_KEPT = ("output", "validation_output")
_SECONDS = {"compilation_time": 60, "validation_time": 60}
_TIMES = ("time_limit", "time_resolution", "time_multipliers")
_LEGACY_TIMES = ("time_multiplier", "time_safety_margin")
_MULTIPLIERS = ("ac_to_time_limit", "time_limit_to_tle")


def read_limits(
    problem: Fields, version: str, types: Collection[str], notes: list[str]
) -> ProblemLimits:
    """The limits, with those of `version` where it says nothing. Raises PackageError."""
    is_legacy = version == _LEGACY
    # Legacy has neither time_limit nor passes; DOMjudge and others read them there all the same.
    more = _LEGACY_TIMES if is_legacy else ()
    fields = problem.fields("limits", (*_SIZES, *_SECONDS, *_TIMES, "validation_passes", *more))
    if is_legacy and not isinstance(fields.raw("time_multipliers"), Mapping | None):
        fields.complain("time_multipliers", "is no table, and no key of this format; left out")
        times = Fields(fields.file, None)
    else:
        times = fields.fields("time_multipliers", _MULTIPLIERS)
    least = 0 if is_legacy else 1
    multiplier = _number(fields, "time_multiplier", 5 if is_legacy else 2, least)
    margin = _number(fields, "time_safety_margin", 2 if is_legacy else 1.5, least)
    resolution = _number(fields, "time_resolution", 1, 0)
    limit = fields.number("time_limit", None, above=0, most=MOST_SECONDS, unit="seconds")
    if version == "2025-09" and limit is not None and "time_resolution" in fields:
        steps = limit / resolution
        if abs(steps - round(steps)) > 1e-9 * max(steps, 1):
            raise fields.error(
                "time_limit", f"{limit:g} is no multiple of time_resolution, {resolution:g}"
            )
    sizes = {key: _size(fields, key, is_legacy) for key in _SIZES}
    return ProblemLimits(
        time_seconds=limit,
        time_multiplier=_number(times, "ac_to_time_limit", multiplier, least),
        safety_margin=_number(times, "time_limit_to_tle", margin, least),
        time_resolution=resolution,
        memory_bytes=sizes["memory"],
        output_bytes=sizes["output"],
        code_bytes=sizes["code"],
        compilation_seconds=_number(fields, "compilation_time", _SECONDS["compilation_time"], 0),
        compilation_memory_bytes=sizes["compilation_memory"],
        validation_seconds=_number(fields, "validation_time", _SECONDS["validation_time"], 0),
        validation_memory_bytes=sizes["validation_memory"],
        validation_output_bytes=sizes["validation_output"],
        passes=_passes(fields, types, notes),
    )


def _number(fields: Fields, key: str, default: float, least: float) -> float:
    number = fields.number(key, default, least=least, above=0, most=MOST_SECONDS)
    assert number is not None
    return number


def _size(fields: Fields, key: str, is_legacy: bool) -> int:
    unit, name = (KIB, "KiB") if key == "code" else (MIB, "MiB")
    most = _MOST_KEPT_MIB if key in _KEPT else _MOST_MIB
    if is_legacy:
        number = fields.number(key, _SIZES[key], above=0, most=most, unit=name)
    else:
        number = fields.integer(key, _SIZES[key], least=1, most=most, unit=name)
    assert number is not None
    return int(number * unit)


def _passes(fields: Fields, types: Collection[str], notes: list[str]) -> int:
    passes = fields.integer("validation_passes", 2, least=2, most=_MOST_PASSES)
    if "multi-pass" in types:
        assert passes is not None
        return passes
    if "validation_passes" in fields:
        notes.append(str(fields.error("validation_passes", "is for multi-pass problems only")))
    return 1
