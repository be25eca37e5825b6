"""Exit codes, as shells and timeout(1), env(1) and docker use them."""

from __future__ import annotations

import errno

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.spec.errors import ExecError
    from sandbox.spec.result import Result

__all__ = ["CANCELLED", "OUR_FAILURE", "exit_code", "exit_code_of_exec"]

OUR_FAILURE = 125  # a payload may say so too: the line on stderr and the Result tell them apart
CANCELLED = 130  # as SIGINT
_NOT_EXECUTABLE = 126
_NOT_FOUND = 127
_VERDICT_CODES = {
    "cpu_time": 124,  # as timeout(1)
    "wall_time": 124,
    "idle": 124,
    "memory": 137,  # as SIGKILL, which is how the kernel ends it
    "output": 153,  # as SIGXFSZ
    "disk": 153,
    "violation": 159,  # as SIGSYS
    "cancelled": CANCELLED,
}


def exit_code(result: Result) -> int:
    """The code for a job that ran: its verdict's, else the payload's own, 128 + n for signal n.

    `processes` has no code of its own. The limit refuses and does not end a job, so how the payload
    took it is the better answer; but it is never 0, because the verdict says that the job failed.
    """
    if result.verdict in _VERDICT_CODES:
        return _VERDICT_CODES[result.verdict]
    if result.signal is not None:
        return 128 + result.signal
    return result.exit_code or (0 if result.verdict == "exited" else 1)


def exit_code_of_exec(error: ExecError) -> int:
    """The code for a command that could not be executed."""
    return _NOT_FOUND if error.errno == errno.ENOENT else _NOT_EXECUTABLE
