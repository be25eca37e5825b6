"""The machine, run outside of any sandbox: natively, and the other architecture's by QEMU."""

import array
import fcntl
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sandbox.boundary.report import REPORT_FD
from sandbox.inside.init import CONTROL_FD
from sandbox.inside.script import ANY, Script

PATIENCE_SECONDS = 30
# The instruction that says which call a fork is: QEMU's user mode knows clone(2) only.
CLONE3 = {"x86_64": "b8b3010000", "aarch64": "683680d2"}
CLONE = {"x86_64": "b838000000", "aarch64": "881b80d2"}


class Running:
    """A machine that waits for its script. It has its control, its report, and /dev/null thrice."""

    def __init__(self, command: list[str], kind: socket.SocketKind) -> None:
        self.control, control = socket.socketpair(type=kind)
        self.report, report = socket.socketpair()
        # Put out of the way first: none may be overwritten before it is where it is to be.
        fds = [fcntl.fcntl(sock, fcntl.F_DUPFD_CLOEXEC, 64) for sock in (report, control)]
        actions = [
            *((os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_RDWR, 0) for fd in range(REPORT_FD)),
            (os.POSIX_SPAWN_DUP2, fds[0], REPORT_FD),
            (os.POSIX_SPAWN_DUP2, fds[1], CONTROL_FD),
        ]
        self._pid = os.posix_spawn(command[0], command, {}, file_actions=actions)
        self._pidfd = os.pidfd_open(self._pid)
        for fd in fds:
            os.close(fd)
        report.close()
        control.close()
        for sock in (self.report, self.control):
            sock.settimeout(PATIENCE_SECONDS)

    def send(self, script: bytes, fds: tuple[int, ...] = ()) -> None:
        """Send a script, or an order, as its two parts; the fds go with the first."""
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        assert self.control.sendmsg([script[:8]], rights) == 8
        if script[8:]:
            self.control.sendall(script[8:])

    def said(self) -> bytes:
        """All that it and its children say on the control, until nobody is left to say anything."""
        self.control.shutdown(socket.SHUT_WR)
        found = b""
        while piece := self.control.recv(1 << 16):
            found += piece
        return found

    def exit_code(self) -> int:
        """What it exits with, or minus the signal that ends it."""
        if not select.select([self._pidfd], [], [], PATIENCE_SECONDS)[0]:
            raise TimeoutError("the machine does not end")
        status = os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED | os.WNOWAIT)
        assert status is not None
        return status.si_status if status.si_code == os.CLD_EXITED else -status.si_status

    def destroy(self) -> None:
        """End it, if it has not."""
        self.control.close()
        self.report.close()
        signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._pidfd)


class Machine:
    """The machine of one architecture, and how to run it here."""

    def __init__(self, emulator: list[str], image: Path) -> None:
        self.is_emulated = bool(emulator)
        self._command = [*emulator, str(image)]

    @contextmanager
    def run(
        self, kind: socket.SocketKind = socket.SOCK_STREAM, *, is_init: bool = False
    ) -> Iterator[Running]:
        """Start it; `is_init`: as pid 1 of a pid namespace of its own, with a /proc that shows it.

        As that it may be told to kill everybody. Never otherwise: that would be all of the user's.
        """
        prefix = _in_namespaces() if is_init else []
        running = Running([*prefix, *self._command], kind)
        try:
            yield running
        finally:
            running.destroy()

    def fork(
        self, script: Script, write_child: Callable[[], None], pid: int = ANY
    ) -> Callable[[], None]:
        """Have the script fork; what is returned writes what the child does, at the very end."""
        child, fds = script.label(), script.open_fds()
        if self.is_emulated:
            script.fork(signal.SIGCHLD, 0, child, pid)  # type: ignore[arg-type]
        else:
            arguments = script.memory(struct.pack("<8Q", 0, 0, 0, 0, signal.SIGCHLD, 0, 0, 0))
            script.fork(arguments, 64, child, pid)

        def place() -> None:
            script.place(child, fds)
            write_child()

        return place


def _in_namespaces() -> list[str]:
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("no unshare here (package util-linux)")
    command = [unshare, "--user", "--map-root-user", "--mount-proc", "--pid", "--fork"]
    done = subprocess.run([*command, "true"], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no pid namespace for an ordinary user here: {done.stderr.strip()}")
    return [*command, "--kill-child"]
