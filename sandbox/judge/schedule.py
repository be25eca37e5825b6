"""Which tests are to be run next, told without looking at all of them after each."""

from __future__ import annotations

from collections.abc import Collection

from sandbox.judge.grader import GraderRun
from sandbox.judge.grading import next_graders, next_tests
from sandbox.judge.problem import Group, Problem, Test
from sandbox.judge.verdict import GroupOutcome, Outcome

__all__ = ["Schedule"]


class Schedule:
    """One submission's way through the tests of a problem, several at once.

    What may still matter changes only where a test fails or a group is complete: a thousand tests
    that are accepted are looked through twice, and not a thousand times.
    """

    def __init__(self, problem: Problem, *, is_lazy: bool | None = None) -> None:
        """`is_lazy` as in `next_tests`."""
        self._problem = problem
        self._is_lazy = is_lazy
        self.outcomes: dict[str, Outcome] = {}
        self.graded: dict[str, GroupOutcome] = {}
        self._group_of: dict[str, Group] = {}
        self._left: dict[str, int] = {}  # tests of a group itself that have no outcome
        self._failed: set[str] = set()  # groups, one of whose tests has
        self._enter(problem.data)
        self._graders: tuple[GraderRun, ...] = ()
        self._wanted: dict[str, Test] = {}
        self._look()

    def __bool__(self) -> bool:
        """Whether anything is still to be run or asked."""
        return bool(self._wanted or self._graders)

    def graders(self) -> tuple[GraderRun, ...]:
        """Of the groups whose members are known, and that were not asked yet."""
        return self._graders

    def grade(self, outcome: GroupOutcome) -> None:
        """A custom grader has said that."""
        self.graded[outcome.group] = outcome
        self._look()

    def take(self, running: Collection[str]) -> Test | None:
        """The first test that may matter and is not among those; None: there is no other."""
        return next((test for name, test in self._wanted.items() if name not in running), None)

    def matters(self, name: str) -> bool:
        """Whether a test that is running still may."""
        return name in self._wanted

    def settle(self, outcome: Outcome) -> None:
        """A test has come to that."""
        self.outcomes[outcome.test] = outcome
        self._wanted.pop(outcome.test, None)
        group = self._group_of[outcome.test]
        self._left[group.name] -= 1
        if self._is_turn(group, outcome) or not self._wanted:
            self._look()

    def _is_turn(self, group: Group, outcome: Outcome) -> bool:
        is_turn = self._left[group.name] == 0 or outcome.verdict == "JE"
        if outcome.verdict != "AC":
            # In a group that does not break, the second failure says nothing that is new.
            is_turn |= group.breaks_on_reject or group.name not in self._failed
            self._failed.add(group.name)
        return is_turn

    def _look(self) -> None:
        tests = next_tests(self._problem, self.outcomes, self.graded, is_lazy=self._is_lazy)
        self._wanted = {test.name: test for test in tests}
        self._graders = next_graders(self._problem, self.outcomes, self.graded)

    def _enter(self, group: Group) -> None:
        self._left[group.name] = 0
        for member in group.members:
            if isinstance(member, Group):
                self._enter(member)
            else:
                self._group_of[member.name] = group
                self._left[group.name] += 1
