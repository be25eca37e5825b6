"""Every system call of a supervisor and of all below it, by process and step; any of them made to
fail. ptrace(2), for x86-64.

A process has a role by how it came to be. Its step is the entry of the script that it executes
(init, stub), or the function of ours that it is in (where.py).
"""

import ctypes
import fcntl
import os
import signal
import struct
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from faults.test_kills import descendants
from faults.where import PROCESSES, Board

from sandbox.boundary.report import STEPS
from sandbox.inside.script import LATE_AT, SCRIPT_AT
from sandbox.kernel.processes import pidfd_send_signal

__all__ = ["VARIANT", "Call", "Hang", "Tracer"]

_SEIZE, _INTERRUPT, _SYSCALL, _CONT, _LISTEN = 0x4206, 0x4207, 24, 7, 0x4208
_GETREGS, _SETREGS, _PEEK, _GETEVENTMSG = 12, 13, 1, 0x4201
_EXITKILL = 0x100000
_OPTIONS = 1 | 2 | 4 | 8 | 16 | _EXITKILL  # TRACESYSGOOD, TRACEFORK, -VFORK, -CLONE, -EXEC
_FORK, _VFORK, _CLONE, _EXEC, _STOP = 1, 2, 3, 4, 128  # PTRACE_EVENT_*
_WALL = 0x40000000
_SYSCALL_STOP = signal.SIGTRAP | 0x80
_REGISTERS = struct.Struct("<27Q")  # struct user_regs_struct
_RBX, _RAX, _RDX, _RSI, _RDI, _ORIG_RAX = 5, 10, 12, 13, 14, 15
_ENOSYS = -38 & (1 << 64) - 1
_MASK = (1 << 64) - 1
_READ, _WRITE, _CLOSE, _EPOLL_CTL, _OPENAT, _FCNTL = 0, 1, 3, 233, 257, 72
VARIANT = 1000  # added to the number of a call
_ENTRY_BYTES = 64
_SERVE = 0x80000007
_GROUP_STOPS = (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


class Call(NamedTuple):
    """One system call of a run: the so many-th of its kind, in this role and step."""

    role: str
    step: str
    number: int
    count: int


def _variant(number: int, registers: tuple[int, ...]) -> int:
    """What is another call as to how it may fail: to register, to create, to copy an fd."""
    second, third = registers[_RSI], registers[_RDX]
    is_other = (
        (number == _EPOLL_CTL and second == 1)
        or (number == _OPENAT and third & os.O_CREAT)
        or (number == _FCNTL and second in (fcntl.F_DUPFD, fcntl.F_DUPFD_CLOEXEC))
    )
    return VARIANT if is_other else 0


class Hang(Exception):
    """What is traced did not answer in time."""


class _Tracee:
    def __init__(self, pid: int, role: str) -> None:
        self.pid, self.role = pid, role
        self.is_inside = False  # of a system call
        self.saved: bytes | None = None  # registers of a call that is made to fail
        self.writes_to = -1  # the fd, while it writes


def _role_of(pid: int, name: str) -> str:
    """Of a process that is there already, or that executes another program from now on."""
    if name == "init" or name.startswith("stub-"):
        return name[:4]
    if name in ("sandbox-zygote", "sandbox-lookout"):
        return name.removeprefix("sandbox-")
    try:
        line = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return "helper"
    return "keeper" if b"sandbox.keeper.keeper" in line else "helper"


def _parent(pid: int) -> int:
    try:
        return int(
            Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[1]
        )
    except OSError:
        return 0


class Tracer:
    """Traces what it is attached to, until that ends. All calls from one thread."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._tracees: dict[int, _Tracee] = {}
        self._unknown: dict[int, int] = {}  # stopped before we heard of their birth: their status
        self._registers = ctypes.create_string_buffer(_REGISTERS.size)
        self.seen: list[Call] = []
        self.alive: dict[Call, frozenset[str]] = {}  # the roles that there were, at some of them
        self._counts: Counter[tuple[str, str, int]] = Counter()
        self._target: Call | None = None
        self._act: Callable[[], int | None] = lambda: None
        self.hit: Call | None = None  # the call that was made to fail
        self._answer_fd = -1
        self.has_answered = False

    def attach(self, pid: int, answer_fd: int) -> None:
        """Trace this supervisor and all below it; what it writes to `answer_fd` is an answer."""
        self._answer_fd = answer_fd
        for each, name in {pid: "", **descendants(pid)}.items():
            self._ptrace(_SEIZE, each, 0, _OPTIONS)
            self._ptrace(_INTERRUPT, each, 0, 0)  # from here on it stops
            tracee = _Tracee(each, "supervisor" if each == pid else _role_of(each, name))
            self._tracees[each] = tracee

    def begin(self, target: Call | None, act: Callable[[], int | None] = lambda: None) -> None:
        """A new run. At `target`, `act` is called, and the call fails with the errno it returns."""
        self.seen, self.alive, self._counts = [], {}, Counter()
        self._steps: set[tuple[str, str]] = set()
        self._target, self.hit = target, None
        self._act = act
        self.has_answered = False

    def kill_role(self, role: str) -> None:
        """Kill every process of a role."""
        for tracee in list(self._tracees.values()):
            if tracee.role == role:
                self._signal(tracee.pid, signal.SIGKILL)

    def run_until_answer(self, seconds: float) -> bool:
        """Let it run; True: it has answered; False: it has ended. Raises Hang."""
        return self._run(seconds, lambda: self.has_answered)

    def run_to_end(self, seconds: float) -> None:
        """Let it run until all of it has ended. Raises Hang."""
        self._run(seconds, lambda: False)

    def kill(self) -> None:
        """End and reap everything."""
        for pid in list(self._tracees):
            self._signal(pid, signal.SIGKILL)
        self.run_to_end(60)

    def _run(self, seconds: float, is_done: Callable[[], bool]) -> bool:
        def too_late(*_: object) -> None:
            raise Hang

        before = signal.signal(signal.SIGALRM, too_late)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            while not is_done():
                if not self._tracees:
                    return False
                try:
                    pid, status = os.waitpid(-1, _WALL)
                except ChildProcessError:
                    self._tracees.clear()
                    return False
                self._handle(pid, status)
            return True
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)

    def _handle(self, pid: int, status: int) -> None:
        tracee = self._tracees.get(pid)
        if os.WIFEXITED(status) or os.WIFSIGNALED(status):
            self._tracees.pop(pid, None)
            self._unknown.pop(pid, None)
            self._adopt_orphans()
            return
        if tracee is None:  # its parent's stop, which says what it is, comes soon
            self._unknown[pid] = status
            self._adopt_orphans()
            return
        number, event = os.WSTOPSIG(status), status >> 16
        how = _CONT if tracee.role == "payload" else _SYSCALL
        try:
            if number == _SYSCALL_STOP:
                self._at_call(tracee)
                self._ptrace(how, pid, 0, 0)
            elif event == _STOP:
                is_group_stop = number in _GROUP_STOPS
                self._ptrace(_LISTEN if is_group_stop else how, pid, 0, 0)
            elif event in (_FORK, _VFORK, _CLONE):
                self._born(tracee, event)
                self._ptrace(how, pid, 0, 0)
            elif event == _EXEC:
                self._executed(tracee)
                how = _CONT if tracee.role == "payload" else _SYSCALL
                self._ptrace(how, pid, 0, 0)
            else:
                self._ptrace(how, pid, 0, number)
        except ProcessLookupError:
            pass  # it was killed; its end is told next

    def _adopt_orphans(self) -> None:
        """Those whose parent was killed before it told of their birth."""
        for pid, status in list(self._unknown.items()):
            if _parent(pid) not in self._tracees:
                del self._unknown[pid]
                self._tracees[pid] = _Tracee(pid, "other")
                self._handle(pid, status)

    def _born(self, parent: _Tracee, event: int) -> None:
        child = ctypes.c_ulong()
        self._ptrace(_GETEVENTMSG, parent.pid, 0, ctypes.addressof(child))
        pid = child.value
        if event == _CLONE and parent.role == "keeper":  # by CLONE_PARENT
            role = self._board.forked
        elif event == _CLONE:  # by CLONE_THREAD, or whatever else has no SIGCHLD
            role = parent.role if parent.role == "payload" else "thread"
        else:
            role = {
                ("zygote", _VFORK): "init",
                ("zygote", _FORK): "collector",
                ("init", _FORK): "stub",
                ("supervisor", _VFORK): "launch",
                ("supervisor", _FORK): "launch",
                ("thread", _VFORK): "launch",
                ("thread", _FORK): "launch",
            }.get((parent.role, event), "payload" if parent.role == "payload" else "other")
        self._tracees.setdefault(pid, _Tracee(pid, role)).role = role
        if pid in self._unknown:
            self._handle(pid, self._unknown.pop(pid))

    def _executed(self, tracee: _Tracee) -> None:
        if tracee.role == "stub":
            tracee.role = "payload"
        elif tracee.role == "launch":
            tracee.role = _role_of(tracee.pid, "")

    def _at_call(self, tracee: _Tracee) -> None:
        if tracee.is_inside:
            tracee.is_inside = False
            if tracee.saved is not None:
                self._set_registers(tracee.pid, tracee.saved)
                tracee.saved = None
            elif tracee.role == "supervisor" and tracee.writes_to == self._answer_fd:
                self.has_answered = True
            tracee.writes_to = -1
            return
        self._ptrace(_GETREGS, tracee.pid, 0, ctypes.addressof(self._registers))
        registers = _REGISTERS.unpack(self._registers.raw)
        if registers[_RAX] != _ENOSYS:
            return  # the end of a clone, in the child
        tracee.is_inside = True
        number = registers[_ORIG_RAX]
        if tracee.role == "supervisor" and number == _WRITE:
            tracee.writes_to = registers[_RDI]
        if self._board.is_counted:
            self._count(tracee, number, registers)

    def _count(self, tracee: _Tracee, number: int, registers: tuple[int, ...]) -> None:
        number += _variant(number, registers)
        key = (tracee.role, self._step(tracee, registers), number)
        self._counts[key] += 1
        call = Call(*key, self._counts[key])
        self.seen.append(call)
        if key[:2] not in self._steps:
            self._steps.add(key[:2])
            self.alive[call] = frozenset(each.role for each in self._tracees.values())
        if call != self._target or self.hit is not None:
            return
        self.hit = call
        code = self._act()
        if code is not None:
            failed = list(registers)
            failed[_RAX] = -code & _MASK
            tracee.saved = _REGISTERS.pack(*failed)
            if number != _CLOSE:  # which frees the fd whatever it returns, close(2)
                # Instead of it, one that every filter allows and that does nothing.
                changed = list(registers)
                changed[_ORIG_RAX], changed[_RDI] = _READ, _MASK
                self._set_registers(tracee.pid, _REGISTERS.pack(*changed))

    def _step(self, tracee: _Tracee, registers: tuple[int, ...]) -> str:
        if tracee.role in PROCESSES:
            return self._board.place(tracee.role)
        if tracee.role not in ("init", "stub"):
            return ""
        at = registers[_RBX]
        for start in (SCRIPT_AT, LATE_AT):
            if start + 8 <= at < start + 0x100000 and (at - start - 8) % _ENTRY_BYTES == 0:
                ctypes.set_errno(0)
                word = _libc.ptrace(_PEEK, tracee.pid, at, 0) & _MASK
                if word & 0xFFFFFFFF == _SERVE:
                    return "serve"
                return STEPS.get(word >> 32 & 0xFF, "script")
        return "birth" if at < SCRIPT_AT or at > LATE_AT + 0x2000000 else "script"

    def _set_registers(self, pid: int, content: bytes) -> None:
        self._registers.raw = content
        self._ptrace(_SETREGS, pid, 0, ctypes.addressof(self._registers))

    @staticmethod
    def _signal(pid: int, number: int) -> None:
        try:
            pidfd = os.pidfd_open(pid)
        except OSError:
            return
        try:
            pidfd_send_signal(pidfd, number)
        except ProcessLookupError:
            pass
        finally:
            os.close(pidfd)

    @staticmethod
    def _ptrace(request: int, pid: int, address: int, data: int) -> None:
        if _libc.ptrace(request, pid, address, data) == -1:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
