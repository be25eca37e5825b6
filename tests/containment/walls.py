"""One job in one process, with any wall taken away: what the containment tests are made of.

The scripts of a sandbox are written in this process, so a wall is taken away where they are: of the
step that builds it nothing is written, nor what asks the kernel whether it stands. The look from
outside is left out as well, so that the attack is all that can tell.
"""

import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pyseccomp
import pytest

from sandbox.boundary.plan import SpawnPlan
from sandbox.boundary.report import STEPS as NAMES
from sandbox.cli.inprocess import run_job
from sandbox.inside.plan import SandboxPlan
from sandbox.inside.script import Script
from sandbox.kernel.processes import CLONE_NEWIPC, CLONE_NEWNET, PR_SET_NAME
from sandbox.spec.job import Job
from sandbox.spec.policy import Policy, SyscallRule
from sandbox.spec.result import Result
from sandbox.supervisor import keeper, planner, probe, sandbox, zygote
from sandbox.supervisor.seccomp import Filter

__all__ = [
    "ALLOW_ALL", "SHOWS_ALL", "STEPS", "attack", "blind", "hanging", "inserting", "mutated_zygote",
    "planning", "spawning", "without", "without_filter", "without_namespace", "without_rlimits",
]  # fmt: skip

# Of every sandbox, in about the order in which they are done: by init, by the stub, and late.
STEPS = (
    "namespaces", "time_namespace", "network",
    "identity", "shares", "hostname", "root", "scratch", "proc", "devices", "pivot",
    "dumpable", "init_capabilities", "no_new_privileges", "init_filter",
    "cgroup_payload", "cgroup_namespace", "cgroup_files", "session", "streams", "capabilities",
    "cwd", "descriptors", "landlock", "inputs", "filter", "exec",
    "disk", "binds",
)  # fmt: skip
# What a step is made of where it does more than its wall: the rest is written in any case.
_MADE_OF = {
    "pivot": {"umount2"},  # without the rest nobody gets any further, by another step's name
    "init_filter": {"seccomp"},
    "descriptors": {"close_range"},
    "filter": {"seccomp"},
    "binds": {"move_mount"},
}
_NO_FD = 1 << 20  # what a call that is not made returns: no call can use it


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
def mutated_zygote(code: str) -> Iterator[None]:
    """Zygotes started in here run `code` first."""
    boot = keeper._BOOT.replace("from sandbox.keeper.", f"{code}\nfrom sandbox.keeper.")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keeper, "_BOOT", boot)
        yield


@contextmanager
def spawning(change: Callable[[SpawnPlan], SpawnPlan]) -> Iterator[None]:
    """Zygotes in here are told of another sandbox than the one that is then looked for."""
    spawn = zygote.Zygote.spawn
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            zygote.Zygote, "spawn", lambda asked, plan, *rest: spawn(asked, change(plan), *rest)
        )
        yield


@contextmanager
def planning(**changes: object) -> Iterator[None]:
    """Scripts in here are written for another plan than the one that is then looked for."""
    write = planner.write_script

    def write_other(plan: SandboxPlan) -> tuple[bytes, int]:
        return write(plan._replace(**changes))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planner, "write_script", write_other)
        yield


@contextmanager
def blind() -> Iterator[None]:
    """In here the supervisor does not look at sandboxes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sandbox, "check_init", lambda *_: None)
        patch.setattr(sandbox, "check_namespaces", lambda *_: None)
        patch.setattr(sandbox, "check_stub", lambda _, stub, *__: probe.Seen(stub))
        patch.setattr(sandbox, "check_mounts", lambda *_: None)
        yield


@contextmanager
def without(step: str, *, look: bool, asks: bool | None = None) -> Iterator[None]:
    """Sandboxes in here are built without `step`; with `look` off nobody notices.

    `asks`: whether the script asks the kernel for the wall, where that differs from `look`.
    """
    assert step in STEPS, step
    with ExitStack() as stack:
        stack.enter_context(_unwritten(step, asks=look if asks is None else asks))
        if step == "time_namespace":  # the zygote makes it
            stack.enter_context(spawning(lambda plan: plan._replace(time_offsets=None)))
        if step == "cgroup_payload":  # v2: the stub is born in it
            stack.enter_context(planning(born_in_cgroup=False))
        if step == "no_new_privileges":  # of the keeper, and so of all that comes from it
            stack.enter_context(
                mutated_zygote(
                    "import sandbox.keeper.keeper as k; k._stay_apart = lambda: None\n"
                    "k.PR_SET_NO_NEW_PRIVS = k.PR_SET_DUMPABLE"
                )
            )
        if not look:
            stack.enter_context(blind())
        yield


@contextmanager
def _unwritten(step: str, *, asks: bool) -> Iterator[None]:
    made_of = _MADE_OF.get(step)
    with pytest.MonkeyPatch.context() as patch:

        def leave_out(method: str, calls: set[str] | None, returned: object = None) -> None:
            real = getattr(Script, method)

            def write(script: Script, *args: Any, **options: Any) -> Any:
                name = args[0] if method in ("call", "open", "check") else method
                if NAMES.get(script.step) == step and (calls is None or name in calls):
                    return returned
                return real(script, *args, **options)

            patch.setattr(Script, method, write)

        leave_out("call", made_of)
        leave_out("open", made_of, _NO_FD)
        leave_out("close", made_of)
        if not asks:
            leave_out("check", None)
            leave_out("expect", None)
            close_all_but = Script.close_all_but

            def keep(script: Script, *fds: int) -> None:
                if NAMES.get(script.step) == step == "descriptors":
                    script._fds.update(fds)  # what stays open stays known, or no number is right
                else:
                    close_all_but(script, *fds)

            patch.setattr(Script, "close_all_but", keep)
        yield


@contextmanager
def inserting(step: str, write: Callable[[Script], None]) -> Iterator[None]:
    """What `write` writes is done where `step` begins, by whoever does that."""
    assert step in STEPS, step
    before = vars(Script).get("step")  # another that is inserted

    def begin(script: Script, code: int) -> None:
        if before is not None:
            before.fset(script, code)
        vars(script)["step"] = code
        if NAMES.get(code) == step:
            write(script)

    with pytest.MonkeyPatch.context() as patch:
        begun = property(lambda script: vars(script)["step"], begin)
        patch.setattr(Script, "step", begun, raising=False)
        yield


@contextmanager
def hanging(step: str) -> Iterator[None]:
    """Sandboxes in here hang where `step` begins, which a process of them is then named for."""

    def hang(script: Script) -> None:
        script.call("prctl", PR_SET_NAME, b"hung")
        script.call("ppoll", 0, 0, 0, 0)

    with ExitStack() as stack:
        if step in ("binds", "disk"):  # done under init's filter, which allows no name
            stack.enter_context(without("init_filter", look=False))
        stack.enter_context(inserting(step, hang))
        yield


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
def without_namespace(flag: int, *, look: bool) -> Iterator[None]:
    """Sandboxes in here share one namespace with the host; with `look` off nobody notices."""
    with ExitStack() as stack:
        if not look and flag in (CLONE_NEWNET, CLONE_NEWIPC):  # the zygote has its own, too
            code = "import sandbox.zygote.main as m; m.CLONE_NEWNET = m.CLONE_NEWIPC = 0"
            stack.enter_context(mutated_zygote(code))
        stack.enter_context(
            spawning(lambda plan: plan._replace(clone_flags=plan.clone_flags & ~flag))
        )
        if not look:
            stack.enter_context(blind())
        yield


def attack(
    program: str, tmp_path: Path, policy: Policy = ALLOW_ALL, **changes: object
) -> tuple[Result, str]:
    """Run a Python program as a job; its Result, and what it printed on both streams."""
    output = tmp_path / "output"
    with output.open("wb") as file:
        job = Job((b"python3", b"-I", b"-S", b"-c", program.encode()))._replace(**changes)
        result = run_job(
            job,
            policy,
            stdin_fd=None,
            stdout_fd=file.fileno(),
            stderr_fd=file.fileno(),
            owns_process=False,
        )
    return result, output.read_text()
