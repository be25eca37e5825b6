"""From the outcomes of tests to those of groups and to the sum; and which tests can still matter.

Tests may be judged in any order, several at once: what counts is only what would have been judged
one after the other. So the sum depends on outcomes, and never on which of them came first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from sandbox.judge.grader import GraderRun, write_results
from sandbox.judge.problem import Group, Problem, Test
from sandbox.judge.scores import checked, combine, default_score
from sandbox.judge.verdict import VERDICTS, GroupOutcome, Outcome
from sandbox.spec.errors import SpecError

__all__ = ["Sum", "next_graders", "next_tests", "settled", "summed"]

_SAMPLE = "sample"


class Sum(NamedTuple):
    """Of a submission."""

    verdict: str
    score: float | None
    why: str
    groups: tuple[GroupOutcome, ...]  # inner ones first, the sum's own last


def next_tests(
    problem: Problem,
    outcomes: Mapping[str, Outcome],
    graded: Mapping[str, GroupOutcome] = {},
    *,
    is_lazy: bool | None = None,
) -> tuple[Test, ...]:
    """The tests without an outcome that may still matter, in order. None: the sum is known.

    `graded`: what custom graders have said so far, by group. `is_lazy` False (None: as the package
    has it): those too that cannot matter. Raises SpecError: the package contradicts itself.
    """
    walk = _Walk(problem, outcomes, graded)
    if problem.is_lazy if is_lazy is None else is_lazy:
        return tuple(walk.open_tests)
    return tuple(test for test in problem.data.tests() if test.name not in walk.outcomes)


def next_graders(
    problem: Problem, outcomes: Mapping[str, Outcome], graded: Mapping[str, GroupOutcome] = {}
) -> tuple[GraderRun, ...]:
    """The groups whose members are known, and that a custom grader must be asked about."""
    return tuple(_Walk(problem, outcomes, graded).open_graders)


def summed(
    problem: Problem, outcomes: Mapping[str, Outcome], graded: Mapping[str, GroupOutcome] = {}
) -> Sum:
    """The sum. next_tests and next_graders have nothing left to ask for: else ValueError."""
    walk = _Walk(problem, outcomes, graded)
    state = walk.root
    if state is None:
        return Sum("JE", None, "there is no test that counts", ())
    if state.is_open:
        raise ValueError("a test or a group that counts has no outcome yet")
    why = state.why
    if state.verdict == "AC":
        accepted = sum(outcomes[name].verdict == "AC" for name in walk.counted)
        why = f"{accepted} of {len(walk.counted)} tests accepted"
    return Sum(state.verdict, state.score, why, tuple(walk.groups))


def settled(
    problem: Problem,
    outcomes: Mapping[str, Outcome],
    graded: Mapping[str, GroupOutcome] = {},
    *,
    is_lazy: bool | None = None,
) -> tuple[Outcome, ...]:
    """Every test of the problem, in order: "" for those that were not run, and for those that
    happened to be run and do not count, unless all were to be.
    """
    walk = _Walk(problem, outcomes, graded)
    hides = problem.is_lazy if is_lazy is None else is_lazy
    return tuple(
        walk.outcomes[test.name]
        if test.name in walk.outcomes and (test.name in walk.counted or not hides)
        else Outcome(test.name, "", walk.left_out.get(test.name, "not run"))
        for test in problem.data.tests()
    )


class _State(NamedTuple):
    """Of a test or a group, as far as it is known."""

    accepted: bool | None  # None: it may be either
    verdict: str = ""  # "": open
    score: float | None = None
    why: str = ""

    @property
    def is_open(self) -> bool:
        return not self.verdict


_OPEN = _State(None)


class _Walk:
    """Once through the groups, in the order of judging."""

    def __init__(
        self,
        problem: Problem,
        outcomes: Mapping[str, Outcome],
        graded: Mapping[str, GroupOutcome],
    ) -> None:
        self._problem = problem
        self.outcomes = {name: known for name, known in outcomes.items() if known.verdict}
        self._graded = graded
        self._states: dict[str, _State | None] = {}  # of the groups so far
        self.open_tests: list[Test] = []
        self.open_graders: list[GraderRun] = []
        self.counted: set[str] = set()  # tests, with what is known so far
        self.left_out: dict[str, str] = {}  # test -> why it does not count
        self.groups: list[GroupOutcome] = []
        self.root = self._group(problem.data)

    def _group(self, group: Group) -> _State | None:
        """None: there is nothing in it, so it does not count."""
        required = [self._required(group, name) for name in group.grading.require_pass]
        refused = next((name for name, state in required if state.accepted is False), None)
        if refused is not None:
            state = self._refused(group, refused)
        else:
            members = list(self._members(group))
            state = self._judged(group, members) if members else None
            if state and any(other.accepted is None for _, other in required):
                state = _State(False) if state.accepted is False else _OPEN
        self._states[group.name] = state
        if state is not None and not state.is_open:
            self.groups.append(GroupOutcome(group.name, *state[1:]))
        return state

    def _required(self, group: Group, name: str) -> tuple[str, _State]:
        if name not in self._states:
            problem = f"require_pass: there is no group {name} before it"
            raise SpecError(f"data/{group.name}", problem)
        return name, self._states[name] or _State(True, "AC")  # no tests, none that failed

    def _refused(self, group: Group, name: str) -> _State:
        why = f"not run: {name} was not accepted"
        self._leave_out(group, why)
        other = self._states[name]
        if other is None or other.is_open:  # it is known to fail, and not yet how
            return _State(False)
        score = 0.0 if self._problem.is_scoring else None
        return _State(False, other.verdict, score, f"{group.name}: {why}")

    def _members(self, group: Group) -> Iterator[_State]:
        """Those that count: up to the first rejected one, where the group breaks there."""
        stopped = ""
        for member in group.members:
            if stopped:
                self._leave_out(member, stopped)
                continue
            state = self._group(member) if isinstance(member, Group) else self._test(member)
            # A sample that is ignored breaks nothing either: it would be all that there is.
            if state is None or (group.grading.ignores_sample and member.name == _SAMPLE):
                continue
            yield state
            # With a member that is still open before it: either that one breaks, or this one.
            if state.verdict == "JE" or (state.accepted is False and group.breaks_on_reject):
                stopped = f"not run: {member.name} was not accepted"

    def _test(self, test: Test) -> _State:
        outcome = self.outcomes.get(test.name)
        if outcome is None:
            self.open_tests.append(test)
            return _OPEN
        self.counted.add(test.name)
        why = f"{test.name}: {outcome.why}" if outcome.why else test.name
        is_accepted = outcome.verdict == "AC"
        score = outcome.score
        if not self._problem.is_scoring or outcome.verdict == "JE":
            score = None
        elif score is None:
            try:
                score = default_score(test, is_accepted=is_accepted)
            except SpecError as error:
                return _State(False, "JE", None, f"{test.name}: {error}")
        return _State(is_accepted, outcome.verdict, score, why)

    def _judged(self, group: Group, members: Sequence[_State]) -> _State:
        grading = group.grading
        if any(state.is_open for state in members):
            fails = not grading.is_custom and grading.verdict in ("first_error", "worst_error")
            is_rejected = fails and any(state.accepted is False for state in members)
            return _State(False) if is_rejected else _OPEN
        if error := next((state for state in members if state.verdict == "JE"), None):
            return error
        if grading.is_custom:
            return self._by_grader(group, members)
        chosen = _chosen(grading.verdict, grading.otherwise, members, group.name)
        scores = [state.score for state in members if state.score is not None]
        if not self._problem.is_scoring or not scores:
            return chosen._replace(score=None)
        is_accepted = chosen.verdict == "AC"
        if grading.of_scores and (own := list(self._own_scores(group))):
            grading, scores = grading._replace(score=grading.of_scores, max_score=None), own
        try:
            score = combine(grading, group.name, scores, is_accepted=is_accepted)
        except SpecError as problem:
            return _State(False, "JE", None, str(problem))
        return _State(is_accepted, chosen.verdict, score, chosen.why)

    def _own_scores(self, group: Group) -> Iterator[float]:
        """What validators gave to tests that count."""
        for member in group.members:
            outcome = self.outcomes.get(member.name) if member.name in self.counted else None
            if outcome is not None and outcome.score is not None:
                yield outcome.score

    def _by_grader(self, group: Group, members: Sequence[_State]) -> _State:
        outcome = self._graded.get(group.name)
        if outcome is None:
            results = write_results((state.verdict, state.score) for state in members)
            self.open_graders.append(GraderRun(group.name, group.grading.flags, results))
            return _OPEN
        is_accepted = outcome.verdict == "AC"
        state = _State(is_accepted, outcome.verdict, outcome.score, outcome.why)
        if outcome.score is None:
            return state
        try:
            checked(group.grading, group.name, outcome.score, is_accepted=is_accepted)
        except SpecError as problem:
            return _State(False, "JE", None, str(problem))
        return state

    def _leave_out(self, member: Group | Test, why: str) -> None:
        for test in member.tests() if isinstance(member, Group) else (member,):
            self.left_out[test.name] = why


def _chosen(mode: str, otherwise: str, members: Sequence[_State], group: str) -> _State:
    """The member whose verdict the group has."""
    first_accepted = next((state for state in members if state.accepted), None)
    if mode == "accept_if_any_accepted":
        return first_accepted or _chosen(otherwise, "", members, group)
    if mode == "always_accept":
        return _State(True, "AC")
    failed = [state for state in members if not state.accepted]
    if not failed:
        return members[0]
    if mode == "first_error":
        return failed[0]
    if mode == "worst_error":
        return max(failed, key=lambda state: VERDICTS.index(state.verdict))  # the first of them
    raise SpecError(f"data/{group}".rstrip("/"), f"{mode} is no way to sum up verdicts")
