"""The zygote as the supervisor sees it: started before trio is imported, asked for sandboxes after.

The process's own side is the room sandbox/zygote.
"""

import os
import socket
import sys
from pathlib import Path

from sandbox.boundary.channel import LENGTH
from sandbox.boundary.plan import CollectPlan, SandboxPlan, TemplatePlan, encode
from sandbox.boundary.report import REPORT_BYTES, STEPS, Kind, Report
from sandbox.spec.errors import HostError, SetupError, ZygoteError
from sandbox.supervisor.identity import BaseMap, write_maps

__all__ = ["Zygote", "ZygoteProcess"]

_PACKAGES = Path(__file__).resolve().parents[2]
_BOOT = (
    "import sys; sys.path.insert(0, sys.argv.pop(1))\nfrom sandbox.zygote.main import main; main()"
)
_CHANNEL_FD = 3


class ZygoteProcess:
    """A zygote that starts up: a bare interpreter, without site-packages, in its own session."""

    def __init__(self, owner: int | None = None) -> None:
        """Start it and return at once. `owner`: the uid and gid to become, where we are root."""
        self.socket, theirs = socket.socketpair()
        argv = [sys.executable, "-I", "-S", "-c", _BOOT, os.fspath(_PACKAGES)]
        argv += [] if owner is None else [str(owner)]
        self.pid = os.posix_spawn(
            sys.executable,
            argv,
            {"LC_ALL": "C.UTF-8"},  # nothing of the caller's environment is inherited
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDWR, 0),
                (os.POSIX_SPAWN_DUP2, 0, 1),
                (os.POSIX_SPAWN_DUP2, theirs.fileno(), _CHANNEL_FD),
            ],
        )
        theirs.close()

    def map_ids(self, base: BaseMap) -> BaseMap:
        """Wait until it has its user namespace, then map that; the maps now in force.

        Blocks for as long as an interpreter takes to start. Raises HostError: the host allows no
        user namespaces.
        """
        self._expect_ready("a user namespace")
        return write_maps(self.pid, base)

    def build_template(self, plan: TemplatePlan) -> None:
        """Have it mount the root that its sandboxes share. Raises SetupError with the errno."""
        data = encode(plan)
        self.socket.sendall(LENGTH.pack(len(data)) + data)
        self._expect_ready("the template's mounts")

    def close(self) -> None:
        """End it and reap it. Its sandboxes end with their own sockets."""
        self.socket.close()
        os.waitpid(self.pid, 0)

    def _expect_ready(self, what: str) -> None:
        data = self.socket.recv(REPORT_BYTES, socket.MSG_WAITALL)
        if len(data) < REPORT_BYTES:
            raise ZygoteError(f"the zygote died before it had {what}; its last words are above")
        report = Report.unpack(data)
        if report.kind == Kind.FAILED:
            raise _failure(report, what)


class Zygote:
    """A running zygote: one request at a time, each answered."""

    def __init__(self, process: ZygoteProcess) -> None:
        import trio

        from sandbox.supervisor.link import Link

        self._process = process
        self._link: Link = Link(process.socket)
        self._turn = trio.Lock()

    async def spawn(self, plan: SandboxPlan, fds: tuple[int, ...]) -> tuple[int, int]:
        """Clone a sandbox; the pid and pidfd of its init. fds: as sandbox/zygote/main.py says."""
        return await self._ask(b"s" + encode(plan), fds)

    async def collect(self, plan: CollectPlan, fds: tuple[int, ...]) -> tuple[int, int]:
        """Start a collector; its pid and pidfd."""
        return await self._ask(b"c" + encode(plan), fds)

    async def _ask(self, request: bytes, fds: tuple[int, ...]) -> tuple[int, int]:
        async with self._turn:
            try:
                await self._link.send(request, fds)
                answer = await self._link.receive()
            except OSError as error:
                raise ZygoteError(f"the zygote does not answer: {error.strerror}") from error
        if answer is None:
            raise ZygoteError("the zygote died; the job was not started")
        report, handed = answer
        if report.kind != Kind.READY:
            raise _failure(report, "the clone")
        return report.first, handed[0]


def _failure(report: Report, what: str) -> Exception:
    step, code = STEPS.get(report.first, "?"), report.second
    if step == "user_namespace":
        return HostError(
            f"this host allows no user namespace ({os.strerror(code)}); see: sandbox doctor"
        )
    return SetupError(f"step {step} ({what}) failed: {os.strerror(code)}; no payload was started")
