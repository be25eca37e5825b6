"""A template as the supervisor has it: its planner, and a zygote that has it mounted."""

import contextlib
import functools
import itertools
import os
from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

from sandbox.boundary.plan import Bind, BindsPlan, CollectPlan
from sandbox.spec.errors import SandboxError, ZygoteError
from sandbox.spec.job import Job
from sandbox.spec.limits import Limits
from sandbox.supervisor.cgroup import JobCgroup
from sandbox.supervisor.planner import Planner, Shape, TemplateKey, disk_of
from sandbox.supervisor.sandbox import Sandbox
from sandbox.supervisor.startup import Ground
from sandbox.supervisor.zygote import Zygote, ZygoteProcess

__all__ = ["Template"]

_TRIES = 3  # of what a zygote is asked for that dies meanwhile
_FORK_SECONDS = 30
_LOOK_SECONDS = 0.1
_Answer = TypeVar("_Answer")
_names = itertools.count(1)  # of cgroups: unique in this process


class Template:
    """Builds the sandboxes of one root and policy; brings up another zygote where one dies."""

    def __init__(
        self,
        key: TemplateKey,
        job: Job,
        binds: tuple[Bind, ...],
        ground: Ground,
        endings: trio.Nursery,
        zygote_died: "Callable[[Template], None]",
    ) -> None:
        """Raises SpecError or HostError: no job of this key can run here."""
        self.key = key
        self.planner = ground.planner(key) or Planner(job, binds, key.policy, ground.backend)
        self.is_retired = False  # for the jobs that it has, and no others
        self.is_closed = False  # for no job at all
        self._host = _host_state(key)
        self._ground = ground
        self._endings = endings
        self._zygote_died = zygote_died
        self._zygote: Zygote | None = None
        self._starting = trio.Lock()

    async def zygote(self) -> Zygote:
        """The zygote, started now where there is none. Raises SetupError, ZygoteError, …"""
        if self._zygote is not None and not self._zygote.is_dead:
            return self._zygote  # without a turn of the scheduler, as the lock takes one
        async with self._starting:
            if self._zygote is None or self._zygote.is_dead:
                ground = self._ground
                spare = ground.take_spare(self.planner)
                process = spare or ground.keeper.zygote(ground.base_fd)
                try:
                    if spare is None:  # it is forked first
                        with trio.move_on_after(_FORK_SECONDS):
                            await trio.lowlevel.wait_readable(process.socket)
                    zygote = Zygote(process)
                    await zygote.start(self.planner.template, ground.lookout, joins=spare is None)
                    if self.is_closed:
                        raise ZygoteError("the template was closed while its zygote started")
                except BaseException:
                    process.close()
                    raise
                self._zygote = zygote
                self._endings.start_soon(self._watch, zygote)
            return self._zygote

    async def build(self, shape: Shape, limits: Limits, *, disk_apart: bool) -> Sandbox:
        """A new sandbox, parked. Raises SetupError, …; then nothing is left of it."""

        async def build_by(zygote: Zygote) -> Sandbox:
            sandbox = Sandbox(self.planner, shape, disk_of(limits), self._ground.lookout)
            make_cgroup = functools.partial(self._make_cgroup, limits, disk_apart=disk_apart)
            try:
                if self._ground.identities is not None:
                    sandbox.lease = self._ground.identities.lease()
                await sandbox.build(zygote, make_cgroup)
            except BaseException:
                await sandbox.destroy()
                raise
            return sandbox

        # A sandbox dies with its zygote while it is built. No job has seen either.
        return await self._ask(build_by)

    def is_stale(self) -> bool:
        """Whether what it was mounted from has changed: a changed lower layer is undefined."""
        return self._host != _host_state(self.key)

    async def open_binds(self, plan: BindsPlan) -> list[int]:
        """See `Zygote.open_binds`."""
        return await self._ask(lambda zygote: zygote.open_binds(plan))

    async def collect(self, plan: CollectPlan, fds: tuple[int, ...]) -> int:
        """See `Zygote.collect`. Any zygote can, not only the one that the sandbox came from."""
        return await self._ask(lambda zygote: zygote.collect(plan, fds))

    def close(self) -> None:
        """End the zygote, some time later, and start no other: no job uses it any more."""
        self.is_retired = self.is_closed = True
        if self._zygote is not None:
            self._zygote.process.kill()

    async def _ask(self, request: Callable[[Zygote], Awaitable[_Answer]]) -> _Answer:
        """Ask the zygote, or the next one where that dies meanwhile."""
        for left in reversed(range(_TRIES)):
            zygote = None
            try:
                zygote = await self.zygote()
                return await request(zygote)
            except SandboxError as error:
                died = isinstance(error, ZygoteError) if zygote is None else zygote.is_dead
                if not (left and died) or self.is_closed:
                    raise
        raise AssertionError  # the last try has raised

    def _make_cgroup(self, limits: Limits, *, disk_apart: bool) -> JobCgroup:
        return self._ground.backend.create(
            f"job-{next(_names)}",
            limits,
            disk_apart=disk_apart,
            shown=self.key.policy.cgroup_files,
        )

    async def _watch(self, zygote: Zygote) -> None:
        """Notice its death at once, and have another one ready before a job asks for it."""
        with trio.CancelScope(shield=True):  # it is killed, at the latest when all is closed
            await _ended(zygote.process)
            await zygote.close()
            if self._zygote is zygote:
                self._zygote = None
        if not self.is_retired:
            self._zygote_died(self)
            # Whoever needs one will be told.
            with contextlib.suppress(SandboxError, OSError, MemoryError):
                await self.zygote()


async def _ended(process: ZygoteProcess) -> None:
    try:
        pidfd = os.pidfd_open(process.pid)
        try:
            await trio.lowlevel.wait_readable(pidfd)
        finally:
            os.close(pidfd)
    except OSError:  # there is no fd for that, or no room to wait for one more
        while not process.is_dead():
            await trio.sleep(_LOOK_SECONDS)


def _host_state(key: TemplateKey) -> tuple[object, ...]:
    """What changes when the root's packages do."""
    root = "" if key.root is None else os.fspath(key.root)
    names = [
        "",
        "/usr",
        "/usr/bin",
        "/usr/lib",
        "/var/lib/dpkg/status",
        "/var/lib/rpm",
        "/lib/apk/db",
    ]
    found: list[object] = []
    for name in names[0 if root else 1 :]:
        try:
            state = os.stat(root + name)
            found.append((state.st_dev, state.st_ino, state.st_mtime_ns))
        except OSError:
            found.append(None)
    return tuple(found)
