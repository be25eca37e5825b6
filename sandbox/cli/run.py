"""`sandbox run`: one job, its streams ours, and an exit code."""

from __future__ import annotations

import sys

from sandbox.cli.exit_code import exit_code, exit_code_of_exec
from sandbox.cli.job_options import LIMITS, SETTINGS
from sandbox.cli.options import Option, help_lines, parse_options
from sandbox.spec.errors import ExecError, SpecError
from sandbox.spec.fields import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.spec.job import Job
    from sandbox.spec.policy import Policy
    from sandbox.spec.result import Result

__all__ = ["run"]

_REPORTING = {
    "--spec": Option("all of this from a TOML file; options override it", "FILE"),
    "--json": Option("the Result; without FILE on stdout, the job's own on stderr", "FILE", True),
    "--help": Option("show this"),
}
_OPTIONS = {**SETTINGS, **LIMITS, **_REPORTING}
_HELP = f"""\
Usage: sandbox run [OPTIONS] [--] COMMAND [ARGUMENT…]

Run one command in a sandbox. -- is needed where COMMAND begins with -.

{help_lines(SETTINGS)}

Limits (the policy has the defaults; cpu-time, idle, stack and core may be none):
{help_lines(LIMITS)}

{help_lines(_REPORTING)}

Exit code: the command's own; 128+N ended by signal N; 124 a time limit; 137 memory;
153 output or disk; 159 a forbidden system call; 130 cancelled; 125 our failure, nothing
ran; 126 not executable; 127 not found."""


def run(words: Sequence[str]) -> int:
    """Run the job that `words` describe; the exit code. Raises SandboxError for our failures."""
    given, command = parse_options(words, _OPTIONS)
    values = dict(given)
    if "--help" in values:
        print(_HELP)
        return 0
    from pathlib import Path

    from sandbox.cli.document import read_job

    settings = [option for option in given if option[0] not in _REPORTING]
    job, origins = read_job(settings, command, values.get("--spec"), Path.cwd())
    from sandbox.cli.inprocess import parse_kept
    from sandbox.spec.policy import load_policy

    try:
        policy = load_policy(job.policy, parse_kept)
        if "--json" not in values:
            result = _run(job, policy, stdout_fd=1)
        elif (file_name := values["--json"]) is None:
            from sandbox.cli.report import json_document

            result = _run(job, policy, stdout_fd=2)
            print(json_document(result))
        else:
            from sandbox.cli.report import json_document, opened

            with opened(Path(file_name)) as file:
                result = _run(job, policy, stdout_fd=1)
                print(json_document(result), file=file)
    except SpecError as error:
        raise origins.explain(error) from error
    except ExecError as error:
        print(f"sandbox: {printable(str(error))}", file=sys.stderr)
        return exit_code_of_exec(error)
    if result.verdict != "exited":
        from sandbox.cli.report import one_line

        print(one_line(result), file=sys.stderr)
    return exit_code(result)


def _run(job: Job, policy: Policy, *, stdout_fd: int) -> Result:
    import contextlib

    from sandbox.cli.inprocess import run_job

    with contextlib.ExitStack() as opened:
        stdin_fd = 0
        if job.stdin is not None:
            try:
                stdin_fd = opened.enter_context(job.stdin.open("rb", buffering=0)).fileno()
            except OSError as error:
                raise SpecError("stdin", f"{job.stdin}: {error.strerror}") from error
        return run_job(job, policy, stdin_fd=stdin_fd, stdout_fd=stdout_fd, stderr_fd=2)
