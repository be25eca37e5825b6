"""Outcomes and judgements as they go over the wire."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from sandbox.judge.feedback import MOST_MESSAGE_BYTES
from sandbox.judge.verdict import Judgement, Outcome, TestRun
from sandbox.spec.fields import printable

__all__ = ["judgement_map", "outcome_map"]

# In bytes, and all together less than an event may have.
_MOST_TEXT = 1024  # of what is for people, in one line of it
_MOST_OUTPUT = 32 << 10
_MOST_ITEMS = 16
_MOST_GROUPS, _MOST_NAMES = 1000, 64 << 10  # of groups


def outcome_map(outcome: Outcome) -> dict[str, Any]:
    """Of one test."""
    return {
        "test": _text(outcome.test),
        "verdict": outcome.verdict,
        "why": _text(outcome.why),
        "evidence": [_text(line) for line in outcome.evidence[:_MOST_ITEMS]],
        "score": outcome.score,
        "judge_message": _message(outcome.judge_message, MOST_MESSAGE_BYTES),
        "team_message": _message(outcome.team_message, MOST_MESSAGE_BYTES),
        "exit_code": outcome.exit_code,
        "signal": outcome.signal,
        "runs": [_run_map(run) for run in outcome.runs[:_MOST_ITEMS]],
    }


def judgement_map(judgement: Judgement) -> dict[str, Any]:
    """Of the whole; its tests are counted only, for each of them has an event."""
    counts = Counter(outcome.verdict or "not_run" for outcome in judgement.tests)
    return {
        "verdict": judgement.verdict,
        "score": judgement.score,
        "why": _text(judgement.why),
        "language": judgement.language,
        "tests": dict(counts),
        "groups": list(_group_maps(judgement)),
        "compiler_output": _message(judgement.compiler_output, _MOST_OUTPUT),
        "compile_seconds": judgement.compile_seconds,
        "time_limit_seconds": judgement.time_limit_seconds,
        "time_multiplier": judgement.time_multiplier,
    }


def _group_maps(judgement: Judgement) -> Iterator[Mapping[str, Any]]:
    left = _MOST_NAMES
    for one in judgement.groups[:_MOST_GROUPS]:
        name = _text(one.group)
        left -= len(name.encode())
        if left < 0:
            break
        yield {"group": name, "verdict": one.verdict, "score": one.score}


def _run_map(run: TestRun) -> Mapping[str, Any]:
    return {**run._asdict(), "noise": [_text(line) for line in run.noise[:_MOST_ITEMS]]}


def _text(text: str) -> str:
    return _cut(printable(text), _MOST_TEXT)


def _message(text: str, most: int) -> str:
    """Its lines as they are, without what a terminal would take for an order."""
    return _cut("\n".join(printable(line) for line in text[:most].splitlines()), most)


def _cut(text: str, most_bytes: int) -> str:
    return text.encode()[:most_bytes].decode(errors="ignore")
