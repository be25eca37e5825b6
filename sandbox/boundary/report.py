"""The reports that come out: fixed size, one a message, never job data."""

from __future__ import annotations

import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple as Record
else:
    from sandbox.boundary.record import Record

__all__ = ["LISTENER_FD", "REPORT_BYTES", "REPORT_FD", "STEPS", "Kind", "Report", "Step"]

_LAYOUT = struct.Struct("<4i")

# Where the stub has them when it is locked, above the payload's three streams.
REPORT_FD = 3  # close-on-exec: its EOF tells the supervisor that exec happened
LISTENER_FD = 4  # the lowest free fd when the filter loads; the supervisor takes it from there


class Kind:
    """What a report says, and what its two numbers are."""

    FAILED = 1  # step, errno (0: the call succeeded and the wall is not there)
    READY = 2  # init: the sandbox stands, carries the stub's pidfd; or the late plan is done
    LOCKED = 3  # stub: every wall is up; waits for the job
    EXITED = 4  # init: did a signal end the payload, its number or the exit code, did it exec
    EMPTY = 5  # init: no process is left but itself; said once


class Step:
    """The steps between clone and exec. A number is never reused and never renumbered."""

    TIME_NAMESPACE = 2
    CGROUP_PAYLOAD = 3
    CGROUP_NAMESPACE = 4
    IDENTITY = 5
    NAMESPACES = 6
    HOSTNAME = 7
    ROOT = 8
    SCRATCH = 9
    PROC = 10
    DEVICES = 11
    CGROUP_FILES = 12
    BINDS = 13
    PIVOT = 14
    NETWORK = 15
    DUMPABLE = 17
    INIT_CAPABILITIES = 18
    INIT_FILTER = 19
    SESSION = 20
    INPUTS = 21
    DESCRIPTORS = 23
    CAPABILITIES = 24
    NO_NEW_PRIVILEGES = 25
    LANDLOCK = 26
    FILTER = 27
    EXEC = 28
    CLONE = 30
    TEMPLATE = 31
    USER_NAMESPACE = 32
    CWD = 33
    DISK = 34
    MACHINE = 35
    STREAMS = 36
    COLLECTOR = 37
    SHARES = 38


STEPS = {number: name.lower() for name, number in vars(Step).items() if isinstance(number, int)}


class Report(Record):
    """One report, and how it travels: 16 bytes."""

    kind: int
    first: int = 0
    second: int = 0
    third: int = 0

    def pack(self) -> bytes:
        """This report as its 16 bytes."""
        return _LAYOUT.pack(*self)

    @classmethod
    def unpack(cls, data: bytes) -> Report:
        """The report in 16 bytes. Raises struct.error on any other length."""
        return cls(*_LAYOUT.unpack(data))


REPORT_BYTES = _LAYOUT.size
