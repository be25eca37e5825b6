"""`sandbox judge calibrate`: what this host's times are worth, and what limits a problem needs."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sandbox.judge.cores import Cores
from sandbox.judge.here import opened
from sandbox.judge.interrupt import run_until_signal
from sandbox.judge.margins import Margins, measure_margins
from sandbox.judge.package_file import as_known_here, read_archive, read_directory
from sandbox.judge.problem import Problem
from sandbox.judge.report import columns
from sandbox.judge.speed import KINDS, Reference, Speeds, measure_speeds, read_reference
from sandbox.spec.fields import printable

__all__ = ["calibrate"]

_HOST_ROUNDS, _PROBLEM_ROUNDS = 5, 3
_UNTRUSTED = 1


def calibrate(problems: Sequence[Path], *, reference: Path | None, as_json: bool) -> int:
    """Measure and print; the exit code: 1 where a limit is not to be trusted, 130 where a signal
    ended it. Raises SandboxError.

    Without a problem it is this host that is measured, against `read_reference(reference)`.
    """
    if not problems:
        held_against = read_reference(reference)
        return run_until_signal(lambda: _calibrate_host(held_against, as_json))
    read = [(path, read_directory(path)) for path in problems]
    return run_until_signal(lambda: _calibrate_problems(read, as_json))


async def _calibrate_host(reference: Reference, as_json: bool) -> int:
    cores = Cores()
    async with opened(cores) as here:
        speeds = await measure_speeds(here, rounds=_HOST_ROUNDS, told=_tell)
    cpu = _cpu_name()
    if as_json:
        print(json.dumps(_document(speeds, reference, cpu, cores.count), indent=2, allow_nan=False))
    else:
        print("\n".join(_host_lines(speeds, reference, cpu, cores.count)))
    return _UNTRUSTED if any(_host_warnings(speeds)) else 0


def _host_lines(speeds: Speeds, reference: Reference, cpu: str, cores: int) -> Iterator[str]:
    yield printable(f"{cpu}, {cores} core{'s' if cores > 1 else ''}")
    yield f"the reference is {printable(reference.cpu)}"
    rows = [("language", "program", "CPU", "spread", "÷ reference", "disturbed")]
    for sample in speeds.samples:
        slowness, series = reference.slowness(sample), sample.series
        rows.append((
            sample.language, "start-up" if sample.kind == "empty" else sample.kind,
            f"{series.median_seconds:.3f} s", f"{series.spread:.0%}",
            "" if slowness is None else f"{slowness:.2f}", series.noise,
        ))  # fmt: skip
    yield from columns(rows)
    for language, why in speeds.left_out.items():
        yield printable(f"left out: {language}: {why.splitlines()[0]}")
    for kind in KINDS:
        found = _slowness(speeds, reference, kind)
        if found is not None:
            name = "start-up" if kind == "empty" else kind
            yield f"{name}: {found:.2f} times the reference's time"
    for warning in _host_warnings(speeds):
        yield printable(f"warning: {warning}")


def _host_warnings(speeds: Speeds) -> Iterator[str]:
    disturbed = [one for one in speeds.samples if one.series.is_disturbed]
    if disturbed:
        first = disturbed[0]
        yield (
            f"{len(disturbed)} of {len(speeds.samples)} programs were disturbed in most of their "
            f"runs, as {first.kind} in {first.language} ({first.series.noise}); measure again when "
            "nothing else runs"
        )


def _slowness(speeds: Speeds, reference: Reference, kind: str) -> float | None:
    found = [
        slowness
        for sample in speeds.samples
        if sample.kind == kind and (slowness := reference.slowness(sample))
    ]
    return statistics.geometric_mean(found) if found else None


def _document(speeds: Speeds, reference: Reference, cpu: str, cores: int) -> dict[str, Any]:
    return {
        "cpu": cpu,
        "cores": cores,
        "reference": reference.cpu,
        "slowness": {kind: _slowness(speeds, reference, kind) for kind in KINDS},
        "left_out": dict(speeds.left_out),
        "warnings": list(_host_warnings(speeds)),
        "samples": [
            {
                "language": sample.language,
                "program": sample.kind,
                "median_seconds": sample.series.median_seconds,
                "spread": sample.series.spread,
                "slowness": reference.slowness(sample),
                "runs": [run._asdict() for run in sample.series.runs],
            }
            for sample in speeds.samples
        ],
    }


async def _calibrate_problems(
    problems: Sequence[tuple[Path, Problem | None]], as_json: bool
) -> int:
    found: dict[str, Margins] = {}
    # One at a time: it is times that are wanted.
    async with opened(Cores(1)) as here:
        for path, read in problems:
            problem = as_known_here(read or await read_archive(path, here), here.languages)
            margins = await measure_margins(here, problem, rounds=_PROBLEM_ROUNDS, told=_tell)
            found[str(path)] = margins
            if not as_json:
                print("\n".join(_problem_lines(problem, margins)), flush=True)
    if as_json:
        documents = [_problem_document(name, margins) for name, margins in found.items()]
        print(json.dumps(documents, indent=2, allow_nan=False))
    return _UNTRUSTED if any(any(one.warnings()) for one in found.values()) else 0


def _problem_lines(problem: Problem, margins: Margins) -> Iterator[str]:
    limits, first = margins.limits, margins.slowest[0]
    yield printable(f"{problem.name}: accepted submissions, each at its slowest test")
    rows = [("submission", "language", "CPU", "÷ multiplier", "spread", "test, and what disturbed")]
    for one in margins.slowest:
        rows.append((
            one.submission, one.language, f"{one.series.median_seconds:.3f} s",
            f"{one.plain_seconds:.3f} s", f"{one.series.spread:.0%}",
            f"{one.test} {one.series.noise}".strip(),
        ))  # fmt: skip
    yield from columns(rows)
    yield (
        f"suggested limit: {margins.suggested_seconds:g} s = {first.plain_seconds:.3f} s times "
        f"{limits.time_multiplier:g}, up to the next multiple of {limits.time_resolution:g} s"
    )
    own = limits.time_seconds
    yield "the package has none" if own is None else f"the package's own: {own:g} s"
    if margins.slow:
        least = margins.limit_seconds * limits.safety_margin
        yield f"expected to exceed {margins.limit_seconds:g} s, and better {least:g} s"
        rows = [("submission", "language", "verdict", "÷ multiplier", "", "")]
        for slow in margins.slow:
            state = "over both" if slow.is_over_margin else "over the limit only"
            state = state if slow.is_over_limit else "NOT over the limit"
            seconds = f"{slow.seconds:.3f} s"
            rows.append((slow.submission, slow.language, slow.verdict, seconds, "", state))
        yield from columns(rows)
    for name, why in margins.left_out.items():
        yield printable(f"left out: {name}: {why}")
    for warning in margins.warnings():
        yield printable(f"warning: {warning}")


def _problem_document(name: str, margins: Margins) -> dict[str, Any]:
    return {
        "problem": name,
        "suggested_seconds": margins.suggested_seconds,
        "package_seconds": margins.limits.time_seconds,
        "time_multiplier": margins.limits.time_multiplier,
        "time_resolution": margins.limits.time_resolution,
        "safety_margin": margins.limits.safety_margin,
        "accepted": [
            {
                "submission": one.submission,
                "language": one.language,
                "test": one.test,
                "median_seconds": one.series.median_seconds,
                "plain_seconds": one.plain_seconds,
                "spread": one.series.spread,
                "runs": [run._asdict() for run in one.series.runs],
            }
            for one in margins.slowest
        ],
        "to_exceed": [one._asdict() for one in margins.slow],
        "left_out": dict(margins.left_out),
        "warnings": list(margins.warnings()),
    }


def _tell(words: str) -> None:
    print(printable(f"sandbox: {words}"), file=sys.stderr, flush=True)


def _cpu_name() -> str:
    """As the kernel has it; proc_cpuinfo(5), where other machines than x86 give no name."""
    lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "a CPU without a name")
