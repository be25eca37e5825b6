"""Each wall, shown by an attack that works without it and meets one errno with it."""

import contextlib
import ctypes
import errno
import os
import re
import resource
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from containment.walls import (
    ALLOW_ALL,
    SHOWS_ALL,
    STEPS,
    attack,
    mutated,
    without,
    without_filter,
    without_namespace,
    without_rlimits,
)

from sandbox.boundary.loader import loader_image
from sandbox.kernel.processes import CLONE_NEWIPC, CLONE_NEWNET
from sandbox.spec.errors import SetupError
from sandbox.spec.job import Input
from sandbox.spec.policy import SyscallRule
from sandbox.supervisor import landlock, planner

# What every attack ends with: the errno that it met, or 0.
FRAME = """
import ctypes, os, socket, sys, time
libc = ctypes.CDLL(None, use_errno=True)
def checked(value):
    if value < 0:
        raise OSError(ctypes.get_errno(), "")
def main():
{body}
try:
    main()
    print("errno 0")
except OSError as error:
    print("errno", error.errno)
"""
NO_USER_NAMESPACES = ALLOW_ALL._replace(
    syscalls=(
        SyscallRule(("unshare",), "EPERM"),
        SyscallRule(tuple(n for n in ALLOW_ALL.syscalls[0].names if n != "unshare"), "allow"),
    ),
)


class Attack(NamedTuple):
    """One attack on one wall: `refusal` is the errno that it must meet, this one and no other."""

    step: str
    body: str
    refusal: int
    policy: object = ALLOW_ALL


ATTACKS = [
    Attack("landlock", "os.mknod('/tmp/x', 0o20000, 0)", errno.EACCES),
    # What the kernel says of init and of the payload: no second wall hides it.
    Attack("init_filter", "assert_status('/proc/1/status', 'Seccomp', '2')", 77),
    Attack("init_capabilities", "assert_status('/proc/1/status', 'CapEff', f'{1 << 21:016x}')", 77),
    Attack("capabilities", "assert_status('/proc/self/status', 'CapBnd', f'{0:016x}')", 77),
    Attack("session", "refuse(os.getsid(0) == os.getpid())", 77),
    Attack("hostname", "refuse(os.uname().nodename == 'sandbox')", 77),
    Attack("time_namespace", "refuse(time.clock_gettime(time.CLOCK_BOOTTIME) < 60)", 77),
    Attack(
        "cgroup_namespace",
        "refuse(all(line.endswith(':/\\n') for line in open('/proc/self/cgroup')))",
        77,
    ),
]
HELPERS = """
def refuse(holds):
    if holds:
        raise OSError(77, "the wall is seen")
def assert_status(path, name, value):
    fields = {name: rest.strip() for name, _, rest in (line.partition(":") for line in open(path))}
    refuse(fields[name] == value)
"""


def met(body: str, tmp_path: Path, **changes: object) -> int:
    """The errno that the attack met in a sandbox, by its own account."""
    program = HELPERS + FRAME.format(body="    " + body)
    result, output = attack(program, tmp_path, **changes)
    assert result.verdict == "exited", (result.verdict, result.evidence, output)
    assert "errno " in output, output
    return int(output.rsplit("errno ", 1)[1])


@pytest.mark.parametrize("case", ATTACKS, ids=lambda case: case.step)
def test_an_attack_works_without_its_wall_and_not_with_it(case: Attack, tmp_path: Path) -> None:
    if case.step == "time_namespace" and not Path("/proc/self/ns/time").exists():
        pytest.skip("this kernel has no time namespaces")
    if case.step == "landlock" and landlock.handled_accesses() is None:
        pytest.skip("this kernel has no Landlock")
    with without(case.step, look=False):
        assert met(case.body, tmp_path, policy=case.policy) == 0, "control: it must work"
    assert met(case.body, tmp_path, policy=case.policy) == case.refusal


def test_a_job_calls_only_what_its_filter_allows(tmp_path: Path) -> None:
    body = "checked(libc.unshare(0x10000000))"
    with without_filter():
        assert met(body, tmp_path, policy=NO_USER_NAMESPACES) == 0, "control: it must work"
    assert met(body, tmp_path, policy=NO_USER_NAMESPACES) == errno.EPERM


# What stands in the loader's code for a step, and what makes it do nothing: getpid(), F_GETFL.
SKIPPED = {
    r"27 \(filter\)": (b"\xb8\x3d\x01\0\0", b"\xb8\x27\0\0\0"),
    r"23 \(descriptors\)": (b"\xbe\x02\0\0\0", b"\xbe\x03\0\0\0"),
}


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="these are the numbers of x86-64")
@pytest.mark.parametrize("step", SKIPPED)
def test_a_step_that_the_loader_left_out_is_noticed(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, nothing = SKIPPED[step]

    def skipping(*arguments: object, **options: object) -> bytes:
        image = loader_image(*arguments, **options)
        assert image.count(code) == 1
        return image.replace(code, nothing)

    monkeypatch.setattr(planner, "loader_image", skipping)
    refusal = f"step {step} failed: the kernel does not show the wall"
    with pytest.raises(SetupError, match=refusal):
        attack("print('ran')", tmp_path)
    assert (tmp_path / "output").read_bytes() == b"", "the payload must never have started"


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="these are the numbers of x86-64")
def test_a_filter_that_was_never_loaded_is_seen_from_outside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lying(*arguments: object, **options: object) -> bytes:
        image = loader_image(*arguments, **options)
        # cmp eax, [listener] becomes cmp eax, eax; seccomp becomes getpid.
        image = image.replace(bytes.fromhex("3b042504046000"), bytes.fromhex("39c0") + b"\x90" * 5)
        return image.replace(b"\xb8" + struct.pack("<I", 317), b"\xb8" + struct.pack("<I", 39))

    monkeypatch.setattr(planner, "loader_image", lying)
    policy = ALLOW_ALL._replace(default_action="ENOSYS")
    with pytest.raises(SetupError, match="step filter failed"):
        attack("print('ran')", tmp_path, policy=policy)
    assert (tmp_path / "output").read_bytes() == b"", "the payload must never have started"


def test_a_host_where_no_memfd_is_executed_is_told_by_its_step(tmp_path: Path) -> None:
    # As vm.memfd_noexec=2 would have it: MFD_NOEXEC_SEAL.
    try:
        os.close(os.memfd_create("probe", 8))
    except OSError:
        pytest.skip("no such memfd before Linux 6.3")
    code = "import sandbox.zygote.main as m; m._MFD_EXEC = 8"
    with mutated(code, look=True), pytest.raises(SetupError, match=r"step 35 \(loader\) failed"):
        attack("print('ran')", tmp_path)


def test_a_job_has_its_own_rlimits(tmp_path: Path) -> None:
    body = "[os.open('/', os.O_RDONLY) for _ in range(64)]"
    with without_rlimits():
        assert met(body, tmp_path) == 0, "control: it must work"
    assert met(body, tmp_path) == errno.EMFILE


def test_rlimits_that_were_not_set_are_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prlimit = resource.prlimit
    monkeypatch.setattr(resource, "prlimit", lambda pid, number, *_: prlimit(pid, number))
    with pytest.raises(SetupError, match="step rlimits failed"):
        attack("print('ran')", tmp_path)
    assert (tmp_path / "output").read_bytes() == b"", "the payload must never have started"


def test_a_job_reaches_no_socket_of_the_host(tmp_path: Path) -> None:
    # Datagrams: a second wall, Landlock, refuses TCP by itself.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(5)
        address = listener.getsockname()
        body = f"socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'out', {address!r})"
        with without_namespace(CLONE_NEWNET):
            assert met(body, tmp_path) == 0
        assert listener.recv(16) == b"out", "control: it must arrive"
        assert met(body, tmp_path) == errno.ENETUNREACH


def test_a_job_sees_no_shared_memory_of_the_host(tmp_path: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    key = 0x5A17_0000 + os.getpid() % 0xFFFF
    segment = libc.shmget(key, 4096, 0o1666)  # IPC_CREAT, for everybody
    assert segment >= 0
    try:
        body = f"checked(libc.shmget({key}, 0, 0))"
        with without_namespace(CLONE_NEWIPC):
            assert met(body, tmp_path) == 0, "control: it must be found"
        assert met(body, tmp_path) == errno.ENOENT
    finally:
        libc.shmctl(segment, 0, None)  # IPC_RMID


@contextlib.contextmanager
def no_landlock() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planner.landlock, "handled_accesses", lambda: None)
        yield


WRITABLE_BIND = "import sandbox.zygote.template as t; t.mount_setattr = lambda *_: None\n"


@pytest.mark.parametrize(
    ("locks", "refusal"),
    [("none", 0), ("mount", errno.EROFS), ("landlock", errno.EACCES), ("both", errno.EROFS)],
)
def test_two_walls_keep_a_bind_read_only(locks: str, refusal: int, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    tmp_path.chmod(0o755)
    stack = contextlib.ExitStack()
    with stack:
        if locks in ("none", "mount"):
            stack.enter_context(no_landlock())
        if locks in ("none", "landlock"):
            looks = "".join(
                f"replace(*{STEPS[step]}, {step!r}, holds=lambda _: True)\n"
                for step in ("binds", "pivot")
            )
            stack.enter_context(mutated(WRITABLE_BIND + looks, look=True))
        inputs = (Input(shared, b"/shared", copied=False),)
        found = met("os.mkdir('/shared/made')", tmp_path, inputs=inputs)
    assert found == refusal
    assert (shared / "made").exists() == (locks == "none")


def test_the_scratch_space_is_capped_by_its_own_file_system(tmp_path: Path) -> None:
    body = "[os.write(f, bytes(1 << 20)) for f in [os.open('/tmp/x', 65)] for _ in range(9)]"
    code = (
        "import sandbox.zygote.main as m; decode = m.decode\n"
        "from sandbox.boundary.plan import Disk\n"
        "def larger(kind, data):\n"
        "    plan = decode(kind, data)\n"
        "    uncapped = kind is m.SandboxPlan and {'disk': Disk(1 << 30, 1 << 20)}\n"
        "    return plan._replace(**(uncapped or {}))\n"
        "m.decode = larger\n"
    )
    with mutated(
        code + f"replace(*{STEPS['scratch']}, 'scratch', holds=lambda _: True)", look=True
    ):
        assert met(body, tmp_path) == 0, "control: it must fit"
    assert met(body, tmp_path) == errno.ENOSPC


def test_the_memory_limit_is_that_of_the_cgroup(tmp_path: Path) -> None:
    program = "x = bytearray(200 << 20); print('allocated')"
    with without("cgroup_payload", look=False):
        result, output = attack(program, tmp_path)
        assert output == "allocated\n", "control: it must fit"
    result, output = attack(program, tmp_path)
    assert (result.verdict, output) == ("memory", "")
    assert re.match("oom(_kill)?=[1-9]", result.evidence[0])  # v2 counts a group's first twice


# Built by the clone itself, so there is nothing to leave out; the namespaces are taken away above.
# Dumpable is off since the change of uid, where a job has one of its own: the step says it again.
# Inputs are no wall. Disk: a sandbox that was made for its job has the right size from the start.
NOT_BUILT = ("namespaces", "network", "dumpable", "inputs", "disk")
BUILT = [step for step in STEPS if step not in NOT_BUILT]


@pytest.mark.parametrize("step", BUILT)
def test_a_wall_that_was_not_built_is_noticed(step: str, tmp_path: Path) -> None:
    if step == "time_namespace" and not Path("/proc/self/ns/time").exists():
        pytest.skip("this kernel has no time namespaces")
    changes = {}
    if step == "binds":
        changes["inputs"] = (Input(Path("/usr/share"), b"/shared", copied=False),)
    if step == "cwd":
        changes["cwd"] = b"/tmp/elsewhere"
    if step == "cgroup_files":
        changes["policy"] = SHOWS_ALL
    with without(step, look=True), pytest.raises(SetupError, match=rf"step \d+ \({step}\)"):
        attack("print('ran')", tmp_path, **changes)
    assert (tmp_path / "output").read_bytes() == b"", "the payload must never have started"
