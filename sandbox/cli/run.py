"""`sandbox run`: one job, its streams ours, and an exit code."""

from __future__ import annotations

import os
import sys

from sandbox.cli.exit_code import exit_code, exit_code_of_exec
from sandbox.cli.job_options import LIMITS, SETTINGS
from sandbox.cli.options import Option, help_lines, parse_options
from sandbox.spec.errors import ExecError, SpecError
from sandbox.spec.fields import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from sandbox.client.link import Link
    from sandbox.spec.job import Job
    from sandbox.spec.policy import Policy
    from sandbox.spec.result import Result

__all__ = ["run"]

_REPORTING = {
    "--spec": Option("all of this from a TOML file; options override it", "FILE"),
    "--json": Option("the Result; without FILE on stdout, the job's own on stderr", "FILE", True),
    "--help": Option("show this"),
}
_SERVICE = {
    "--host": Option("by this server (default: your own, where one runs)", "HOST|none"),
    "--detach": Option("print its id and leave it to the server; see sandbox logs"),
    "--label": Option("a name for sandbox ps", "TEXT"),
    "--key": Option("the same job for the same key, however often it is asked for", "TEXT"),
}
_OPTIONS = {**SETTINGS, **LIMITS, **_REPORTING, **_SERVICE}
_HELP = f"""\
Usage: sandbox run [OPTIONS] [--] COMMAND [ARGUMENT…]

Run one command in a sandbox. -- is needed where COMMAND begins with -.

{help_lines(SETTINGS)}

Limits (the policy has the defaults; cpu-time, idle, stack and core may be none):
{help_lines(LIMITS)}

{help_lines(_REPORTING)}

With a server (HOST: unix:PATH, tls:HOST:PORT, or $SANDBOX_HOST; without one, in this process):
{help_lines(_SERVICE)}

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
    from sandbox.cli.document import read_document

    settings = [option for option in given if option[0] in SETTINGS or option[0] in LIMITS]
    document, origins = read_document(settings, command, values.get("--spec"), os.getcwd())
    try:
        link = _find_link(values.get("--host"))
        if link is None:
            result = _run_here(document, values)
        elif "--detach" in values:
            from sandbox.cli.remote import run_detached

            print(printable(run_detached(link, document, _said(values))))
            return 0
        else:
            result = _run_there(link, document, values)
    except SpecError as error:
        raise origins.explain(error) from error
    except ExecError as error:
        print(f"sandbox: {printable(str(error))}", file=sys.stderr)
        return exit_code_of_exec(error)
    if result.verdict != "exited":
        from sandbox.cli.report import one_line

        print(one_line(result), file=sys.stderr)
    return exit_code(result)


def _find_link(host: str | None) -> Link | None:
    """A connection to the server that is to run the job; None: there is none, we do."""
    if host is None and "SANDBOX_HOST" not in os.environ:
        runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
        # A look, before anything is loaded that only a client needs: see client/address.py.
        places = (f"{runtime}/sandbox/sandbox.sock", "/run/sandbox-serve/sandbox.sock")
        if not any(map(os.path.exists, places)):
            return None
    from sandbox.cli.remote import find_link

    return find_link(host)


def _said(values: dict[str, str | None]) -> dict[str, str | None]:
    return {name: values[f"--{name}"] for name in ("label", "key") if f"--{name}" in values}


def _run_here(document: dict[str, Any], values: dict[str, str | None]) -> Result:
    for name in ("--detach", "--label", "--key"):
        if name in values:
            raise SpecError(name, "needs a server, and none runs; see sandbox serve --help")
    from pathlib import Path

    from sandbox.spec.job import job_from_mapping

    job = job_from_mapping(document, Path.cwd())
    from sandbox.cli.inprocess import parse_kept
    from sandbox.spec.policy import load_policy

    policy = load_policy(job.policy, parse_kept)
    emptied: tuple[str, ...] = ()
    if (report := values.get("--json")) is not None:  # it goes again where there is no result
        emptied = (os.path.dirname(os.path.abspath(report)),)
    return _reported(
        values, lambda stdout_fd: _run(job, policy, stdout_fd=stdout_fd, emptied=emptied)
    )


def _run_there(link: Link, document: dict[str, Any], values: dict[str, str | None]) -> Result:
    from sandbox.cli.remote import run_attached

    said = _said(values)
    return _reported(
        values,
        lambda stdout_fd: run_attached(link, document, said, stdout_fd=stdout_fd, stderr_fd=2),
    )


def _reported(values: dict[str, str | None], run_job: Callable[[int], Result]) -> Result:
    """What `run_job` returns, which gets the fd for the job's stdout; as JSON where it is asked."""
    if "--json" not in values:
        return run_job(1)
    from sandbox.cli.report import json_document, opened

    if (name := values["--json"]) is None:
        result = run_job(2)
        print(json_document(result))
        return result
    from pathlib import Path

    with opened(Path(name)) as file:
        result = run_job(1)
        print(json_document(result), file=file)
    return result


def _run(job: Job, policy: Policy, *, stdout_fd: int, emptied: tuple[str, ...]) -> Result:
    import contextlib

    from sandbox.cli.inprocess import run_job

    with contextlib.ExitStack() as opened:
        stdin_fd = 0
        if job.stdin is not None:
            try:
                stdin_fd = opened.enter_context(job.stdin.open("rb", buffering=0)).fileno()
            except OSError as error:
                raise SpecError("stdin", f"{job.stdin}: {error.strerror}") from error
        return run_job(
            job, policy, stdin_fd=stdin_fd, stdout_fd=stdout_fd, stderr_fd=2, emptied=emptied
        )
