"""A problem's time limit against its own submissions: what it should be, and how far it holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from sandbox.judge.engine import Judge, open_judge
from sandbox.judge.here import Here
from sandbox.judge.problem import Problem, ProblemLimits, Submission
from sandbox.judge.speed import Series
from sandbox.judge.time_limit import MOST_SECONDS, limit_from
from sandbox.judge.trial import Settings
from sandbox.judge.verdict import Judgement, TestRun
from sandbox.spec.errors import SpecError

__all__ = ["Margins", "Slow", "Slowest", "is_to_exceed", "measure_margins", "slowest_of"]

_MOST_SPREAD = 0.1


class Slowest(NamedTuple):
    """The slowest test of one accepted submission, in all rounds."""

    submission: str
    language: str
    test: str
    series: Series
    time_multiplier: float

    @property
    def plain_seconds(self) -> float:
        """At the speed of a language without a multiplier."""
        return self.series.median_seconds / self.time_multiplier


class Slow(NamedTuple):
    """A submission that is expected to exceed the limit."""

    submission: str
    language: str
    verdict: str
    seconds: float | None  # CPU time of its slowest test, without the language's multiplier
    is_over_limit: bool
    is_over_margin: bool


class Margins(NamedTuple):
    """What was found, for people to decide."""

    limits: ProblemLimits
    suggested_seconds: float
    slowest: tuple[Slowest, ...]  # of each accepted submission, the slowest first
    slow: tuple[Slow, ...]
    left_out: Mapping[str, str]  # submission -> why

    @property
    def limit_seconds(self) -> float:
        """The package's own, or the suggested one."""
        return self.limits.time_seconds or self.suggested_seconds

    def warnings(self) -> Iterator[str]:
        """Why the limit is not to be trusted, a line each."""
        first = self.slowest[0]
        times = [run.cpu_seconds / first.time_multiplier for run in first.series.runs]
        least, most = (limit_from(seconds, self.limits) for seconds in (min(times), max(times)))
        if least != most:
            yield f"the suggested limit depends on the run: {least:g} s to {most:g} s"
        # A spread of what is far below one step of the resolution changes nothing.
        is_wide = (max(times) - min(times)) * self.limits.time_multiplier > _MOST_SPREAD * least
        if is_wide and first.series.spread > _MOST_SPREAD:
            yield (
                f"{first.submission} on {first.test} varies by {first.series.spread:.0%}: "
                f"{first.series.noise or 'nothing that we see disturbed it'}"
            )
        own = self.limits.time_seconds
        if own is not None and own < self.suggested_seconds:
            needed = f"{self.limits.time_multiplier:g} times the slowest accepted submission"
            yield f"the package's limit of {own:g} s is less than {needed} needs here"
        for one in self.slow:
            if not one.is_over_limit:
                yield f"{one.submission} is to exceed the limit and comes to {one.verdict}"
            elif not one.is_over_margin:
                yield (
                    f"{one.submission} takes {one.seconds or 0:.3f} s, within the safety margin of "
                    f"{self.limits.safety_margin:g} times the limit"
                )


def is_to_exceed(submission: Submission) -> bool:
    """Whether the package expects that it takes too long."""
    return any(
        one.required == {"TLE"} or one.verdicts == {"TLE"} or one.time_bound == "upper"
        for one in submission.expectations
    )


async def measure_margins(
    here: Here, problem: Problem, *, rounds: int, told: Callable[[str], None]
) -> Margins:
    """Run what is to be accepted so many times, and once what is to exceed the limit.

    `told` hears what is being done. Raises SpecError: nothing is to be accepted, or something that
    is to be is not.
    """
    models = [one for one in problem.submissions if one.is_model]
    if not models:
        raise SpecError(problem.name, "has no accepted submission that a limit could be taken from")
    async with open_judge(problem, here, Settings(repeats_near=False)) as judge:
        judgements, left_out = await _judge_models(judge, models, rounds, told)
    slowest = sorted(
        (found for rows in judgements.values() if (found := slowest_of(rows)) is not None),
        key=lambda one: -one.plain_seconds,
    )
    if not slowest:
        raise SpecError(problem.name, f"no accepted submission could be run: {left_out}")
    suggested = limit_from(slowest[0].plain_seconds, problem.limits)
    limit = problem.limits.time_seconds or suggested
    settings = Settings(measures_to=limit * problem.limits.safety_margin, repeats_near=False)
    slow = []
    async with open_judge(problem, here, settings) as judge:
        for submission in filter(is_to_exceed, problem.submissions):
            told(submission.name)
            judgement = await judge.judge(submission, limit)
            if judgement.verdict in ("JE", "CE"):
                left_out[submission.name] = judgement.why
            else:
                slow.append(slow_of(judgement, limit, problem.limits.safety_margin))
    return Margins(problem.limits, suggested, tuple(slowest), tuple(slow), left_out)


async def _judge_models(
    judge: Judge, models: Sequence[Submission], rounds: int, told: Callable[[str], None]
) -> tuple[dict[str, list[Judgement]], dict[str, str]]:
    """The judgements of each, and why some have none. Raises SpecError: one is not accepted."""
    judgements: dict[str, list[Judgement]] = {}
    left_out: dict[str, str] = {}
    for number in range(rounds):
        for model in models:
            if model.name in left_out:
                continue
            told(f"round {number + 1} of {rounds}: {model.name}")
            judgement = await judge.judge(model, MOST_SECONDS, is_lazy=False)
            if judgement.verdict == "JE":  # its language is not here, say
                left_out[model.name] = judgement.why
            elif judgement.verdict != "AC":
                why = f"is to be accepted, and comes to {judgement.verdict} ({judgement.why})"
                raise SpecError(model.name, why)
            else:
                judgements.setdefault(model.name, []).append(judgement)
    return judgements, left_out


def slowest_of(judgements: Sequence[Judgement]) -> Slowest | None:
    """The test with the greatest median over several judgements of one submission."""
    runs: dict[str, list[TestRun]] = {}
    for judgement in judgements:
        for outcome in judgement.tests:
            runs.setdefault(outcome.test, []).extend(outcome.runs[-1:])
    found = [(test, Series(tuple(series))) for test, series in runs.items() if series]
    if not found:
        return None
    test, series = max(found, key=lambda one: one[1].median_seconds)
    first = judgements[0]
    return Slowest(first.submission, first.language, test, series, first.time_multiplier)


def slow_of(judgement: Judgement, limit_seconds: float, safety_margin: float) -> Slow:
    """How it fares against a limit, before the language's multiplier."""
    times = [run.cpu_seconds for outcome in judgement.tests for run in outcome.runs[-1:]]
    seconds = max(times, default=0.0) / judgement.time_multiplier
    is_over = judgement.verdict == "TLE"
    # Who sleeps until the wall-clock guard comes is over any margin, and uses no CPU time.
    slept = is_over and seconds <= limit_seconds
    return Slow(
        judgement.submission,
        judgement.language,
        judgement.verdict,
        seconds,
        is_over,
        slept or (is_over and seconds >= limit_seconds * safety_margin),
    )
