"""A running job in its caller's hand: to signal it, to resize its terminal, to see what it uses."""

import fcntl
import struct
import termios
from typing import NamedTuple

import trio

from sandbox.spec.errors import RefusedError, SpecError
from sandbox.supervisor.ending import Ending
from sandbox.supervisor.sandbox import Sandbox

__all__ = ["Live", "LiveUsage"]

_WINSIZE = struct.Struct("HHHH")  # rows, columns, and two that nobody uses; ioctl_tty(2)
_MOST_CELLS = 0xFFFF
_SIGNALS = range(1, 65)


class LiveUsage(NamedTuple):
    """What a job uses, while it runs."""

    cpu_seconds: float
    memory_bytes: int
    processes: int  # without zombies
    wall_seconds: float


class Live:
    """One running job. Each method raises RefusedError once that is over."""

    def __init__(self, sandbox: Sandbox, ending: Ending, started_at: float) -> None:
        self._sandbox, self._ending, self._started_at = sandbox, ending, started_at

    def signal(self, number: int) -> None:
        """Signal the payload's first process, as soon as it has executed the job's command.

        Raises SpecError: there is no such signal.
        """
        if number not in _SIGNALS:
            raise SpecError("signal", f"{number} is none; signals are 1 to {_SIGNALS[-1]}")
        self._refuse_over()
        try:
            self._sandbox.send_signal(number)
        except ProcessLookupError as error:  # its end is about to be told
            raise _over() from error

    def resize(self, rows: int, columns: int) -> None:
        """Set the size of the job's terminal, which tells its foreground processes (SIGWINCH).

        Raises SpecError: the job has no terminal, or none has this size.
        """
        for name, count in (("rows", rows), ("columns", columns)):
            if not 0 <= count <= _MOST_CELLS:
                raise SpecError(name, f"{count} is not from 0 to {_MOST_CELLS}")
        self._refuse_over()
        if self._sandbox.terminal_fd is None:
            raise SpecError("tty", "the job was started without a terminal")
        size = _WINSIZE.pack(rows, columns, 0, 0)
        fcntl.ioctl(self._sandbox.terminal_fd, termios.TIOCSWINSZ, size)

    def usage(self) -> LiveUsage:
        """What it uses now, from its cgroup: a dear look, of some files."""
        self._refuse_over()
        cgroup = self._sandbox.cgroup
        return LiveUsage(
            cpu_seconds=cgroup.cpu_seconds(),
            memory_bytes=sum(cgroup.memory_split().values()),
            processes=len(cgroup.pids()),
            wall_seconds=trio.current_time() - self._started_at,
        )

    def end(self, verdict: str, evidence: str) -> None:
        """Kill the job with this verdict, unless another reason to end it came first."""
        self._refuse_over()
        self._ending.limit(verdict, evidence)

    def _refuse_over(self) -> None:
        if self._ending.over.is_set() or self._sandbox.is_destroyed:
            raise _over()


def _over() -> RefusedError:
    return RefusedError("the job is over")
