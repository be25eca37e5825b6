"""Each limit, by a process that runs into it and is refused by the kernel; v1 or v2 alike."""

import errno
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.spec.errors import HostError, SetupError
from sandbox.supervisor.cgroup import Backend, JobCgroup, find_backend
from tests.supervisor.cgroup.conftest import LIMITS, destroy, ways_in

Create = Callable[..., JobCgroup]
Enter = Callable[..., "subprocess.Popen[bytes]"]

HOLD = "tell('in'); sys.stdin.read()"
MIB = 1 << 20
ALLOCATE = "block = bytearray(40 << 20); tell('allocated')"
FIRST_TO_DIE = "open('/proc/self/oom_score_adj', 'w').write('1000'); "  # on v2 we are in there too
FORK = """
import errno, signal
forked = 0
while forked < 20:
    try:
        if os.fork() == 0:
            signal.pause()
        forked += 1
    except OSError as error:
        tell(forked, errno.errorcode[error.errno])
        break
else:
    tell(forked, "all")
"""
BURN = """
import time
start = time.process_time()  # Python's own start was outside of the cgroup
while time.process_time() - start < 0.2:
    pass
tell('burnt')
"""


def _line(process: "subprocess.Popen[bytes]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().decode().strip()


def test_memory_over_the_limit_ends_in_an_oom_kill(create: Create, enter: Enter) -> None:
    job = create(memory_bytes=24 * MIB)
    process = enter(job, ALLOCATE)
    assert process.wait() == -signal.SIGKILL
    usage = job.sample()
    # A group kill counts its first victim twice.
    assert usage.oom_kills >= 1 and usage.oom_events >= 1
    assert usage.memory_peak_bytes is not None
    assert 20 * MIB < usage.memory_peak_bytes <= 24 * MIB


def test_memory_that_runs_out_around_the_job_is_told_apart(
    backend: Backend, create: Create, enter: Enter
) -> None:
    job = create(memory_bytes=64 * MIB)
    around = _of_the_run(backend, "memory.max", "memory.limit_in_bytes")
    before = around.read_text()
    around.write_text(str(24 * MIB))
    try:
        process = enter(job, FIRST_TO_DIE + ALLOCATE)
        assert process.wait() == -signal.SIGKILL, "the control: memory did run out"
    finally:
        around.write_text("-1" if before.strip().isdigit() else before)
    assert job.sample().oom_events == 0


def _of_the_run(backend: Backend, *names: str) -> Path:
    """A file of the directory around the jobs of this runner."""
    run = f"sandbox-run-{os.getpid()}-*/"
    bases = [Path(base) for base in backend.path.split()]
    return next(path for base in bases for name in names for path in base.glob(run + name))


def test_memory_within_the_limit_is_counted_and_allowed(create: Create, enter: Enter) -> None:
    job = create(memory_bytes=64 * MIB)
    process = enter(job, ALLOCATE + "; sys.stdin.read()")
    assert _line(process) == "allocated"
    usage = job.sample()
    assert usage.oom_kills == usage.oom_events == 0
    assert job.memory_split()["anonymous"] >= 40 * MIB
    assert usage.memory_peak_bytes is not None and usage.memory_peak_bytes >= 40 * MIB


def test_an_oom_makes_the_fd_readable_and_keeps_it_so(create: Create, enter: Enter) -> None:
    job = create(memory_bytes=24 * MIB)
    if job.oom_fd is None:
        pytest.skip("cgroup v2 ends the whole group itself and needs no event")
    assert select.select([job.oom_fd], [], [], 0)[0] == [], "before anything ran out"
    enter(job, ALLOCATE)
    assert select.select([job.oom_fd], [], [], 30)[0] == [job.oom_fd]
    job.sample()
    assert select.select([job.oom_fd], [], [], 0)[0] == [job.oom_fd], "a sample took the event"


def test_disk_apart_adds_the_disk_to_the_memory(create: Create, enter: Enter) -> None:
    job = create(memory_bytes=24 * MIB, disk_bytes=40 * MIB, disk_apart=True)
    assert _line(enter(job, ALLOCATE)) == "allocated"


def test_processes_over_the_limit_are_refused_with_eagain(create: Create, enter: Enter) -> None:
    job = create(processes=5)
    assert _line(enter(job, FORK)) == "4 EAGAIN", "five, of which one forks"
    usage = job.sample()
    assert usage.fork_refusals >= 1
    assert usage.processes_peak in (5, None)


def test_processes_within_the_limit_are_not_refused(create: Create, enter: Enter) -> None:
    job = create(processes=21)
    assert _line(enter(job, FORK)) == "20 all"
    assert job.sample().fork_refusals == 0


def test_init_does_not_count_into_the_payloads_limit(create: Create, enter: Enter) -> None:
    job = create(processes=1)
    assert _line(enter(job, HOLD, beside_init=True)) == "in"
    assert _line(enter(job, FORK)) == "0 EAGAIN"


def test_a_cpu_share_throttles(backend: Backend, create: Create, enter: Enter) -> None:
    if backend.grades["cpus"] != "kernel":
        pytest.skip(backend.gaps["cpus"])
    job = create(cpus=0.05)  # less than a busy host leaves it
    assert _line(enter(job, BURN)) == "burnt"
    usage = job.sample()
    assert usage.throttled_seconds is not None and usage.throttled_seconds > 0
    assert usage.cpu_seconds >= 0.15 and job.cpu_seconds() >= 0.15


def test_a_core_of_its_own_cannot_be_left(
    backend: Backend, create: Create, enter: Enter, two_cores: tuple[int, int]
) -> None:
    if backend.grades["core"] != "kernel":
        pytest.skip(backend.gaps["core"])
    first, second = two_cores
    job = create(core=second)
    code = f"""
tell(*os.sched_getaffinity(0))
try:
    os.sched_setaffinity(0, {{{first}}})
    tell("moved")
except OSError as error:
    tell(error.errno)
"""
    process = enter(job, code)
    assert _line(process) == str(second)
    assert _line(process) == str(errno.EINVAL)


@pytest.mark.parametrize(
    ("change", "limit"),
    [({"processes": 1 << 40}, r"pids\.max"), ({"core": 4000}, r"cpuset\.cpus")],
    ids=["processes", "core"],
)
def test_a_limit_that_the_kernel_refuses_is_named_and_leaves_nothing(
    backend: Backend, create: Create, change: dict[str, int], limit: str
) -> None:
    if "core" in change and backend.grades["core"] != "kernel":
        pytest.skip(backend.gaps["core"])
    fds = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    with pytest.raises(SetupError, match=limit):
        create(**change)
    assert len(os.listdir("/proc/self/fd")) == fds  # noqa: PTH208
    create()  # of the same name: nothing is in its way


def _holds(job: JobCgroup, pid: int) -> bool:
    return job.holds_payload(pid, Path(f"/proc/{pid}/cgroup").read_bytes())


def test_only_the_payload_is_held_to_be_the_payload(create: Create, enter: Enter) -> None:
    job = create()
    payload, init = enter(job, HOLD), enter(job, HOLD, beside_init=True)
    assert _line(payload) == _line(init) == "in"
    assert _holds(job, payload.pid)
    assert not _holds(job, init.pid)
    assert not _holds(job, os.getpid())
    assert not job.holds_payload(payload.pid, b""), "nothing is known of it"
    assert job.pids() == [payload.pid]


def test_a_populated_job_is_not_destroyed_and_an_empty_one_leaves_no_fd(
    backend: Backend, create: Create, enter: Enter
) -> None:
    fds = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    job = backend.create("populated", LIMITS)
    process = enter(job, HOLD)
    assert _line(process) == "in"
    with pytest.raises(OSError, match="busy") as refusal:
        job.destroy()
    assert refusal.value.errno == errno.EBUSY
    assert _holds(job, process.pid), "the job still stands"
    process.kill()
    process.communicate()
    destroy(job)
    assert len(os.listdir("/proc/self/fd")) == fds  # noqa: PTH208
    backend.create("populated", LIMITS).destroy()


def test_an_abandoned_job_is_removed_when_its_last_process_has_gone(
    backend: Backend, enter: Enter
) -> None:
    fds = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    job = backend.create("abandoned", LIMITS)
    process = enter(job, HOLD)
    assert _line(process) == "in"
    job.abandon()
    pipes = 2
    assert len(os.listdir("/proc/self/fd")) == fds + pipes  # noqa: PTH208
    bases = [Path(base) for base in backend.path.split()]
    left = [path for base in bases for path in base.glob("sandbox-run-*/abandoned")]
    assert left
    backend.create("next", LIMITS).destroy()
    assert [path for path in left if path.exists()] == left, "a process is in them"
    process.kill()
    process.communicate()
    for number in range(100_000):  # it leaves its cgroup a moment after it is reaped
        destroy(backend.create(f"next{number}", LIMITS))
        if not any(path.exists() for path in left):
            break
    assert not [path for path in left if path.exists()]


def test_kill_ends_the_payload_and_spares_init(create: Create, enter: Enter) -> None:
    job = create()
    payload, init = enter(job, HOLD), enter(job, HOLD, beside_init=True)
    assert _line(payload) == _line(init) == "in"
    if not job.kill():
        pytest.skip("this kernel has no cgroup.kill: cgroup v1, or v2 before Linux 5.14")
    assert payload.wait() == -signal.SIGKILL
    assert job.pids() == [] and init.poll() is None


def test_the_entry_fds_can_be_closed_early(create: Create, enter: Enter) -> None:
    job = create()
    process = enter(job, HOLD)
    assert _line(process) == "in"
    job.close_entries()
    assert job.entry_fds == ()
    assert job.pids() == [process.pid] and job.sample().memory_peak_bytes


def test_no_process_of_another_user_is_taken_in(create: Create) -> None:
    job = create()
    if os.geteuid() == 0:
        pytest.skip("root may move any process")
    (*_, fd) = ways_in(job)
    with pytest.raises(PermissionError):
        os.write(fd, b"1")


RUNNER = """
import os, subprocess, sys
from sandbox.supervisor.cgroup import find_backend
from tests.supervisor.cgroup.conftest import ENTER, LIMITS, ways_in
backend = find_backend(os.geteuid())
job = backend.create("left", LIMITS)
hold = "tell(os.getpid()); os.read(int(sys.stdin.readline()), 1)"
reading, writing = os.pipe()
fds = ways_in(job)
command = [sys.executable, "-S", "-c", ENTER + hold, *map(str, fds)]
# The child keeps both ends of its pipe, so nothing but a signal ends it.
child = subprocess.Popen(
    command, stdin=subprocess.PIPE, pass_fds=(*fds, reading, writing)
)
child.stdin.write(b"%d\\n" % reading)
child.stdin.flush()
sys.stdin.read()
"""


def test_what_a_killed_runner_left_is_swept_with_its_processes(backend: Backend) -> None:
    if backend.how == "systemd user scope":
        pytest.skip("a second runner has a scope of its own, which systemd removes")
    runner = subprocess.Popen(
        [sys.executable, "-c", RUNNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    orphan = os.pidfd_open(int(_line(runner)))
    (run,) = Path(backend.path.split()[0]).glob(f"sandbox-run-{runner.pid}-*")
    assert run.name not in backend.sweep(), "a live runner's cgroups were swept"
    runner.kill()
    runner.wait()
    backend.sweep()  # unless another runner of ours was quicker
    assert select.select([orphan], [], [], 0)[0] == [orphan], "its payload lives on"
    os.close(orphan)
    assert not [base for base in backend.path.split() if (Path(base) / run.name).exists()]


FOLLOWED = """
import os, subprocess, sys
from sandbox.supervisor.cgroup import find_backend
from sandbox.supervisor.cgroup.files import process_cgroups
child = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
before = process_cgroups()
backend = find_backend(os.geteuid())
print(process_cgroups(child.pid) == process_cgroups())
child.communicate()
backend.close()
if backend.how != "systemd user scope":
    print(process_cgroups() == before)
"""


def test_a_child_that_was_started_before_comes_along(backend: Backend) -> None:
    # The zygote: it starts first, and may clone only below a cgroup that it is in.
    ended = subprocess.run([sys.executable, "-c", FOLLOWED], stdout=subprocess.PIPE)
    assert ended.returncode == 0 and {*ended.stdout.split()} == {b"True"}


def test_a_uid_without_a_subtree_is_told_the_fix(backend: Backend) -> None:
    with pytest.raises(HostError, match=r"fix: sandbox setup --user nobody \(as root\)"):
        find_backend(65534)
