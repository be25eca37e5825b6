"""Pid 1 of a sandbox: builds the view, parks the stub, reaps, and ends when its supervisor does."""

from __future__ import annotations

import _signal
import fcntl
import gc
import os
import select

from sandbox.boundary.channel import LENGTH, Channel
from sandbox.boundary.plan import LatePlan, decode
from sandbox.boundary.report import Kind, Report
from sandbox.boundary.report import Step as Code
from sandbox.inside.birth import Birth
from sandbox.inside.identity import (
    forbid_new_privileges,
    keep_mount_rights,
    mount_rights_only,
    privileges_forbidden,
    status,
)
from sandbox.inside.steps import Step, raise_walls, run_to_end
from sandbox.inside.stub import IDENTITY_STEPS
from sandbox.inside.view import LATE_STEPS, VIEW_STEPS, LateView, View
from sandbox.kernel.confinement import seccomp_load
from sandbox.kernel.processes import (
    CLONE_NEWCGROUP,
    PR_GET_DUMPABLE,
    PR_SET_DUMPABLE,
    PR_SET_PDEATHSIG,
    close_range,
    prctl,
    setns,
    signalfd,
)

__all__ = ["NAMESPACES", "Sandbox", "own_namespaces", "run_init"]

NAMESPACES = (b"user", b"mnt", b"pid", b"net", b"ipc", b"uts")
_TIOCSPTLCK = 0x40045431  # <asm-generic/ioctls.h>: unlock the slave, as unlockpt(3)


def own_namespaces() -> dict[bytes, bytes]:
    """The identity of each namespace that this process is in. namespaces(7)."""
    return {name: os.readlink(b"/proc/self/ns/" + name) for name in NAMESPACES}


class Sandbox:
    """What init builds, around the stub that has been forked already."""

    def __init__(self, birth: Birth) -> None:
        self.plan = birth.plan
        self.outside = birth.namespaces
        self.control = Channel(birth.control_fd)
        self.parked = Channel(birth.parked_fd)
        self.payload_cgroup_ns_fd = -1

    def namespaces_are_new(self) -> bool:
        return not set(self.outside.values()) & set(own_namespaces().values())

    def clocks_shifted(self) -> bool:
        if self.plan.time_offsets is None:
            return True
        with open(b"/proc/self/timens_offsets", "rb") as file:
            return file.read().split() == self.plan.time_offsets.split()

    def join_payload_cgroup_namespace(self) -> None:
        # A cgroup mount shows what its maker's namespace shows.
        setns(self.payload_cgroup_ns_fd, CLONE_NEWCGROUP)

    def shares_payload_cgroup_namespace(self) -> bool:
        own, payload = os.stat(b"/proc/self/ns/cgroup"), os.fstat(self.payload_cgroup_ns_fd)
        return own.st_ino == payload.st_ino

    def become_unreadable(self) -> None:
        prctl(PR_SET_DUMPABLE, 0)

    def is_unreadable(self) -> bool:
        return prctl(PR_GET_DUMPABLE) == 0

    def filter_own_syscalls(self) -> None:
        prctl(PR_SET_PDEATHSIG, 0)  # all is built: from here on a job outlives its zygote
        seccomp_load(self.plan.init_filter, listener=False)

    def own_syscalls_filtered(self) -> bool:
        return status()[b"Seccomp"] == b"2"

    def network_is_empty(self) -> bool:
        # Born with nothing but lo, which is down: then it has no address either.
        with open(b"/proc/self/net/dev", "rb") as file:
            names = [line.split(b":")[0].strip() for line in file.read().splitlines()[2:]]
        with open(b"/proc/self/net/fib_trie", "rb") as file:
            return names == [b"lo"] and not file.read().strip()


def _nothing(_sandbox: Sandbox) -> None:
    """Built by the clone itself, or by the zygote before it; only to be verified."""


_BIRTH_STEPS = (
    Step(Code.NAMESPACES, _nothing, Sandbox.namespaces_are_new),
    Step(Code.TIME_NAMESPACE, _nothing, Sandbox.clocks_shifted),
)
_LAST_STEPS = (
    Step(Code.NETWORK, _nothing, Sandbox.network_is_empty),
    Step(Code.DUMPABLE, Sandbox.become_unreadable, Sandbox.is_unreadable),
    Step(Code.INIT_CAPABILITIES, keep_mount_rights, mount_rights_only),
    Step(Code.NO_NEW_PRIVILEGES, forbid_new_privileges, privileges_forbidden),
    Step(Code.INIT_FILTER, Sandbox.filter_own_syscalls, Sandbox.own_syscalls_filtered),
)
_CGROUP_STEPS = (
    Step(
        Code.CGROUP_NAMESPACE,
        Sandbox.join_payload_cgroup_namespace,
        Sandbox.shares_payload_cgroup_namespace,
    ),
)


def run_init(birth: Birth, stub_pid: int, stub_pidfd: int) -> None:
    """Build the sandbox and serve it to its end. Never returns: its exit kills all inside."""
    gc.disable()  # nothing that lives this long is worth the search
    sandbox = Sandbox(birth)

    def life() -> None:
        os.close(birth.report_fd)
        os.close(birth.parking_fd)
        birth.wait_until_mapped()
        _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
        _signal.pthread_sigmask(_signal.SIG_BLOCK, (_signal.SIGCHLD,))
        children_fd = signalfd(_signal.SIGCHLD)
        handed = (stub_pidfd, *_build(sandbox))
        sandbox.control.send(Report(Kind.READY, stub_pid).pack(), handed)
        _keep_only(birth.control_fd, children_fd, birth.lease_fd)
        _serve(sandbox, stub_pid, children_fd)

    run_to_end(life, sandbox.control.send)


def _build(sandbox: Sandbox) -> tuple[int, ...]:
    """Raise every wall of the sandbox; the fds that its supervisor needs of it."""
    plan = sandbox.plan
    # While it builds it does not listen: it dies with the zygote, which dies with the supervisor.
    prctl(PR_SET_PDEATHSIG, _signal.SIGKILL)
    raise_walls(_BIRTH_STEPS, sandbox)
    if plan.cgroup_mounts:
        # EOFError instead of an answer: the stub has failed, and sent its own report.
        _, (sandbox.payload_cgroup_ns_fd,) = sandbox.parked.receive()
        raise_walls(_CGROUP_STEPS, sandbox)
    raise_walls(IDENTITY_STEPS, plan)
    prctl(PR_SET_PDEATHSIG, _signal.SIGKILL)  # the new uid has cleared it, prctl(2)
    raise_walls(VIEW_STEPS, View(plan))
    terminal = (_open_terminal(),) if plan.terminal else ()
    sandbox.parked.send(LENGTH.pack(0))  # the stub may go on: what it sees is final
    handed = (
        os.open(b"/proc/self/ns/user", os.O_RDONLY),
        os.open(b"/proc/self/ns/mnt", os.O_RDONLY),
        os.open(b"/tmp", os.O_PATH),  # for statfs only: how full the scratch space is
        *terminal,
    )
    raise_walls(_LAST_STEPS, sandbox)
    return handed


def _open_terminal() -> int:
    """The master of a new pseudo-terminal in the sandbox's own devpts: always number 0."""
    master_fd = os.open(b"/dev/pts/ptmx", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    fcntl.ioctl(master_fd, _TIOCSPTLCK, bytes(4))
    return master_fd


def _serve(sandbox: Sandbox, stub_pid: int, children_fd: int) -> None:
    """Reap, report and take orders, until the supervisor closes its end (EOFError)."""
    control, late = sandbox.control, LateView(sandbox.plan)
    poll = select.poll()
    poll.register(control.fileno(), select.POLLIN)
    poll.register(children_fd, select.POLLIN)
    is_empty = False
    while True:
        ready = [fd for fd, _ in poll.poll()]
        if children_fd in ready:
            os.read(children_fd, 4096)
        if control.fileno() in ready:
            order, fds = control.receive()
            if order[:1] == b"l":
                late.take(decode(LatePlan, order[1:]), fds)
                raise_walls(LATE_STEPS, late)
                control.send(Report(Kind.READY).pack())
            else:
                # Atomic against forks: a child is not born to a parent with a pending SIGKILL.
                try:
                    os.kill(-1, _signal.SIGKILL)
                except ProcessLookupError:
                    pass  # nobody is left
        reports = b""
        try:
            while dead := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                if dead.si_pid == stub_pid:
                    reports += _payload_report(dead, sandbox.plan.stub_name)
                os.waitpid(dead.si_pid, 0)
        except ChildProcessError:
            if not is_empty:  # nobody is left, so nobody is ever born again
                reports += Report(Kind.EMPTY).pack()
                is_empty = True
        if reports:
            control.send(reports)


def _payload_report(dead: os.waitid_result, stub_name: bytes) -> bytes:
    """How the payload ended. Its name is still there (a zombie has one, proc_pid_comm(5)), and
    while it is the stub's random one, exec never happened; but the stub never ends well."""
    signaled = dead.si_code != os.CLD_EXITED
    executed = not signaled and dead.si_status == 0
    if not executed:
        comm_fd = os.open(b"/proc/%d/comm" % dead.si_pid, os.O_RDONLY | os.O_CLOEXEC)
        executed = os.read(comm_fd, 64).rstrip(b"\n") != stub_name
        os.close(comm_fd)
    return Report(Kind.EXITED, int(signaled), dead.si_status, int(executed)).pack()


def _keep_only(*fds: int) -> None:
    """Close every fd but these; standard error was for a crash during the build."""
    low = 0
    for fd in sorted(fds):
        if low < fd:
            close_range(low, fd - 1)
        low = fd + 1
    close_range(low)
