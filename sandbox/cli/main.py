"""The command line: `sandbox run | serve | judge | policy | doctor | setup`.

Each command is imported when it is asked for; tests/cli/test_imports.py says what may be loaded.
"""

from __future__ import annotations

import errno
import io
import os
import sys

import sandbox
from sandbox.cli.exit_code import CANCELLED, OUR_FAILURE
from sandbox.cli.options import Option, help_lines, parse_options
from sandbox.spec.errors import SandboxError, SpecError
from sandbox.spec.fields import printable, suggestion

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import NoReturn

__all__ = ["main"]

_HELP = f"""\
{sandbox.__doc__}

Usage: sandbox run [OPTIONS] [--] COMMAND [ARGUMENT…]   run one command in a sandbox
       sandbox serve [OPTIONS]                          run jobs for clients, as a daemon
       sandbox ps|logs|wait|kill|rm|stats [OPTIONS]     jobs that such a daemon has
       sandbox token                                    let a client in to it over TCP
       sandbox judge [OPTIONS] PROBLEM SUBMISSION…      judge submissions to a contest's problem
       sandbox policy list|show NAME|check FILE         what a job may do
       sandbox doctor [--json | --fix]                  what this host can do, and lacks
       sandbox doctor --attack [--policy NAME]          try to break out of every policy
       sandbox setup --user NAME [--undo]               prepare this host, as root
       sandbox --version

Each takes --help."""
_DOCTOR = {
    "--attack": Option("run known escapes, each with its control, under every policy"),
    "--policy": Option("with --attack: under this one only", "NAME"),
    "--json": Option("the same as a JSON document"),
    "--fix": Option("print the commands that close each gap, for root to read and run"),
    "--help": Option("show this"),
}
_TOKEN = {"--help": Option("a new token for a client, and its hash for the server's tenant")}
_JOBS = ("ps", "logs", "wait", "kill", "rm", "stats")
_SETUP = {
    "--user": Option("whose jobs this host is to run", "NAME"),
    "--undo": Option("take back what setup did for that user"),
    "--help": Option("show this"),
}
# What a write to a file that we did not choose may end with: a full or broken disk, a quota.
_OUTPUT_ERRNOS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def main() -> NoReturn:
    """Run the command of sys.argv and end this process with its exit code.

    At once: what the interpreter does at its end takes as long as a job, to free what the kernel
    frees anyway. Nothing of ours waits for that end, by atexit or by a finalizer.
    """
    code = _run_command(sys.argv[1:])
    try:
        sys.stdout.flush()  # stderr holds back nothing
    except OSError:
        code = OUR_FAILURE
    os._exit(code)


def _run_command(words: Sequence[str]) -> int:
    """The exit code. Failures of ours are one line on stderr, and code 125."""
    _open_standard_streams()
    try:
        code = _dispatch(words)
        sys.stdout.flush()
        return code
    except SandboxError as error:
        # Messages quote names, which may hold what a terminal obeys; the lines are our own.
        text = "\n".join(map(printable, str(error).split("\n")))
        print(f"sandbox: {text}", file=sys.stderr)
    except KeyboardInterrupt:  # before or after a job: during one it is a Result
        return CANCELLED
    except BrokenPipeError:
        pass  # whoever read it has gone
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _OUTPUT_ERRNOS:
            print(f"sandbox: output: {error.strerror}", file=sys.stderr)
        else:
            # A bug of ours. Python's own exit code 1 would read as the payload's.
            import traceback

            traceback.print_exc()
    return OUR_FAILURE


def _dispatch(words: Sequence[str]) -> int:
    commands: dict[str, Callable[[Sequence[str]], int]] = {
        "run": _run,
        "serve": _serve,
        **{name: _of_jobs(name) for name in _JOBS},
        "token": _token,
        "judge": _judge,
        "policy": _policy,
        "doctor": _doctor,
        "setup": _setup,
    }
    if not words:
        raise SpecError("COMMAND", f"is missing: {', '.join(commands)}; see sandbox --help")
    if words[0] in ("--help", "-h"):
        print(_HELP)
        return 0
    if words[0] == "--version":
        print(f"sandbox {sandbox.__version__}")
        return 0
    if words[0] not in commands:
        raise SpecError(words[0], f"no such command{suggestion(words[0], commands)}")
    return commands[words[0]](words[1:])


def _run(words: Sequence[str]) -> int:
    from sandbox.cli.run import run

    return run(words)


def _serve(words: Sequence[str]) -> int:
    from sandbox.cli.serve import run

    return run(words)


def _of_jobs(name: str) -> Callable[[Sequence[str]], int]:
    def run_command(words: Sequence[str]) -> int:
        from sandbox.cli.jobs import run

        return run(name, words)

    return run_command


def _token(words: Sequence[str]) -> int:
    values = _options("token", words, _TOKEN)
    if "--help" in values:
        print(f"Usage: sandbox token\n\n{help_lines(_TOKEN)}")
        return 0
    from sandbox.cli.serve import new_token

    token, digest = new_token()
    print(f"{token}\n{digest}")
    return 0


def _judge(words: Sequence[str]) -> int:
    from sandbox.cli.judge import run

    return run(words)


def _policy(words: Sequence[str]) -> int:
    from sandbox.cli.policy import run

    return run(words)


def _doctor(words: Sequence[str]) -> int:
    values = _options("doctor", words, _DOCTOR)
    if "--help" in values:
        usage = "sandbox doctor [--json | --fix | --attack [--policy NAME]]"
        print(f"Usage: {usage}\n\n{help_lines(_DOCTOR)}")
        return 0
    policy = values.get("--policy")
    if "--attack" in values:
        from sandbox.cli.inprocess import attack

        return attack(policy, json="--json" in values)
    if policy is not None:
        raise SpecError("--policy", "is for doctor --attack")
    from sandbox.cli.inprocess import doctor

    return doctor(json="--json" in values, fix="--fix" in values)


def _setup(words: Sequence[str]) -> int:
    values = _options("setup", words, _SETUP)
    if "--help" in values:
        print(f"Usage: sandbox setup --user NAME [--undo]\n\n{help_lines(_SETUP)}")
        return 0
    user = values.get("--user")
    if user is None:
        raise SpecError("--user", "is missing; write: sandbox setup --user NAME")
    from sandbox.cli.inprocess import setup

    return setup(user, undo="--undo" in values)


def _options(
    command: str, words: Sequence[str], options: dict[str, Option]
) -> dict[str, str | None]:
    given, rest = parse_options(words, options)
    if rest:
        raise SpecError(rest[0], f"{command} takes options only")
    return dict(given)


def _open_standard_streams() -> None:
    # What we open next must not become the payload's stdin, stdout or stderr.
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number, which is `fd`
    # Python has None for a stream that was closed, and print() takes that for stdout.
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)
    # As stderr does: a name, or an ellipsis, that the locale cannot write is no failure.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
