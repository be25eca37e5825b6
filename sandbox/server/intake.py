"""What each tenant may cost us by sending: connections, memory for frames that are not whole yet,
and time to read them. One tenant's never holds up another's.
"""

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Coroutine, Generator
from types import coroutine
from typing import Any, TypeVar

import trio

from sandbox.spec.errors import RefusedError

__all__ = ["Intake", "TenantIntake"]

T = TypeVar("T")

_MOST_FRAMES = 256  # of FRAME_BYTES each, of all tenants; but everybody has one
_MOST_TENANT_FRAMES = 64
_TENANT_SHARE = 0.75  # of the connections
_HEAVY_SECONDS = 0.005  # at a stretch; who keeps us so long waits as long for the next message


class Intake:
    """All that the connections take together."""

    def __init__(self, most_connections: int) -> None:
        self.most_connections = most_connections
        self.connections = 0
        self.frames = 0
        self._tenants: dict[str, TenantIntake] = {}
        self._waiting: OrderedDict[TenantIntake, None] = OrderedDict()  # in turn

    def enter(self, tenant: str) -> "TenantIntake":
        """Count one more connection of a tenant. Raises RefusedError: there are too many.

        Who has none gets in over the bound on all, so that others' cannot shut him out.
        """
        known = self._tenants.get(tenant)
        most = max(1, int(self.most_connections * _TENANT_SHARE))
        if known is not None and known.connections >= most:
            raise RefusedError(f"busy: {most} connections of tenant {tenant}", 1.0)
        if known is not None and self.connections >= self.most_connections:
            raise RefusedError(f"busy: {self.connections} connections", 1.0)
        if known is None:
            known = self._tenants[tenant] = TenantIntake(tenant, self)
        known.connections += 1
        self.connections += 1
        return known

    def leave(self, intake: "TenantIntake") -> None:
        """Count it no more."""
        intake.connections -= 1
        self.connections -= 1
        if not intake.connections:
            del self._tenants[intake.tenant]

    def _note_waiting(self, intake: "TenantIntake") -> None:
        self._waiting[intake] = None

    def _pass_on(self) -> None:
        for intake in list(self._waiting):
            if intake._is_served():
                self._waiting.move_to_end(intake)
            if not intake.is_waiting:
                del self._waiting[intake]


class TenantIntake:
    """One tenant's part."""

    def __init__(self, tenant: str, whole: Intake) -> None:
        self.tenant = tenant
        self.connections = 0
        self.frames = 0
        self._whole = whole
        self._waiters: deque[trio.Event] = deque()
        self._free_at = 0.0
        self._turns = trio.StrictFIFOLock()

    # Memory

    @property
    def is_waiting(self) -> bool:
        """Whether a connection waits for room."""
        return bool(self._waiters)

    async def take_frame(self) -> None:
        """Wait until there is room for one frame, in the order of asking; then it is taken."""
        if not self._waiters and self._may_take():
            self._take()
            return
        event = trio.Event()
        self._waiters.append(event)
        self._whole._note_waiting(self)
        try:
            await event.wait()
        except BaseException:
            if event.is_set():
                self.give_back_frame()
            else:
                self._waiters.remove(event)
            raise

    def give_back_frame(self) -> None:
        """Let another have that room."""
        self.frames -= 1
        self._whole.frames -= 1
        self._whole._pass_on()

    def _may_take(self) -> bool:
        if not self.frames:
            return True
        return self.frames < _MOST_TENANT_FRAMES and self._whole.frames < _MOST_FRAMES

    def _take(self) -> None:
        self.frames += 1
        self._whole.frames += 1

    def _is_served(self) -> bool:
        if not self._waiters or not self._may_take():
            return False
        self._take()
        self._waiters.popleft().set()
        return True

    # Time

    @property
    def is_owing(self) -> bool:
        """Whether its connections have taken time that is not waited for yet."""
        return self._free_at > trio.current_time() or self._turns.locked()

    async def turn(self) -> None:
        """Wait until that is waited for, one connection after the other."""
        async with self._turns:  # each sees what the one before it has taken meanwhile
            await trio.sleep_until(self._free_at)

    def charge(self, seconds: float) -> None:
        """Note how long the service was kept from everybody else."""
        if seconds > _HEAVY_SECONDS:
            self._free_at = max(self._free_at, trio.current_time()) + seconds

    def metered(self, work: Callable[..., T], *values: Any) -> T:
        """Do `work` now, and charge for it."""
        started = time.perf_counter()
        try:
            return work(*values)
        finally:
            self.charge(time.perf_counter() - started)

    @coroutine
    def metered_steps(self, work: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
        """Await `work`, and charge for each stretch between two waits of it."""
        step: Callable[[Any], Any] = work.send
        value: Any = None
        while True:
            try:
                trap = self.metered(step, value)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            try:
                step, value = work.send, (yield trap)
            except BaseException as error:  # a cancellation, say
                step, value = work.throw, error
