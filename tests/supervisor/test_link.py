"""The supervisor's end of a link, where the process has no fds left."""

import array
import errno
import resource
import socket
from pathlib import Path

import pytest

from sandbox.boundary.report import Kind, Report
from sandbox.supervisor.link import Link


def open_fds() -> list[int]:
    return sorted(int(path.name) for path in Path("/proc/self/fd").iterdir())


def test_a_report_whose_fds_do_not_fit_is_an_error_and_leaves_none_open() -> None:
    link, theirs = Link.pair()
    report = Report(Kind.READY, 1, 0, 0).pack()
    fds = array.array("i", [theirs.fileno()] * 2)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with Path("/dev/null").open() as gap:
        free = gap.fileno()
    try:
        before = open_fds()
        # Room for one of the two, at the lowest number that is free.
        resource.setrlimit(resource.RLIMIT_NOFILE, (free + 1, hard))
        try:
            theirs.sendmsg([report], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
            theirs.send(report)
            with pytest.raises(OSError) as failure:
                link.receive_now()
            assert failure.value.errno == errno.EMFILE
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert open_fds() == before
        assert link.receive_now() == (Report.unpack(report), [])  # nothing of it came again
    finally:
        link.close()
        theirs.close()
