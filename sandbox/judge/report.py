"""What the judge says to people: progress, a table of tests, the sum."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, Any

from sandbox.judge.problem import Submission
from sandbox.judge.verdict import Judgement, Outcome, TestRun
from sandbox.spec.fields import printable
from sandbox.spec.quantities import MIB

__all__ = ["Progress", "columns", "json_document", "table", "transcript"]

_BAR_COLUMNS = 24
_COLUMNS = 80
_WHY_COLUMNS = 100


class Progress:
    """A bar on a terminal; in a pipe a line a test."""

    def __init__(self, stream: IO[str], tests: int) -> None:
        self._stream = stream
        self._tests = tests
        self._done = 0
        self._is_terminal = stream.isatty()

    def begin(self) -> None:
        """Of another submission."""
        self._done = 0

    def __call__(self, submission: Submission, outcome: Outcome) -> None:
        """One test has been judged."""
        self._done += 1
        words = printable(f"{submission.name} {outcome.test} {outcome.verdict}")
        if not self._is_terminal:
            why = f": {outcome.why}" if outcome.why and outcome.verdict != "AC" else ""
            print(words + printable(why), file=self._stream, flush=True)
            return
        full = _BAR_COLUMNS * self._done // max(self._tests, self._done)
        bar = "#" * full + "." * (_BAR_COLUMNS - full)
        line = f"[{bar}] {self._done}/{self._tests} {words}"
        self._stream.write(f"\r\x1b[K{line[: _columns_of(self._stream) - 1]}")
        self._stream.flush()

    def end(self) -> None:
        """The bar goes: what comes next is the table."""
        if self._is_terminal:
            self._stream.write("\r\x1b[K")
            self._stream.flush()


def _columns_of(stream: IO[str]) -> int:
    """Of a terminal: what goes on in a second row is not cleared with the first."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or _COLUMNS
    except OSError:
        return _COLUMNS


def table(judgement: Judgement, *, is_scoring: bool) -> Iterator[str]:
    """Lines: the sum, the compiler's words where it failed, a row a test and a group."""
    score = "" if judgement.score is None or not is_scoring else f", score {judgement.score:g}"
    why = f": {judgement.why}" if judgement.why else ""
    language = f" ({judgement.language})" if judgement.language else ""
    yield printable(f"{judgement.submission}{language}: {judgement.verdict}{score}{why}")
    if judgement.verdict == "CE":
        yield from (f"  | {printable(line)}" for line in judgement.compiler_output.splitlines())
    rows = [("test", "verdict", "CPU", "wall", "memory", "why")]
    rows += [_row(outcome, is_scoring=is_scoring) for outcome in judgement.tests]
    if len(rows) > 1:
        yield from columns(rows)
    if is_scoring:
        for group in judgement.groups:
            told = "" if group.score is None else f" {group.score:g}"
            yield printable(f"  {group.group or 'all'}: {group.verdict}{told}")


def _row(outcome: Outcome, *, is_scoring: bool) -> tuple[str, ...]:
    if not outcome.verdict:
        return (outcome.test, "-", "", "", "", outcome.why)
    run = outcome.runs[-1] if outcome.runs else None
    verdict = outcome.verdict
    if is_scoring and outcome.score is not None:
        verdict += f" {outcome.score:g}"
    why = "; ".join(filter(None, (outcome.why, *outcome.evidence))).splitlines()
    told = why[0][:_WHY_COLUMNS] if why else ""
    if words := _last_words(outcome):
        told = f"{told}: {words[:_WHY_COLUMNS]}"
    if len(outcome.runs) > 1:
        told = f"{told} ({_repeated(outcome.runs)})".strip()
    if run is None:
        return (outcome.test, verdict, "", "", "", told)
    memory = "" if run.memory_bytes is None else f"{run.memory_bytes / MIB:.1f} MiB"
    cpu, wall = f"{run.cpu_seconds:.3f} s", f"{run.wall_seconds:.3f} s"
    return (outcome.test, verdict, cpu, wall, memory, told)


def _last_words(outcome: Outcome) -> str:
    """The line of what a program wrote as it died that most likely says why."""
    said = outcome.judge_message if outcome.verdict == "JE" else ""
    if outcome.verdict == "RTE":
        said = outcome.stderr.decode("utf-8", "replace")
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    if not lines:
        return ""
    # Python's tracebacks end with it, and so do assertions; those of others begin with it.
    is_last = outcome.verdict == "JE" or any(line.startswith("Traceback ") for line in lines)
    return lines[-1 if is_last else 0]


def _repeated(runs: Sequence[TestRun]) -> str:
    times = [run.cpu_seconds for run in runs]
    noise = ", ".join(runs[0].noise)
    words = f"run again: first {times[0]:.3f} s, {noise}; spread {max(times) - min(times):.3f} s"
    if still := ", ".join(runs[-1].noise):
        words += f"; disturbed again: {still}"
    return words


def columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Rows of six cells: two from the left, three from the right, and words of any length."""
    texts = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in texts) for column in range(len(texts[0]))]
    for row in texts:
        left = "  ".join(cell.ljust(width) for cell, width in zip(row[:2], widths, strict=False))
        right = "  ".join(
            cell.rjust(width) for cell, width in zip(row[2:5], widths[2:5], strict=True)
        )
        yield f"  {left}  {right}  {row[5]}".rstrip()


def transcript(outcome: Outcome) -> Iterator[str]:
    """A dialogue: when, in which direction ("<" to the submission), what."""
    for seconds, direction, data in outcome.transcript or ():
        for line in data.decode("utf-8", "backslashreplace").splitlines():
            yield f"  {seconds:9.6f} {direction} {printable(line)}"


def json_document(judgements: Iterable[Judgement], **more: Any) -> str:
    """Everything, as JSON: ASCII, and no NaN."""
    return json.dumps(
        {**more, "judgements": [_plain(one) for one in judgements]}, indent=2, allow_nan=False
    )


def _plain(value: Any) -> Any:
    if hasattr(value, "_asdict"):
        return {key: _plain(item) for key, item in value._asdict().items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    return value
