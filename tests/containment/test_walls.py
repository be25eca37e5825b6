"""Each wall, shown by an attack that works without it and meets one errno with it."""

import contextlib
import ctypes
import errno
import os
import re
import resource
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pyseccomp
import pytest
from containment.walls import (
    ALLOW_ALL,
    SHOWS_ALL,
    STEPS,
    attack,
    blind,
    inserting,
    mutated_zygote,
    planning,
    spawning,
    without,
    without_filter,
    without_namespace,
    without_rlimits,
)
from supervisor.resident import HELD, resident
from trio.testing import trio_test

from sandbox.boundary.plan import Disk
from sandbox.boundary.report import STEPS as NAMES
from sandbox.inside.script import Script
from sandbox.kernel.mounts import MS_NODEV, MS_NOSUID
from sandbox.kernel.numbers import NUMBERS
from sandbox.kernel.processes import (
    CAPABILITY_VERSION_3,
    CLONE_NEWIPC,
    CLONE_NEWNET,
    PR_SET_DUMPABLE,
)
from sandbox.spec.errors import SetupError, ZygoteError
from sandbox.spec.job import Input
from sandbox.spec.policy import SyscallRule
from sandbox.supervisor import landlock, planner
from sandbox.supervisor.identity import find_ranges

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
    # Init's end of its link to the supervisor: who has it tells what a job's result is.
    Attack("descriptors", "os.fstat(4)", errno.EBADF),
    # The old root is mounted on the new one, and ".." of a root leads to what is mounted there.
    Attack("pivot", "os.stat('/../layer')", errno.ENOENT),
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


def changes_for(step: str) -> dict[str, object]:
    """What a job must be like for this step to have something to do. Skips where none has."""
    if step == "time_namespace" and not Path("/proc/self/ns/time").exists():
        pytest.skip("this kernel has no time namespaces")
    if step == "landlock" and landlock.handled_accesses() is None:
        pytest.skip("this kernel has no Landlock")
    if step == "binds":
        return {"inputs": (Input(Path("/usr/share"), b"/shared", copied=False),)}
    if step == "cwd":
        return {"cwd": b"/tmp/elsewhere"}
    return {"policy": SHOWS_ALL} if step == "cgroup_files" else {}


def shows_not(step: str) -> str:
    """How an error begins that blames this step for what the kernel shows."""
    return rf"step \d+ \({step}\) failed: the kernel does not show the wall"


def number(name: str) -> int:
    return pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name)


def met(body: str, tmp_path: Path, **changes: object) -> int:
    """The errno that the attack met in a sandbox, by its own account."""
    program = HELPERS + FRAME.format(body="    " + body)
    result, output = attack(program, tmp_path, **changes)
    assert result.verdict == "exited", (result.verdict, result.evidence, output)
    assert "errno " in output, output
    return int(output.rsplit("errno ", 1)[1])


@pytest.mark.parametrize("case", ATTACKS, ids=lambda case: case.step)
def test_an_attack_works_without_its_wall_and_not_with_it(case: Attack, tmp_path: Path) -> None:
    changes_for(case.step)
    with without(case.step, look=False):
        assert met(case.body, tmp_path, policy=case.policy) == 0, "control: it must work"
    assert met(case.body, tmp_path, policy=case.policy) == case.refusal


def test_a_job_calls_only_what_its_filter_allows(tmp_path: Path) -> None:
    body = "checked(libc.unshare(0x10000000))"
    # A second wall: its share of user namespaces is none.
    with without_filter(), without("shares", look=False):
        assert met(body, tmp_path, policy=NO_USER_NAMESPACES) == 0, "control: it must work"
    assert met(body, tmp_path, policy=NO_USER_NAMESPACES) == errno.EPERM


def test_a_filter_whose_listener_was_never_loaded_is_noticed(tmp_path: Path) -> None:
    policy = ALLOW_ALL._replace(default_action="kill")
    with without("filter", look=True), pytest.raises(SetupError, match="step filter: its listener"):
        attack("print('ran')", tmp_path, policy=policy)
    assert (tmp_path / "output").read_bytes() == b"", "the payload must never have started"


def test_a_host_where_no_memfd_is_executed_is_told_by_its_step(tmp_path: Path) -> None:
    # As vm.memfd_noexec=2 would have it: MFD_NOEXEC_SEAL.
    try:
        os.close(os.memfd_create("probe", 8))
    except OSError:
        pytest.skip("no such memfd before Linux 6.3")
    code = "import sandbox.zygote.spawn as s; s._MFD_EXEC = 8"
    with mutated_zygote(code), pytest.raises(SetupError, match=r"step machine .*Permission denied"):
        attack("print('ran')", tmp_path)
    assert (tmp_path / "output").read_bytes() == b"", "the payload must never have started"


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
        with without_namespace(CLONE_NEWNET, look=False):
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
        with without_namespace(CLONE_NEWIPC, look=False):
            assert met(body, tmp_path) == 0, "control: it must be found"
        assert met(body, tmp_path) == errno.ENOENT
    finally:
        libc.shmctl(segment, 0, None)  # IPC_RMID


@contextlib.contextmanager
def no_landlock() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planner.landlock, "handled_accesses", lambda: None)
        yield


# Of all that the zygote restricts, only binds have just these attributes.
WRITABLE_BIND = (
    "import sandbox.zygote.template as t; restrict = t.mount_setattr\n"
    "bind = t.MS_RDONLY | t.MS_NOSUID | t.MS_NODEV\n"
    "t.mount_setattr = lambda fd, flags: flags == bind or restrict(fd, flags)"
)


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
            stack.enter_context(mutated_zygote(WRITABLE_BIND))
            stack.enter_context(blind())
        inputs = (Input(shared, b"/shared", copied=False),)
        found = met("os.mkdir('/shared/made')", tmp_path, inputs=inputs)
    assert found == refusal
    assert (shared / "made").exists() == (locks == "none")


def test_the_scratch_space_is_capped_by_its_own_file_system(tmp_path: Path) -> None:
    body = "[os.write(f, bytes(1 << 20)) for f in [os.open('/tmp/x', 65)] for _ in range(9)]"
    with planning(disk=Disk(1 << 30, 1 << 20)):
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


# Namespaces and network are made by the clone itself, so there is nothing to leave out; they are
# taken away above and below. Dumpable is off since the change of uid, where a job has one of its
# own: the step says it again, and is told by where it has not (test_single_id.py). Disk: a sandbox
# that was made for its job has the right size from the start; below is one that was not. Streams,
# inputs and exec are no walls.
NOT_BUILT = ("namespaces", "network", "dumpable", "disk", "streams", "inputs", "exec")
BUILT = [step for step in STEPS if step not in NOT_BUILT]
# What /proc tells of another process, so that a stub which lies about it is found out.
SEEN = (
    "time_namespace", "cgroup_payload", "cgroup_namespace", "init_capabilities", "init_filter",
    "session", "capabilities", "descriptors", "filter", "pivot",
    "binds",
)  # fmt: skip


def test_no_step_of_a_sandbox_is_forgotten() -> None:
    elsewhere = {"clone", "template", "user_namespace", "machine", "collector"}  # the zygote's
    assert {*STEPS} | elsewhere == {*NAMES.values()}


@pytest.mark.parametrize("step", BUILT)
def test_a_wall_that_was_not_built_is_noticed(step: str, tmp_path: Path) -> None:
    changes = changes_for(step)
    with without(step, look=True), pytest.raises(SetupError, match=rf"step \d+ \({step}\)"):
        attack("print('ran')", tmp_path, **changes)
    assert (tmp_path / "output").read_bytes() == b"", "the payload must never have started"


@pytest.mark.parametrize("step", SEEN)
def test_a_wall_that_its_script_does_not_ask_for_is_seen_from_outside(
    step: str, tmp_path: Path
) -> None:
    changes = changes_for(step)
    if step == "descriptors" and Path("/proc/self/fd").stat().st_size == 0:
        pytest.skip("this kernel does not tell how many fds a process has")
    with without(step, look=True, asks=False), pytest.raises(SetupError, match=shows_not(step)):
        attack("print('ran')", tmp_path, **changes)
    assert (tmp_path / "output").read_bytes() == b"", "the payload must never have started"


def ignore_a_signal(script: Script) -> None:
    ignored = script.data(struct.pack("<4Q", 1, 0, 0, 0))  # SIG_IGN, <asm/signal.h>
    script.call("rt_sigaction", signal.SIGUSR1, ignored, 0, 8)


def mount_one_more(script: Script) -> None:
    script.call("mount", b"none", b"/work", b"tmpfs", MS_NOSUID | MS_NODEV, b"")


def put_the_loopback_up(script: Script) -> None:
    fd = script.open("socket", socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, 0)
    request = script.data(struct.pack("<16sH22x", b"lo", 1))  # struct ifreq: IFF_UP, netdevice(7)
    script.call("ioctl", fd, 0x8914, request)  # SIOCSIFFLAGS
    script.close(fd)


# What no step does, and where it is done: the step that must be blamed for it.
ADDED = {
    "session": ("session", ignore_a_signal),
    "pivot": ("dumpable", mount_one_more),
    "network": ("hostname", put_the_loopback_up),
}


@pytest.mark.parametrize("blamed", ADDED)
def test_what_was_added_to_a_sandbox_is_seen_from_outside(
    blamed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, write = ADDED[blamed]
    monkeypatch.setitem(NUMBERS, "socket", number("socket"))
    code = "import sandbox.zygote.spawn as s; s._KEPT += (12,)"  # CAP_NET_ADMIN
    with mutated_zygote(code):
        _, output = attack("print('ran')", tmp_path)
        assert output == "ran\n", "control: that right is not what is seen"
        with inserting(step, write), pytest.raises(SetupError, match=shows_not(blamed)):
            attack("print('ran')", tmp_path)
    assert (tmp_path / "output").read_bytes() == b"", "the payload must never have started"


def test_an_id_that_is_not_the_leased_one_is_seen_from_outside(tmp_path: Path) -> None:
    if find_ranges(os.getuid()) is None:
        pytest.skip("this host grants no ids to lease")
    other = spawning(lambda plan: plan._replace(base_id=plan.base_id + 1))
    with other, pytest.raises(SetupError, match=shows_not("identity")):
        attack("print('ran')", tmp_path)
    assert (tmp_path / "output").read_bytes() == b"", "the payload must never have started"


def test_a_map_of_more_than_the_leased_id_is_seen_from_outside(tmp_path: Path) -> None:
    code = (
        "import os; write = os.write\n"
        "os.write = lambda fd, data: write(fd, data[:-1] + b'2' if data[-2:] == b' 1' else data)"
    )
    with mutated_zygote(code), pytest.raises(SetupError, match=shows_not("identity")):
        attack("print('ran')", tmp_path)
    assert (tmp_path / "output").read_bytes() == b"", "the payload must never have started"


# What containers do to all of us: a filter that everything allows.
UNDER_A_FILTER = """
import struct, sys
from pathlib import Path
sys.path[:0] = [{root!r}, {tests!r}]
from containment.walls import attack, without
from sandbox.kernel.confinement import seccomp_load
from sandbox.kernel.processes import PR_SET_NO_NEW_PRIVS, prctl
from sandbox.spec.errors import SetupError
prctl(PR_SET_NO_NEW_PRIVS, 1)
seccomp_load(struct.pack("=HBBI", 0x06, 0, 0, 0x7FFF0000), listener=False)
result, _ = attack("print('ran')", Path({output!r}))
print(result.verdict, result.exit_code)
for step in ("filter", "init_filter"):
    try:
        with without(step, look=True, asks=False):
            attack("print('ran')", Path({output!r}))
    except SetupError as error:
        print(error)
"""


def test_a_filter_that_is_missing_is_seen_under_a_filter_of_all(tmp_path: Path) -> None:
    tests = Path(__file__).parents[1]
    code = UNDER_A_FILTER.format(root=str(tests.parent), tests=str(tests), output=str(tmp_path))
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    whole, *without_filters = ended.stdout.splitlines()
    assert whole == "exited 0", "control: with both filters a job runs there"
    for step, said in zip(("filter", "init_filter"), without_filters, strict=True):
        assert re.search(shows_not(step), said)


# The others are the sandbox's own or nothing in it can be built.
@pytest.mark.parametrize("flag", [CLONE_NEWNET, CLONE_NEWIPC], ids=["net", "ipc"])
def test_a_namespace_that_is_shared_is_seen_from_outside(flag: int, tmp_path: Path) -> None:
    refusal = shows_not("namespaces")
    with without_namespace(flag, look=True), pytest.raises(SetupError, match=refusal):
        attack("print('ran')", tmp_path)
    assert (tmp_path / "output").read_bytes() == b"", "the payload must never have started"


def test_a_bind_that_can_be_written_to_is_seen_from_outside(tmp_path: Path) -> None:
    inputs = changes_for("binds")
    with mutated_zygote(WRITABLE_BIND), pytest.raises(SetupError, match=shows_not("binds")):
        attack("print('ran')", tmp_path, **inputs)
    assert (tmp_path / "output").read_bytes() == b"", "the payload must never have started"


@trio_test
async def test_a_scratch_space_that_was_not_resized_is_noticed() -> None:
    job = HELD._replace(limits={"disk_bytes": 3 << 20})
    async with resident() as here:
        await here.parked(1)
        with without("disk", look=True):
            outcome = await here.run(job)
        assert len(here.spy.taken) == 1
        assert isinstance(outcome.error, SetupError)
        assert re.match(shows_not("disk"), str(outcome.error)), outcome.error


# Each of them alone keeps a payload from what init is: its program here, its memory likewise.
INIT_WALLS = ("dumpable", "init_capabilities", "landlock")


def open_init(kept: tuple[str, ...], tmp_path: Path) -> int:
    """What a payload meets that opens init's program, with only these of the walls before it."""

    def be_dumpable(script: Script) -> None:
        script.call("prctl", PR_SET_DUMPABLE, 1)

    def drop_all(script: Script) -> None:
        head = script.data(struct.pack("<2I", CAPABILITY_VERSION_3, 0))
        script.call("capset", head, script.data(bytes(24)))

    with contextlib.ExitStack() as stack:
        for step in INIT_WALLS:
            if step not in kept:
                stack.enter_context(without(step, look=False))
        # Not merely left out: a change of uid has done the one, and the other ends with less rights
        # than init has before it.
        if "dumpable" not in kept:
            stack.enter_context(inserting("init_filter", be_dumpable))
        if "init_capabilities" not in kept:
            stack.enter_context(inserting("no_new_privileges", drop_all))
        return met("open('/proc/1/exe', 'rb').read(4) == b'\\x7fELF' or refuse(1)", tmp_path)


@pytest.mark.parametrize("wall", [*INIT_WALLS, None])
def test_each_of_three_walls_keeps_inits_program_from_a_payload(
    wall: str | None, tmp_path: Path
) -> None:
    if wall == "landlock":
        changes_for(wall)
    met_errno = open_init((wall,) if wall else (), tmp_path)
    assert met_errno == (errno.EACCES if wall else 0), "control: with none of them it is read"


def test_a_payload_is_another_program_than_init(tmp_path: Path) -> None:
    body = (
        "refuse(os.readlink('/proc/self/exe') == os.path.realpath('/usr/bin/python3') "
        "and open('/proc/self/comm').read() == 'python3\\n')"
    )
    assert met(body, tmp_path) == 77
    assert met("os.readlink('/proc/1/exe')", tmp_path) == errno.EACCES


class Forbidden(NamedTuple):
    """A call that init's filter kills for, and what it meets where there is no filter."""

    name: str
    arguments: tuple[int | bytes, ...]
    otherwise: int  # the errno


FORBIDDEN = [
    Forbidden("unshare", (CLONE_NEWIPC,), 0),
    Forbidden("mount", (b"none", b"/tmp", b"tmpfs", MS_NOSUID | MS_NODEV, b""), 0),
    Forbidden("prctl", (PR_SET_DUMPABLE, 1), 0),
    Forbidden("mmap", (0, 4096, 7, 0x22, -1 & 0xFFFFFFFF, 0), 0),
    Forbidden("execve", (b"/none", 0, 0), errno.ENOENT),
    Forbidden("clone3", (0, 0), errno.EINVAL),
    Forbidden("socket", (-1, 0, 0), errno.EAFNOSUPPORT),
    Forbidden("setns", (-1, 0), errno.EBADF),
    Forbidden("ptrace", (16, 2, 0, 0), errno.EPERM),
    Forbidden("pivot_root", (b"/none", b"/none"), errno.ENOENT),
]


@pytest.mark.parametrize("case", FORBIDDEN, ids=lambda case: case.name)
def test_init_dies_of_what_its_filter_does_not_allow(
    case: Forbidden, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, leftovers: None
) -> None:
    monkeypatch.setitem(NUMBERS, case.name, number(case.name))

    def write(script: Script) -> None:
        script.call(case.name, *case.arguments, tolerated=case.otherwise)

    inputs = changes_for("binds")
    with inserting("binds", write):
        with without("init_filter", look=False):
            _, output = attack("print('ran')", tmp_path, **inputs)
            assert output == "ran\n", "control: it must work"
        with pytest.raises(ZygoteError, match="init died"):
            attack("print('ran')", tmp_path, **inputs)
    assert (tmp_path / "output").read_bytes() == b"", "the payload must never have started"
