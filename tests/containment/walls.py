"""One job in one process, with any wall taken away: what the containment tests are made of.

A wall is taken away in the zygote that the test starts (its `build` does nothing, its `holds` says
yes) and in the supervisor's last look, so that the attack is all that can tell.
"""

import struct
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import pyseccomp
import pytest

from sandbox.cli.inprocess import run_job
from sandbox.spec.job import Job
from sandbox.spec.policy import Policy, SyscallRule
from sandbox.spec.result import Result
from sandbox.supervisor import planner, probe, sandbox, zygote
from sandbox.supervisor.seccomp import Filter

__all__ = [
    "ALLOW_ALL", "SHOWS_ALL", "STEPS", "attack", "mutated", "without", "without_filter",
    "without_namespace", "without_rlimits",
]  # fmt: skip

# step -> the module and the table that it stands in
STEPS = {
    "namespaces": ("sandbox.inside.init", "_BIRTH_STEPS"),
    "time_namespace": ("sandbox.inside.init", "_BIRTH_STEPS"),
    "network": ("sandbox.inside.init", "_LAST_STEPS"),
    "dumpable": ("sandbox.inside.init", "_LAST_STEPS"),
    "init_capabilities": ("sandbox.inside.init", "_LAST_STEPS"),
    "init_filter": ("sandbox.inside.init", "_LAST_STEPS"),
    "cgroup_payload": ("sandbox.inside.stub", "PLACE_STEPS"),
    "cgroup_namespace": ("sandbox.inside.stub", "PLACE_STEPS"),
    "identity": ("sandbox.inside.stub", "IDENTITY_STEPS"),
    "capabilities": ("sandbox.inside.stub", "RIGHTS_STEPS"),
    "no_new_privileges": ("sandbox.inside.stub", "RIGHTS_STEPS"),
    "hostname": ("sandbox.inside.init", "VIEW_STEPS"),
    "root": ("sandbox.inside.init", "VIEW_STEPS"),
    "scratch": ("sandbox.inside.init", "VIEW_STEPS"),
    "proc": ("sandbox.inside.init", "VIEW_STEPS"),
    "devices": ("sandbox.inside.init", "VIEW_STEPS"),
    "cgroup_files": ("sandbox.inside.init", "VIEW_STEPS"),
    "pivot": ("sandbox.inside.init", "VIEW_STEPS"),
    "disk": ("sandbox.inside.init", "LATE_STEPS"),
    "binds": ("sandbox.inside.init", "LATE_STEPS"),
    "session": ("sandbox.inside.stub", "LOCK_STEPS"),
    "cwd": ("sandbox.inside.stub", "LOCK_STEPS"),
    "inputs": ("sandbox.inside.stub", "LOCK_STEPS"),
    "descriptors": ("sandbox.inside.stub", "LOCK_STEPS"),
    "landlock": ("sandbox.inside.stub", "LOCK_STEPS"),
}

_BOOT = """
import sys; sys.path.insert(0, sys.argv.pop(1))
import importlib
from sandbox.boundary.report import STEPS
def replace(module, table, name, **changes):
    room = importlib.import_module(module)
    steps = getattr(room, table)
    assert name in [STEPS[step.code] for step in steps], name
    setattr(room, table, tuple(
        step._replace(**changes) if STEPS[step.code] == name else step for step in steps))
MUTATIONS
from sandbox.zygote.main import main; main()
"""
# v2: the stub is born in its cgroup.
_BORN_OUTSIDE = """
from sandbox.inside.placement import Placement
made = Placement.__init__
def make(self, fds, before, *, born):
    made(self, fds, before, born=born)
    self.into_fd = None
Placement.__init__ = make
"""
_NO_BUILD, _NO_LOOK = "build=lambda _: None", "holds=lambda _: True"


def _every_syscall() -> tuple[str, ...]:
    """What the distribution's libseccomp knows of this machine; newer calls meet ENOSYS."""
    names = []
    for number in range(470):
        with suppress(ValueError):
            names.append(pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, number).decode())
    return tuple(name for name in names if name != "clone3")


# No filter to speak of, so that an attack meets the wall under test and not the filter.
ALLOW_ALL = Policy(
    name="all",
    why="the other walls are under test",
    syscalls=(SyscallRule(_every_syscall(), "allow"),),
    default_action="ENOSYS",
    limits={
        "memory_bytes": 128 << 20,
        "processes": 32,
        "cpus": 1.0,
        "cpu_seconds": 10.0,
        "wall_seconds": 20.0,
        "idle_seconds": None,
        "extra_seconds": 0.0,
        "disk_bytes": 8 << 20,
        "disk_inodes": 256,
        "output_bytes": 1 << 20,
        "fds": 64,
        "stack_bytes": None,
        "core": None,
    },
    environment={b"PATH": b"/usr/bin:/bin", b"LC_ALL": b"C.UTF-8"},
    etc=(b"ld.so.cache",),
)


# Every step has something to do: masked files of /proc, cgroup files.
SHOWS_ALL = ALLOW_ALL._replace(proc="masked", cgroup_files=True)


@contextmanager
def mutated(code: str, *, look: bool) -> Iterator[None]:
    """Zygotes started in here run `code` first. `look` off: nor does the supervisor check."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zygote, "_BOOT", _BOOT.replace("MUTATIONS", code))
        if not look:
            patch.setattr(sandbox, "check_stub", lambda pid, *_, **__: probe.Seen(pid))
        yield


def without(step: str, *, look: bool) -> AbstractContextManager[None]:
    """Zygotes started in here do not build `step`; with `look` off nobody notices, either."""
    changes = _NO_BUILD if look else f"{_NO_BUILD}, {_NO_LOOK}"
    code = f"replace(*{STEPS[step]}, {step!r}, {changes})"
    if step == "cgroup_namespace" and not look:  # init joins the one that the stub made
        code += f"\nreplace('sandbox.inside.init', '_CGROUP_STEPS', {step!r}, {changes})"
    if step == "time_namespace":  # the zygote makes it
        code += "\nimport sandbox.zygote.main as m; m.shift_clocks = lambda _: None"
    if step == "cgroup_payload":
        code += _BORN_OUTSIDE
    return mutated(code, look=look)


@contextmanager
def without_filter() -> Iterator[None]:
    """Jobs in here run under a filter of one instruction, which allows everything."""
    with pytest.MonkeyPatch.context() as patch:
        allow = struct.pack("=HBBI", 0x06, 0, 0, pyseccomp.ALLOW)
        patch.setattr(
            planner.seccomp, "compile_filter", lambda *_, **__: Filter(allow, notifies=False)
        )
        yield


@contextmanager
def without_rlimits() -> Iterator[None]:
    """Jobs in here have the rlimits of their runner, and nobody notices."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sandbox.Sandbox, "limit", lambda *_: None)
        yield


@contextmanager
def without_namespace(flag: int) -> Iterator[None]:
    """Sandboxes in here share one namespace with the host, and nobody notices."""
    code = "".join(
        f"replace(*{STEPS[step]}, {step!r}, {_NO_LOOK})\n" for step in ("namespaces", "network")
    )
    with mutated(code, look=False), pytest.MonkeyPatch.context() as patch:
        patch.setattr(planner, "_NAMESPACES", planner._NAMESPACES & ~flag)
        yield


def attack(
    program: str, tmp_path: Path, policy: Policy = ALLOW_ALL, **changes: object
) -> tuple[Result, str]:
    """Run a Python program as a job; its Result, and what it printed on both streams."""
    output = tmp_path / "output"
    with output.open("wb") as file:
        job = Job((b"python3", b"-I", b"-S", b"-c", program.encode()))._replace(**changes)
        result = run_job(
            job, policy, stdin_fd=None, stdout_fd=file.fileno(), stderr_fd=file.fileno()
        )
    return result, output.read_text()
