"""`sandbox ps | logs | wait | kill | rm | stats`: the jobs of a server."""

from __future__ import annotations

import signal
import sys
import time

from sandbox.cli.options import Option, help_lines, parse_options
from sandbox.spec.errors import SpecError
from sandbox.spec.fields import printable, suggestion

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from sandbox.client.replies import JobStats, Status, Summary
    from sandbox.client.sync import Client

__all__ = ["COMMANDS", "run"]

_HOST = {"--host": Option("of this server (default: $SANDBOX_HOST, or your own)", "HOST")}
_HELP = {"--help": Option("show this")}
_SHORT = ("--all", "--quiet", "--follow", "--force", "--signal", "--help")  # by first letter
_REFRESH_SECONDS = 1.0
_CLEAR = "\x1b[H\x1b[2J"  # ECMA-48: home, erase all


class _Command:
    """One command: what it does, its options, and the name of what it takes."""

    def __init__(
        self, does: str, takes: str, options: dict[str, Option], run: Callable[..., int]
    ) -> None:
        self.does, self.takes, self.run = does, takes, run
        self.options = {**options, **_HOST, **_HELP}


def run(name: str, words: Sequence[str]) -> int:
    """Run one of COMMANDS; the exit code. Raises SandboxError."""
    command = COMMANDS[name]
    short = {option[1:3]: option for option in _SHORT if option in command.options}
    given, rest = parse_options([short.get(word, word) for word in words], command.options)
    values = dict(given)
    if "--help" in values:
        usage = f"Usage: sandbox {name} [OPTIONS] {command.takes}".rstrip()
        aliases = ", ".join(f"{letter} for {option}" for letter, option in short.items())
        lines = help_lines(command.options)
        print(f"{usage}\n\n{command.does}.\n\n{lines}\n\nAlso {aliases}.")
        return 0
    if command.takes and not command.takes.startswith("[") and not rest:
        raise SpecError("JOB", f"is missing; see sandbox {name} --help")
    if not command.takes and rest:
        raise SpecError(rest[0], f"{name} takes options only")
    from sandbox.client.sync import Client

    with Client(values.get("--host")) as client:
        return command.run(client, rest, values)


def _ps(client: Client, _: Sequence[str], values: dict[str, str | None]) -> int:
    shown = [job for job in client.jobs() if "--all" in values or job.state in _LIVE]
    if "--quiet" in values:
        for job in shown:
            print(printable(job.job))
        return 0
    rows = [("JOB", "LABEL", "STATE", "CREATED", "RUNS")]
    rows += [
        (job.job, job.label or "-", _state(client, job), _ago(job.created_at), str(job.runs))
        for job in shown
    ]
    _print_table(rows)
    return 0


def _state(client: Client, job: Summary) -> str:
    if job.state != "ended":
        return job.state
    result = client.job(job.job).status().result
    if result is None:
        return job.state
    return f"exited {result.exit_code}" if result.verdict == "exited" else result.verdict


def _logs(client: Client, jobs: Sequence[str], values: dict[str, str | None]) -> int:
    (job,) = _one(jobs)
    handle = client.job(job)
    chosen = [name for name in ("stdout", "stderr") if f"--{name}" in values]
    if "--follow" in values:
        from sandbox.cli.follow import follow
        from sandbox.cli.remote import connect

        follow(connect(values.get("--host")), job, chosen or ["stdout", "stderr"])
        return 0
    for name in chosen or ["stdout", "stderr"]:
        out = sys.stdout if name == "stdout" else sys.stderr
        offset, is_end = 0, False
        while not is_end:
            piece = handle.read(name, offset)
            out.buffer.write(piece.data)
            is_end = piece.is_end or not piece.data
            offset += len(piece.data)
        out.flush()
    return 0


def _wait(client: Client, jobs: Sequence[str], _: dict[str, str | None]) -> int:
    for job in jobs:
        print(_code(client.job(job).wait()))
    return 0


def _code(status: Status) -> int:
    from sandbox.cli.exit_code import OUR_FAILURE, exit_code, exit_code_of_exec
    from sandbox.spec.errors import ExecError

    if isinstance(status.error, ExecError):
        return exit_code_of_exec(status.error)
    return OUR_FAILURE if status.result is None else exit_code(status.result)


def _kill(client: Client, jobs: Sequence[str], values: dict[str, str | None]) -> int:
    wanted = values.get("--signal")
    for job in jobs:
        if wanted is None:
            client.job(job).cancel()
        else:
            client.job(job).signal(_signal(wanted))
        print(job)
    return 0


def _signal(text: str) -> int:
    if text.isdecimal() and 0 < int(text[:4]) < signal.NSIG:
        return int(text)
    name = f"SIG{text.upper().removeprefix('SIG')}"
    if name not in signal.Signals.__members__:
        near = suggestion(name, signal.Signals.__members__)
        raise SpecError("--signal", f'"{printable(text)}" is no signal{near}')
    return signal.Signals[name]


def _rm(client: Client, jobs: Sequence[str], values: dict[str, str | None]) -> int:
    for job in jobs:
        handle = client.job(job)
        if "--force" in values:
            handle.cancel()
            handle.wait()
        handle.delete()
        print(job)
    return 0


def _stats(client: Client, jobs: Sequence[str], values: dict[str, str | None]) -> int:
    while True:
        rows = [("JOB", "LABEL", "STATE", "CPU", "MEMORY", "PROCESSES", "WALL")]
        rows += [_usage(one) for one in client.stats() if not jobs or one.job in jobs]
        if "--follow" in values and sys.stdout.isatty():
            sys.stdout.write(_CLEAR)
        _print_table(rows)
        if "--follow" not in values:
            return 0
        sys.stdout.flush()
        time.sleep(_REFRESH_SECONDS)


def _usage(one: JobStats) -> tuple[str, ...]:
    def shown(value: Any, unit: str = "") -> str:
        return "-" if value is None else f"{value:.3f}{unit}" if unit == " s" else f"{value}{unit}"

    memory = None if one.memory_bytes is None else f"{one.memory_bytes / (1 << 20):.1f} MiB"
    return (
        one.job, one.label or "-", one.state, shown(one.cpu_seconds, " s"), memory or "-",
        shown(one.processes), shown(one.wall_seconds, " s"),
    )  # fmt: skip


def _one(jobs: Sequence[str]) -> Sequence[str]:
    if len(jobs) != 1:
        raise SpecError(jobs[1], "one JOB at a time")
    return jobs


def _ago(moment: float | None) -> str:
    if moment is None:
        return "-"
    seconds = max(0, int(time.time() - moment))
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"


def _print_table(rows: Iterable[Sequence[str]]) -> None:
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )


_LIVE = ("queued", "running")
COMMANDS = {
    "ps": _Command(
        "List your jobs",
        "",
        {
            "--all": Option("those that are over too"),
            "--quiet": Option("ids only"),
        },
        _ps,
    ),
    "logs": _Command(
        "Print what a job has written",
        "JOB",
        {
            "--follow": Option("and what it will write, until its end"),
            "--stdout": Option("only that"),
            "--stderr": Option("only that"),
        },
        _logs,
    ),
    "wait": _Command(
        "Wait for the end of jobs, and print the exit code of each", "JOB…", {}, _wait
    ),
    "kill": _Command(
        "End jobs, or send them a signal",
        "JOB…",
        {"--signal": Option("only send this one to its first process", "NAME|N")},
        _kill,
    ),
    "rm": _Command(
        "Forget jobs that are over, with all they left",
        "JOB…",
        {"--force": Option("end one that runs first")},
        _rm,
    ),
    "stats": _Command(
        "Show what jobs that run use now",
        "[JOB…]",
        {"--follow": Option("every second")},
        _stats,
    ),
}
