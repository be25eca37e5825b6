"""An Outcome in DOMjudge's words: the fields of add-judging-run."""

from __future__ import annotations

import math
from collections.abc import Mapping

from sandbox.judge.domjudge.api import Settings, encoded
from sandbox.judge.domjudge.blame import Blamed
from sandbox.judge.domjudge.tasks import Executable, JudgingTask
from sandbox.judge.verdict import Outcome

__all__ = ["bounded", "compile_metadata", "run_fields", "run_metadata", "system_text"]

_RESULTS = {
    "AC": "correct",
    "WA": "wrong-answer",
    "OLE": "output-limit",
    "MLE": "memory-limit",
    "RTE": "run-error",
    "TLE": "timelimit",
}


def run_fields(
    outcome: Outcome, task: JudgingTask, settings: Settings, started: float, ended: float
) -> dict[str, str]:
    """What is reported of a run; times are those of the clock, in seconds since 1970.

    Raises Blamed: the validator gave no verdict, or a score that is none.
    """
    result = _result(outcome, task, settings)

    def shortened(content: bytes) -> str:
        return encoded(bounded(content, settings.storage_bytes))

    fields = {
        "runresult": result,
        "runtime": f"{outcome.cpu_seconds or 0:.6f}",
        "start_time": f"{started:.6f}",
        "end_time": f"{ended:.6f}",
        "output_run": shortened(outcome.stdout),
        "output_error": shortened(outcome.stderr),
        "output_system": shortened(system_text(outcome)),
        "output_diff": shortened(_bytes(outcome.judge_message)),
        "metadata": encoded(run_metadata(outcome)),
    }
    if outcome.team_message:
        fields["team_message"] = shortened(_bytes(outcome.team_message))
    # Where the problem has no scores, the server takes one for an error.
    if task.comparing.is_scoring and outcome.score is not None:
        if not math.isfinite(outcome.score) or outcome.score < 0:
            raise Blamed.script(_validator(task), f"a score of {outcome.score}")
        fields["score"] = encoded(f"{outcome.score:.9f}".encode())
    return fields


def bounded(content: bytes, most_bytes: int | None) -> bytes:
    """`content`, or the first of it and the line by which DOMjudge knows that there is more."""
    if most_bytes is None or len(content) <= most_bytes:
        return content
    return content[:most_bytes] + b"\n[output storage truncated after %d B]\n" % most_bytes


def run_metadata(outcome: Outcome) -> bytes:
    """What was measured, a key and its value a line, by the keys that DOMjudge's pages show."""
    run = outcome.runs[-1] if outcome.runs else None
    code = 128 + outcome.signal if outcome.signal else outcome.exit_code or 0
    lines = {
        "memory-bytes": run.memory_bytes or 0 if run else 0,
        "exitcode": code,
        "signal": outcome.signal,
        "cpu-time": f"{run.cpu_seconds if run else 0:.3f}",
        "wall-time": f"{run.wall_seconds if run else 0:.3f}",
        "time-used": "cpu-time",
        "time-result": "timelimit" if outcome.verdict == "TLE" else "",
        "output-truncated": "stdout" if outcome.verdict == "OLE" else None,
    }
    return _lines(lines)


def compile_metadata(seconds: float | None, *, is_success: bool) -> bytes:
    """The same, of compiling."""
    return _lines({"wall-time": f"{seconds or 0:.3f}", "exitcode": 0 if is_success else 1})


def system_text(outcome: Outcome) -> bytes:
    """What the jury reads of how the verdict came about."""
    lines = [outcome.why, *outcome.evidence]
    for number, run in enumerate(outcome.runs, 1):
        memory = "unknown" if run.memory_bytes is None else f"{run.memory_bytes} bytes"
        noise = f", disturbed by {', '.join(run.noise)}" if run.noise else ""
        lines.append(f"run {number}: {run.cpu_seconds:.3f}s cpu, {run.wall_seconds:.3f}s wall, "
                     f"memory {memory}{noise}")  # fmt: skip
    return _bytes("\n".join(lines) + "\n")


def _result(outcome: Outcome, task: JudgingTask, settings: Settings) -> str:
    if outcome.verdict not in _RESULTS:
        raise Blamed.script(_validator(task), outcome.why, "\n".join(outcome.evidence))
    result = _RESULTS[outcome.verdict]
    if outcome.verdict == "WA" and not outcome.stdout and not task.comparing.is_interactive:
        result = "no-output"
    # A contest may do without these two; a verdict that it does not know would stop its judging.
    if result not in settings.results:
        result = {"no-output": "wrong-answer", "memory-limit": "run-error"}.get(result, result)
    return result


def _validator(task: JudgingTask) -> Executable:
    return task.running.script if task.comparing.is_interactive else task.comparing.script


def _lines(values: Mapping[str, object]) -> bytes:
    return "".join(
        f"{key}: {value}\n" for key, value in values.items() if value is not None
    ).encode()


def _bytes(text: str) -> bytes:
    return text.encode(errors="backslashreplace")
