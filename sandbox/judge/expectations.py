"""Whether a submission came to what the package expects of it, and if not, in words."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator

from sandbox.judge.package.globs import matches
from sandbox.judge.problem import Expectation, Submission
from sandbox.judge.verdict import VERDICTS, Judgement

__all__ = ["check"]

_ALL = "*"
_ROUNDING = 1e-9  # of a score that is one number: sums of fractions


def check(submission: Submission, judgement: Judgement) -> list[str]:
    """What of the expectations is not met, a line each; none: all is.

    "Example submissions" of the format: permitted and required are said of tests (and, as no test
    was run of what does not compile, of the sum), a score of a group. A judge error meets nothing.
    Raises ValueError: a pattern that no package could have (see globs.py).
    """
    if judgement.verdict == "JE":
        return [f"judge error: {judgement.why}"]
    found = []
    for expectation in submission.expectations:
        for problem in _unmet(expectation, judgement):
            where = "" if expectation.tests == _ALL else f"{expectation.tests}: "
            if where + problem not in found:
                found.append(where + problem)
    return found


def _unmet(expectation: Expectation, judgement: Judgement) -> Iterator[str]:
    is_all = expectation.tests == _ALL
    tests = [one for one in judgement.tests if is_all or matches(expectation.tests, one.test)]
    run = [one for one in tests if one.verdict]
    verdicts = [(one.test, one.verdict, one.why) for one in run]
    if not run and (is_all or not judgement.tests):
        verdicts = [("the submission", judgement.verdict, judgement.why)]
    yield from _unmet_by_verdicts(expectation, verdicts, len(tests) - len(run))
    whole = expectation.verdicts
    if whole is not None and judgement.verdict not in whole:
        why = f": {judgement.why}" if judgement.why else ""
        yield f"{_either(whole)} was expected in sum, and it is {judgement.verdict}{why}"
    if expectation.score is not None:
        yield from _unmet_by_scores(expectation.score, dict(_scores(expectation, judgement)))
    said = expectation.message
    if said is not None and not any(said in one.judge_message for one in run):
        yield f'no judge message holds "{said}"'


def _unmet_by_verdicts(
    expectation: Expectation, verdicts: Collection[tuple[str, str, str]], left_out: int
) -> Iterator[str]:
    permitted, required = expectation.permitted, expectation.required
    if permitted is None and not required:
        return
    if not verdicts:
        # What was not run, after a failure, did not do what is forbidden either.
        if not left_out:
            yield "there is no such test"
        elif required:
            yield f"{_either(required)} was expected, and none of these tests was run"
        return
    if permitted is not None:
        wrong = [one for one in verdicts if one[1] not in permitted]
        if wrong:
            name, verdict, why = wrong[0]
            more = f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""
            reason = f": {why}" if why else ""
            yield f"{_either(permitted)} is permitted, and {name} is {verdict}{reason}{more}"
    if required and not any(verdict in required for _, verdict, _ in verdicts):
        counts = Counter(verdict for _, verdict, _ in verdicts)
        came = ", ".join(f"{counts[verdict]} {verdict}" for verdict in _ordered(counts))
        rest = f" (not run: {left_out})" if left_out else ""
        yield f"{_either(required)} was expected at least once, and there were {came}{rest}"


def _unmet_by_scores(
    expected: tuple[float, float], scores: dict[str, float | None]
) -> Iterator[str]:
    low, high = expected
    bounds = f"{low:g}" if low == high else f"{_bound(low)} to {_bound(high)}"
    if not scores:
        yield f"a score of {bounds} was expected, and no such group was judged"
    for name, score in scores.items():
        if score is None:
            yield f"a score of {bounds} was expected, and {name} has none"
        elif not low <= score <= high and not (
            low == high and math.isclose(score, low, rel_tol=_ROUNDING)
        ):
            yield f"a score of {bounds} was expected, and {name} has {score:g}"


def _bound(score: float) -> str:
    """Of what is said to be less than a score, the next number to it was taken."""
    shown = f"{round(score, 9):g}"
    if score == float(shown):
        return shown
    return f"{'under' if score < float(shown) else 'over'} {shown}"


def _scores(expectation: Expectation, judgement: Judgement) -> Iterator[tuple[str, float | None]]:
    if expectation.tests == _ALL:
        yield "the submission", judgement.score
        return
    for one in judgement.groups:
        above = one.group.rpartition("/")[0]
        # Itself: what matches a group matches those in it too, and they have scores of their own.
        if matches(expectation.tests, one.group) and not matches(expectation.tests, above):
            yield one.group, one.score


def _either(verdicts: Iterable[str]) -> str:
    return " or ".join(_ordered(verdicts)) or "nothing"


def _ordered(verdicts: Iterable[str]) -> list[str]:
    return sorted(verdicts, key=VERDICTS.index)
