"""The keeper: a small process that others of ours are forked from.

The supervisor locks itself and can start nothing any more; so what it may need later it asks of
this one, which was started before. It stays outside of the base user namespace, for nobody else
can enter that, and it is told nothing but what to become.
"""

from __future__ import annotations

import _signal
import os
import sys

from sandbox.boundary.channel import CHANNEL_FD, Channel
from sandbox.boundary.report import Kind, Report
from sandbox.keeper.lookout import watch
from sandbox.kernel.confinement import (
    landlock_abi,
    landlock_create_ruleset,
    landlock_restrict_self,
)
from sandbox.kernel.processes import (
    PR_SET_DUMPABLE,
    PR_SET_NAME,
    PR_SET_NO_NEW_PRIVS,
    PR_SET_PDEATHSIG,
    close_range,
    fork_sibling,
    prctl,
)
from sandbox.zygote.main import serve

__all__ = ["main"]

_SINCE_TCP, _SINCE_SCOPES = 4, 6  # ABI of Landlock: bind and connect; abstract sockets and signals


def main() -> None:
    """Fork what the supervisor orders on CHANNEL_FD, until it closes its end.

    An order is what to become, and for a lookout its filter; the socket to answer on comes with it,
    and the base user namespace where there is one. argv[1]: the uid and gid to become first, where
    the supervisor was started as root.
    """
    close_range(CHANNEL_FD + 1)
    while (fd := os.open(b"/dev/null", os.O_RDWR | os.O_CLOEXEC)) < CHANNEL_FD:
        pass  # one of the three was closed, and its number must not be given to anything else
    os.close(fd)
    os.setsid()  # the terminal's Ctrl-C is for the supervisor
    os.umask(0o022)  # what it mounts and makes is for jobs of other ids, whatever the caller keeps
    if sys.argv[1:]:
        owner = int(sys.argv[1])
        os.setgroups([])
        os.setresgid(owner, owner, owner)
        os.setresuid(owner, owner, owner)
        prctl(PR_SET_DUMPABLE, 1)  # else /proc/PID/uid_map of our children belongs to root
    prctl(PR_SET_PDEATHSIG, _signal.SIGKILL)
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    _stay_apart()
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    os.set_inheritable(CHANNEL_FD, False)
    channel = Channel(CHANNEL_FD)
    try:
        while True:
            order, fds = channel.receive()
            # A child of the supervisor's, not of ours: it can wait for it, and outlives us.
            if fork_sibling() == 0:
                _become(order, fds)
            for fd in fds:
                os.close(fd)
    except EOFError:
        return


def _stay_apart() -> None:
    """Neither we nor any that is forked from us can look into other processes, or signal them.

    Landlock, without a rule for files: one would forbid every mount. landlock(7), Linux 6.7, 6.12.
    """
    try:
        abi = landlock_abi()
    except OSError:
        return
    if abi >= _SINCE_TCP:
        ruleset_fd = landlock_create_ruleset(0, 0b11, 0b11 if abi >= _SINCE_SCOPES else 0)
        landlock_restrict_self(ruleset_fd)
        os.close(ruleset_fd)


def _become(order: bytes, fds: list[int]) -> None:
    """Be that, to the end. Says who it is first of all, before it can fail at anything."""
    try:
        for number, fd in enumerate(fds, CHANNEL_FD):  # each is above the number that it gets
            os.dup2(fd, number, inheritable=False)
        close_range(CHANNEL_FD + len(fds))
        os.write(CHANNEL_FD, Report(Kind.READY, os.getpid()).pack())
        prctl(PR_SET_PDEATHSIG, _signal.SIGKILL)
        if order[:1] == b"z":
            prctl(PR_SET_NAME, b"sandbox-zygote")
            serve(joins_base=len(fds) > 1)
        else:
            prctl(PR_SET_NAME, b"sandbox-lookout")
            watch(order[1:])
        os._exit(0)
    except BaseException:
        sys.excepthook(*sys.exc_info())  # a bug of ours, or a host that forbids what we need
    finally:
        os._exit(1)
