"""Sandboxes parked ahead of their jobs: a submit then waits for no clone, mount or filter."""

import collections
import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import trio

from sandbox.spec.errors import SandboxError
from sandbox.spec.limits import Limits
from sandbox.supervisor.cgroup.bandwidth import CORES
from sandbox.supervisor.planner import Shape
from sandbox.supervisor.sandbox import Sandbox
from sandbox.supervisor.template import Template

__all__ = ["Budget", "Line", "Pool"]

AFTERWARDS_SECONDS = 0.002  # after a job's end, for its caller to hear of it
SANDBOX_BYTES = 1 << 20  # nearly all of it the kernel's own, for namespaces, mounts and cgroups
# Without a start or an end of a job: those that run take longer than a sandbox takes to be built.
_QUIET_SECONDS = 0.005
_WINDOW_SECONDS = 30.0  # demand is remembered for one to two of them
_LOOK_SECONDS = 1.0
_FAILURE_SECONDS = (1.0, 60.0)  # after the first failure to build one, and at most


@dataclass(frozen=True, slots=True)
class Budget:
    """What parked sandboxes may cost."""

    memory_bytes: int = 64 << 20
    age_seconds: float = 300.0  # an older one is dropped
    least_free_bytes: int = 256 << 20  # with less memory available on the host all are dropped

    @property
    def sandboxes(self) -> int:
        """How many may be parked."""
        return self.memory_bytes // SANDBOX_BYTES


class Line:
    """The parked sandboxes of one template and shape, and what jobs asked of them."""

    def __init__(self, template: Template, shape: Shape) -> None:
        self.template, self.shape = template, shape
        self.idle: collections.deque[Sandbox] = collections.deque()
        self.coming = 0  # being built, to be parked
        self.limits: Limits | None = None  # of the last job: what the next ones are built with
        self.disk_apart = False
        self.used_at = time.monotonic()
        self.in_use = 0
        self._peaks = [0, 0]  # jobs at once, in the last window and in this one
        self._window_ends_at = 0.0
        self._failures = 0
        self._retry_at = 0.0

    def begin(self, limits: Limits, *, disk_apart: bool) -> None:
        """A job runs or waits."""
        self.limits, self.disk_apart = limits, disk_apart
        self.used_at = time.monotonic()
        self.in_use += 1
        self._turn_window()
        self._peaks[1] = max(self._peaks[1], self.in_use)

    def is_short(self) -> bool:
        """Whether fewer are parked than jobs were lately there at once."""
        self._turn_window()
        if self.template.is_retired or time.monotonic() < self._retry_at:
            return False
        return self.count() < max(self._peaks)

    def count(self) -> int:
        """How many are parked, or soon will be."""
        return len(self.idle) + self.coming

    async def refill(self) -> None:
        """Park one more. What goes wrong is told to the next job, which tries for itself."""
        assert self.limits is not None
        try:
            sandbox = await self.template.build(self.shape, self.limits, disk_apart=self.disk_apart)
        except (SandboxError, OSError, MemoryError):
            self._failures += 1
            pause = _FAILURE_SECONDS[0] * 2.0 ** (self._failures - 1)
            self._retry_at = time.monotonic() + min(pause, _FAILURE_SECONDS[1])
        else:
            self._failures = 0
            self.idle.append(sandbox)

    def _turn_window(self) -> None:
        now = time.monotonic()
        if now >= self._window_ends_at:
            is_old = now >= self._window_ends_at + _WINDOW_SECONDS
            self._peaks = [0 if is_old else self._peaks[1], self.in_use]
            self._window_ends_at = now + _WINDOW_SECONDS


class Pool:
    """Every line, within one budget. Refills in idle time only."""

    def __init__(self, budget: Budget, dispose: Callable[[Sandbox], None]) -> None:
        """`dispose`: destroys a sandbox some time later."""
        self._budget = budget
        self._dispose = dispose
        self._lines: dict[tuple[Template, Shape], Line] = {}
        self._busy = 0
        self._moved_at = 0.0
        self._moved = trio.Event()
        self._wake = trio.Event()
        self._filled = trio.Event()

    @property
    def idle(self) -> int:
        """How many are parked now."""
        return sum(len(line.idle) for line in self._lines.values())

    def line(self, template: Template, shape: Shape) -> Line:
        """The line for such jobs."""
        key = (template, shape)
        if key not in self._lines:
            self._lines[key] = Line(template, shape)
        return self._lines[key]

    @contextlib.contextmanager
    def in_use(self, line: Line, limits: Limits, *, disk_apart: bool) -> Iterator[None]:
        """A job of this line runs or waits for as long as this lasts."""
        line.begin(limits, disk_apart=disk_apart)
        self._move(1)
        try:
            yield
        finally:
            line.in_use -= 1
            self._move(-1)
            self._change()

    def take(self, line: Line) -> Sandbox | None:
        """A parked sandbox that still is what it was when it was verified, or None."""
        while line.idle:
            sandbox = line.idle.pop()
            if sandbox.is_sound():
                return sandbox
            self._dispose(sandbox)
        return None

    def drop(self, template: Template | None = None) -> None:
        """Drop what is parked of one template, or everything."""
        for (owner, _), line in self._lines.items():
            if template is None or owner is template:
                self._empty(line)
        self._change()
        self._lines = {key: line for key, line in self._lines.items() if not key[0].is_closed}

    def is_used(self, template: Template) -> bool:
        """Whether a job of this template runs or waits."""
        return any(line.in_use for (owner, _), line in self._lines.items() if owner is template)

    async def filled(self) -> None:
        """Wait until as many are parked as are lately used and may be."""
        if self._budget.sandboxes:
            self._wake.set()
            await self._filled.wait()

    async def keep_filled(self) -> None:
        """Refill, and drop what is old or too much; runs for as long as the supervisor does."""
        while True:
            self._wake = trio.Event()
            if self._is_memory_short():
                for line in self._lines.values():
                    self._empty(line)
            else:
                self._retire()
                await self._refill()
            self._filled.set()
            with trio.move_on_after(_LOOK_SECONDS if self._lines else float("inf")):
                await self._wake.wait()
                await trio.sleep(AFTERWARDS_SECONDS)

    async def _refill(self) -> None:
        while self._next_line() is not None:
            if (seconds := self._seconds_to_quiet()) > 0:
                self._moved = trio.Event()
                with trio.move_on_after(seconds):
                    await self._moved.wait()
                continue
            async with trio.open_nursery() as nursery:
                # Beside a job on one core, else on all of them: one alone waits half of its time.
                for _ in range(1 if self._busy else CORES):
                    if (line := self._next_line()) is not None:
                        line.coming += 1
                        nursery.start_soon(self._park, line)

    def _next_line(self) -> Line | None:
        """The one to be refilled first, for which there is room, or is made."""
        line = next((line for line in self._by_use() if line.is_short()), None)
        if line is None or (self._count() >= self._budget.sandboxes and not self._make_room(line)):
            return None
        return line

    async def _park(self, line: Line) -> None:
        try:
            await line.refill()
        finally:
            line.coming -= 1
        if line.template.is_retired:
            self._empty(line)

    def _change(self) -> None:
        """There may be something to refill."""
        if self._filled.is_set():  # else somebody may wait for this one
            self._filled = trio.Event()
        self._wake.set()

    def _move(self, jobs: int) -> None:
        """Jobs have begun, or ended."""
        self._busy += jobs
        self._moved_at = trio.current_time()
        self._moved.set()

    def _seconds_to_quiet(self) -> float:
        """Until a core is free for this, if no job begins or ends; 0: one is. A refill beside
        short jobs doubles their latency."""
        if self._busy == 0:
            return 0.0
        if self._busy >= CORES:
            return float("inf")
        return max(0.0, self._moved_at + _QUIET_SECONDS - trio.current_time())

    def _by_use(self) -> list[Line]:
        return sorted(self._lines.values(), key=lambda line: line.used_at, reverse=True)

    def _make_room(self, line: Line) -> bool:
        """Drop one of the line that was not used for longest, if that is another one."""
        oldest = next((x for x in reversed(self._by_use()) if x.idle), None)
        if oldest is None or oldest.used_at >= line.used_at:
            return False
        self._dispose(oldest.idle.popleft())
        return True

    def _retire(self) -> None:
        now = time.monotonic()
        for line in self._lines.values():
            while line.idle and now - line.idle[0].built_at > self._budget.age_seconds:
                self._dispose(line.idle.popleft())
            if now - line.used_at > self._budget.age_seconds:
                self._empty(line)
        self._lines = {
            key: line
            for key, line in self._lines.items()
            if line.in_use or now - line.used_at <= self._budget.age_seconds
        }

    def _empty(self, line: Line) -> None:
        while line.idle:
            self._dispose(line.idle.pop())

    def _count(self) -> int:
        return sum(line.count() for line in self._lines.values())

    def _is_memory_short(self) -> bool:
        try:
            with open("/proc/meminfo") as file:  # proc_meminfo(5)
                for line in file:
                    if line.startswith("MemAvailable:"):
                        return int(line.split()[1]) * 1024 < self._budget.least_free_bytes
        except FileNotFoundError:  # subset=pid; this leaves out what can be freed
            free_bytes = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
            return free_bytes < self._budget.least_free_bytes
        except (OSError, MemoryError):  # no fd, say: what is parked holds some
            return True
        return False
