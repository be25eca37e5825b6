"""How fast this host is: small fixed programs in several languages, each run several times."""

from __future__ import annotations

import json
import math
import statistics
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from sandbox.judge.building import Built, build
from sandbox.judge.compilation import NotBuilt
from sandbox.judge.execution import TimeLimit, failure_of, measured, submission_job
from sandbox.judge.here import Here
from sandbox.judge.language import find_language
from sandbox.judge.problem import ProblemLimits, Submission, Test
from sandbox.judge.runner import Order
from sandbox.judge.verdict import TestRun
from sandbox.spec.errors import HostError, SpecError

__all__ = ["KINDS", "Reference", "Sample", "Series", "Speeds", "measure_speeds", "read_reference"]

KINDS = ("integer", "memory", "float", "empty")
_DIRECTORY = Path(__file__).resolve().parent / "calibration"
_SECONDS = 30.0  # a host that takes a hundred times the reference's is none to judge on
_LIMITS = ProblemLimits(
    None, 2.0, 1.5, 1.0, 1 << 30, 1 << 20, 1 << 20, 120.0, 2 << 30, 60.0, 1 << 30, 1 << 20, 1
)


class Series(NamedTuple):
    """The same thing, measured several times."""

    runs: tuple[TestRun, ...]

    @property
    def median_seconds(self) -> float:
        """Of CPU time."""
        return statistics.median(run.cpu_seconds for run in self.runs)

    @property
    def spread(self) -> float:
        """From the least to the most, as a share of the median."""
        times = [run.cpu_seconds for run in self.runs]
        return (max(times) - min(times)) / self.median_seconds if self.median_seconds else 0.0

    @property
    def noise(self) -> str:
        """What disturbed the first run that was disturbed, and how many were; "" if none was."""
        noisy = [run.noise for run in self.runs if run.noise]
        return f"{len(noisy)} of {len(self.runs)} runs: {', '.join(noisy[0])}" if noisy else ""

    @property
    def is_disturbed(self) -> bool:
        """Whether most of the runs were: their median is not that of the program alone."""
        return 2 * sum(bool(run.noise) for run in self.runs) > len(self.runs)


class Sample(NamedTuple):
    """One program in one language."""

    language: str  # its code
    kind: str  # of KINDS
    series: Series


class Speeds(NamedTuple):
    """Of this host."""

    samples: tuple[Sample, ...]
    left_out: Mapping[str, str]  # language -> why


class Reference(NamedTuple):
    """Of the host that others are held against."""

    cpu: str
    seconds: Mapping[str, Mapping[str, float]]  # language -> kind -> median

    def slowness(self, sample: Sample) -> float | None:
        """How many times the reference's time this one takes; None: it has none for that."""
        seconds = self.seconds.get(sample.language, {}).get(sample.kind)
        return sample.series.median_seconds / seconds if seconds else None


def read_reference(path: Path | None = None) -> Reference:
    """What `calibrate --json` has told of another host; None: the one that comes with the package.

    Raises SpecError naming `path`.
    """
    path = path or _DIRECTORY / "reference.json"
    try:
        told = json.loads(path.read_bytes())
        seconds: dict[str, dict[str, float]] = {}
        for sample in told["samples"]:
            median = float(sample["median_seconds"])
            if not 0 <= median < math.inf:
                raise ValueError(median)
            of_language = seconds.setdefault(str(sample["language"]), {})
            of_language[str(sample["program"])] = median
        return Reference(str(told["cpu"]), seconds)
    except OSError as error:
        raise SpecError(str(path), error.strerror or str(error)) from error
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        problem = "is not what `sandbox judge calibrate --json` prints of a host"
        raise SpecError(str(path), problem) from error


async def measure_speeds(here: Here, *, rounds: int, told: Callable[[str], None]) -> Speeds:
    """Every program once a round, alone on the machine as far as that is ours to say.

    `told` hears what is being done. Raises SandboxError as its runner; HostError: a program fails.
    """
    programs = tomllib.loads((_DIRECTORY / "programs.toml").read_text())
    built: dict[str, Built] = {}
    left_out: dict[str, str] = {}
    runs: dict[tuple[str, str], list[TestRun]] = {}
    try:
        for code, program in programs.items():
            told(f"compiling {code}")
            found = await _build(code, program["source"], here)
            if isinstance(found, str):
                left_out[code] = found
            else:
                built[code] = found
        for number in range(rounds):
            for code, program in built.items():
                told(f"round {number + 1} of {rounds}: {code}")
                for kind in KINDS:
                    run = await _run(program, code, kind, programs[code], here)
                    runs.setdefault((code, kind), []).append(run)
    finally:
        for program in built.values():
            here.cache.release(program.directory)
    samples = (Sample(*names, Series(tuple(series))) for names, series in runs.items())
    return Speeds(tuple(samples), left_out)


async def _build(code: str, source: str, here: Here) -> Built | str:
    language = find_language(code, here.languages)
    submission = Submission(source, ((source, _DIRECTORY / source),), code)
    try:
        built = await build(submission, language, here.runner, here.cache, limits=_LIMITS)
    except HostError as error:
        return str(error)
    if isinstance(built, NotBuilt):
        return f"{built.why}\n{built.output}".strip()
    return built


async def _run(
    built: Built,
    code: str,
    kind: str,
    program: Mapping[str, Sequence[str]],
    here: Here,
) -> TestRun:
    limit = TimeLimit.of(_SECONDS)
    test = Test(kind, None, None, arguments=tuple(program.get(kind, ())))
    async with here.cores.alone() as core:
        job = submission_job(built, test, _LIMITS, limit, core)
        watched = here.cores.watch()
        done = await here.runner.run(Order(job))
        neighbours = here.cores.neighbours_since(watched)
    if failure := failure_of(done, built, limit):
        said = done.stderr[-500:].decode("utf-8", "replace").strip()
        raise HostError(f"the {kind} program in {code} failed: {failure.why} {said}".strip())
    return measured(done.result, core, neighbours=neighbours)
