"""Our failures, and only ours: what a job does wrong is a Result, never an exception.

Each message says what happened, to what, why, and what to do about it.
"""

import os

__all__ = [
    "ExecError",
    "HostError",
    "ProtocolError",
    "RefusedError",
    "SandboxError",
    "SetupError",
    "SpecError",
    "ZygoteError",
]


class SandboxError(Exception):
    """Base of all our errors; never raised itself."""


class SpecError(SandboxError):
    """The caller asked for something that cannot be meant; `field` names it, dotted."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class RefusedError(SandboxError):
    """The job is understood and not accepted: no room, or a grade that is out of reach.

    `retry_after_seconds`: when to come back; None: not before something has been changed.
    """

    def __init__(self, problem: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(problem)
        self.retry_after_seconds = retry_after_seconds


class HostError(SandboxError):
    """The host lacks something that the job requires; the message ends with the fix."""


class SetupError(SandboxError):
    """A wall could not be built or did not hold. The payload was never started."""


class ExecError(SandboxError):
    """Every wall held, and the command could not be executed; `errno` is execve(2)'s own."""

    def __init__(self, errno: int, command: bytes) -> None:
        super().__init__(f"{os.fsdecode(command)}: {os.strerror(errno)}")
        self.errno = errno
        self.command = command


class ZygoteError(SandboxError):
    """The zygote, or a sandbox's init, died or answered nonsense."""


class ProtocolError(SandboxError):
    """A peer sent bytes that are no message; its connection is closed."""
