"""Trials of a service: none keeps its dialogue for longer than until its test is told."""

from __future__ import annotations

import contextlib
from typing import Any

from sandbox.judge.building import Built
from sandbox.judge.engine import Judge
from sandbox.judge.execution import TimeLimit
from sandbox.judge.here import Here
from sandbox.judge.preparation import prepare
from sandbox.judge.problem import Problem, Test
from sandbox.judge.service.plain import transcript_maps
from sandbox.judge.trial import Settings, Trials
from sandbox.judge.verdict import Outcome

__all__ = ["Dialogues", "judge_of"]

_MOST_BYTES = 8 << 20  # of a judging


class Dialogues(Trials):
    """There may be thousands, and what a judgement is made of stays in memory to its end."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._told: dict[str, dict[str, Any]] = {}  # by test
        self._left_bytes = _MOST_BYTES

    async def run(self, built: Built, test: Test, limit: TimeLimit) -> Outcome:
        """See `Trials`."""
        outcome = await super().run(built, test, limit)
        if outcome.transcript is not None:
            told, taken = transcript_maps(outcome, self._left_bytes)
            self._left_bytes -= taken
            self._told[test.name] = {"transcript": told}
        return outcome._replace(transcript=None)

    def of(self, test: str) -> dict[str, Any]:
        """What its event is to say of it, once."""
        return self._told.pop(test, {})


async def judge_of(
    problem: Problem, here: Here, settings: Settings, held: contextlib.ExitStack
) -> tuple[Judge, Dialogues]:
    """A judge, as of `open_judge`, for as long as `held` holds."""
    prepared = await prepare(problem, here, held)
    dialogues = Dialogues(problem, prepared.validator, prepared.answers, here, settings)
    return Judge(problem, here, settings, prepared.grader, dialogues), dialogues
