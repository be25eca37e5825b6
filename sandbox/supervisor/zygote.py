"""The zygote as the supervisor sees it: its process, forked by the keeper, and its requests.

The process's own side is the room sandbox/zygote.
"""

import collections
import contextlib
import errno
import os
import signal
import socket
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from sandbox.boundary.channel import LENGTH
from sandbox.boundary.plan import BindsPlan, CollectPlan, SpawnPlan, TemplatePlan, encode
from sandbox.boundary.report import REPORT_BYTES, STEPS, Kind, Report
from sandbox.spec.errors import HostError, SetupError, ZygoteError
from sandbox.supervisor.identity import BaseMap, write_maps
from sandbox.supervisor.remedies import remedy

if TYPE_CHECKING:
    import trio

    from sandbox.supervisor.lookout import Lookout

__all__ = ["Zygote", "ZygoteProcess"]

_ANSWER_SECONDS = 30  # to mount, or to clone


class ZygoteProcess:
    """A zygote that the keeper was told to fork: our child, from when it has told its pid."""

    def __init__(self, sock: socket.socket) -> None:
        """`sock`: our end of its channel."""
        self.pid = -1  # not told yet
        self.socket = sock
        self._is_reaped = False
        self.mounted: TemplatePlan | None = None  # what it was told to mount already

    def meet(self) -> None:
        """Wait for its first word, its pid: as long as the keeper takes to fork, or to start.

        Raises ZygoteError: there is none.
        """
        if self.pid < 0:
            self.pid = self._receive().first

    def map_ids(self, base: BaseMap) -> BaseMap:
        """Wait until it has its user namespace, then map that; the maps now in force.

        Raises HostError: the host allows no user namespaces.
        """
        self.meet()
        _refuse_failure(self._receive(), "a user namespace")
        return write_maps(self.pid, base)

    def _receive(self) -> Report:
        self.socket.settimeout(_ANSWER_SECONDS)
        try:
            data = self.socket.recv(REPORT_BYTES, socket.MSG_WAITALL)
        except OSError as error:
            raise ZygoteError(f"the zygote does not answer: {error}") from error
        if len(data) < REPORT_BYTES:
            raise ZygoteError(
                "the zygote died before it had a user namespace; its last words are above"
            )
        return Report.unpack(data)

    def mount_ahead(self, plan: TemplatePlan) -> None:
        """Have it mount this template; `Zygote.start` waits for the answer. Raises ZygoteError."""
        self.socket.settimeout(_ANSWER_SECONDS)
        data = encode(plan)
        try:
            self.socket.sendall(LENGTH.pack(len(data)) + data)
        except OSError as error:
            raise ZygoteError(f"the zygote does not answer: {error}") from error
        self.mounted = plan

    def kill(self) -> None:
        """End it at once, whatever it does. Its sandboxes live on, but for those half built."""
        if self.pid > 0 and not self._is_reaped:
            os.kill(self.pid, signal.SIGKILL)

    def is_dead(self) -> bool:
        """Whether it has ended, reaped or not."""
        return self._is_reaped or bool(
            self.pid > 0 and os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        )

    def close(self) -> None:
        """End it and reap it. Idempotent."""
        with contextlib.suppress(ZygoteError):  # there is none
            self.meet()
        self.kill()
        if self.pid > 0 and not self._is_reaped:
            os.waitpid(self.pid, 0)
            self._is_reaped = True
        self.socket.close()


class Zygote:
    """A running zygote: requests in a line, each answered in its turn."""

    def __init__(self, process: ZygoteProcess) -> None:
        import trio

        from sandbox.supervisor.link import Link

        process.meet()
        self.process = process
        self._is_lost = False  # its end of the link is closed, though it may not be a zombie yet
        self._link: Link = Link(process.socket)
        self.namespaces: frozenset[str] = frozenset()  # that no sandbox may be in: its own and ours
        self.filters = 0  # that it is under, and so all that comes of it
        self._sending = trio.Lock()
        self._turns: collections.deque[trio.Event] = collections.deque()  # of those who wait

    async def start(self, plan: TemplatePlan, lookout: "Lookout", *, joins: bool) -> None:
        """Have it mount the root that its sandboxes share; `joins`: the base namespace, before.

        Raises SetupError with the errno.
        """
        if joins:
            await self._answer("the base user namespace")
        was_asked = self.process.mounted is plan
        await self._ask(None if was_asked else encode(plan), (), "the template's mounts")
        self.namespaces = await lookout.namespaces_around(self.process.pid)
        from sandbox.supervisor.probe import filters_of

        with contextlib.suppress(OSError):  # it is dead, which whoever asks it is told
            self.filters = filters_of(self.process.pid)

    @property
    def is_dead(self) -> bool:
        """Whether it answers no more."""
        return self._is_lost or self.process.is_dead()

    async def close(self) -> None:
        """End and reap it, and close our end once nobody waits there any more."""
        self._is_lost = True
        self.process.kill()
        turn = self._begin_turn()
        await turn.wait()  # those before see the end of the link
        self._link.close()
        self.process.close()

    async def spawn(
        self, plan: SpawnPlan, fds: tuple[int, ...], meanwhile: Callable[[], Awaitable[None]]
    ) -> tuple[int, int]:
        """Clone a sandbox; pid and pidfd of its init. fds: as sandbox/inside/init.py says."""
        request = b"s" + encode(plan)
        report, (pidfd,) = await self._ask(request, fds, "the clone", meanwhile, answer_fds=1)
        return report.first, pidfd

    async def open_binds(self, plan: BindsPlan) -> list[int]:
        """A detached tree for each bind of the plan, to be handed to init and closed."""
        request, count = b"b" + encode(plan), len(plan.binds)
        return (await self._ask(request, (), "the read-only inputs", answer_fds=count))[1]

    async def collect(self, plan: CollectPlan, fds: tuple[int, ...]) -> int:
        """Start a collector; its pidfd. fds: as sandbox/zygote/main.py says."""
        request = b"c" + encode(plan)
        _, (pidfd,) = await self._ask(request, fds, "the collector", answer_fds=1)
        return pidfd

    async def _ask(
        self,
        request: bytes | None,
        fds: tuple[int, ...],
        what: str,
        meanwhile: Callable[[], Awaitable[None]] | None = None,
        answer_fds: int = 0,
    ) -> tuple[Report, list[int]]:
        """The answer and its fds, which are so many. None: it was asked already. `meanwhile`: what
        there is to do while it works; what that raises is raised when the answer is there."""
        import trio

        # Not to be cancelled half way: the answer would be taken for that of the next request.
        with trio.CancelScope(shield=True, deadline=trio.current_time() + _ANSWER_SECONDS):
            turn = await self._send(request, fds, what)
            try:
                failure = None
                try:
                    if meanwhile is not None:
                        await meanwhile()
                except Exception as error:
                    failure = error
                if not turn.is_set():
                    await turn.wait()
                report, handed = await self._answer(what, answer_fds)
            finally:
                self._end_turn(turn)
            if failure is not None:
                _close(handed)
                raise failure
            return report, handed
        self._lose()
        raise ZygoteError(f"the zygote did not answer for {_ANSWER_SECONDS} s, and was killed")

    async def _send(self, request: bytes | None, fds: tuple[int, ...], what: str) -> "trio.Event":
        """Send it, before the zygote has done what others asked; set when the answer is due."""
        if self._sending.locked():
            await self._sending.acquire()
        else:
            self._sending.acquire_nowait()  # spares a turn of the scheduler
        try:
            if self._is_lost:
                raise ZygoteError(f"the zygote died before it had done {what}")
            if request is not None:
                await self._link.send(request, fds)
            return self._begin_turn()
        except OSError as error:
            self._lose()
            raise ZygoteError(f"the zygote does not answer: {error.strerror}") from error
        finally:
            self._sending.release()

    def _begin_turn(self) -> "trio.Event":
        import trio

        turn = trio.Event()
        self._turns.append(turn)
        self._turns[0].set()
        return turn

    def _end_turn(self, turn: "trio.Event") -> None:
        self._turns.remove(turn)
        if self._turns:
            self._turns[0].set()

    async def _answer(self, what: str, count: int = 0) -> tuple[Report, list[int]]:
        """That it is done, with so many fds. Raises why it is not."""
        try:
            answer = await self._link.receive()
        except OSError as error:
            if error.errno != errno.EMFILE:  # of which the link has told when all was received
                self._lose()
            raise
        if answer is None:
            self._lose()
            raise ZygoteError(f"the zygote died before it had done {what}; the job was not started")
        report, handed = answer
        try:
            _refuse_failure(report, what)
            if len(handed) != count:  # it is out of step, or not ours any more
                self._lose()
                raise ZygoteError(
                    f"the zygote answered with {len(handed)} fds where {count} were due ({what}), "
                    "and was killed"
                )
        except BaseException:
            _close(handed)
            raise
        return report, handed

    def _lose(self) -> None:
        """End it: what comes next might be the answer to what was asked before."""
        self._is_lost = True
        self.process.kill()


def _close(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)


def _refuse_failure(report: Report, what: str) -> None:
    if report.kind == Kind.READY:
        return
    step, code = STEPS.get(report.first, "?"), report.second
    if step == "user_namespace":
        raise HostError(
            f"this host allows no user namespace ({os.strerror(code)}); fix: see sandbox doctor"
        )
    if step == "clone" and code == errno.ESRCH:
        raise ZygoteError("the sandbox's init was killed before its id was mapped")
    raise SetupError(
        f"step {step} ({what}) failed: {os.strerror(code)}; no payload was started"
        f"{remedy(step, code)}"
    )
