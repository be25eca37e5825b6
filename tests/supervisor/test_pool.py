"""The pool: a warm job ends as a cold one does, and no caller makes it fail or flood the host."""

import errno
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import trio
from supervisor.resident import HELD, ROOMY, TRUE, Held, Outcome, Resident, python, resident, until
from trio.testing import trio_test

from sandbox.kernel.processes import CLONE_NEWUSER, pidfd_send_signal
from sandbox.spec.errors import ExecError, SetupError, SpecError
from sandbox.spec.job import Artifact, Input, Job
from sandbox.spec.policy import Policy, SyscallRule, limits_for, load_policy
from sandbox.supervisor import artifacts, pool
from sandbox.supervisor.lifecycle import Cancellation
from sandbox.supervisor.pool import SANDBOX_BYTES, Budget, Line
from sandbox.supervisor.sandbox import Sandbox
from sandbox.supervisor.template import Template
from sandbox.supervisor.zygote import Zygote

NATIVE = load_policy("native")
# Shows a job its own cgroup's files: what is in force, by the kernel's word.
SHOWN = load_policy("default")._replace(name="shown", cgroup_files=True)

# All that a job can see of itself, but for what differs between any two.
SHOW = r"""
import os, resource
print(os.getcwdb(), os.getresuid(), os.getresgid(), os.getgroups(), os.umask(0), os.getsid(0))
print(sorted(os.environb.items()), os.uname().nodename, os.sched_getaffinity(0))
print([resource.getrlimit(n) for n in range(resource.RLIMIT_NOFILE + 9)])
print(os.listdir("/proc/self/fd"))
for line in open("/proc/self/mountinfo"): print(line.split(",uid=")[0].split()[3:])
for line in open("/proc/self/status"):
    if line.startswith(("Cap", "NoNew", "Seccomp", "Sig", "NSpid", "PPid", "Cpus")): print(line)
for top in ("/", "/work", "/tmp", "/dev", "/dev/shm", "/etc"): print(top, sorted(os.listdir(top)))
for top in ("/work", "/tmp", "/dev/shm"):
    found = os.statvfs(top)
    print(top, found.f_blocks, found.f_bfree, found.f_files, found.f_ffree)
FILES = ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.swappiness", "pids.max",
         "cpu.cfs_quota_us", "cpu.cfs_period_us", "cpuset.cpus", "memory.max", "memory.swap.max",
         "memory.oom.group", "cpu.max")
for top, _, names in os.walk("/sys/fs/cgroup"):
    for name in sorted(names):
        if name in FILES: print(top, name, open(top + "/" + name).read())
"""
GROW = "held = bytearray({}); held[::4096] = bytes(len(held[::4096])); print(len(held))"
FILL = r"""
import os
fd, sizes = os.open({!r}, os.O_CREAT | os.O_WRONLY), 0
try:
    while True: sizes += os.write(fd, bytes(4096))
except OSError as error:
    print(error.errno, sizes, flush=True)
    raise
"""
FORK = r"""
import os, time
for n in range(200):
    try:
        if os.fork() == 0: time.sleep(60)
    except BlockingIOError:
        raise SystemExit(f"stopped at {n}")
"""
OPEN = r"""
import os
try:
    while True: last = os.open("/dev/null", os.O_RDONLY)
except OSError as error:
    raise SystemExit(f"{error.errno} after {last}")
"""
KILLED = "import ctypes; ctypes.CDLL(None).ptrace(16, 1, 0, 0)"
INODES = "import os\nfor n in range(9999): open(f'/tmp/{n}', 'x').close()"
READ = r"""
import os
for top in ("/work/in", "/data", "/work/file"):
    for path, _, names in os.walk(top):
        for name in sorted(names):
            file = path + "/" + name
            print(file, open(file).read(), os.access(file, os.W_OK))
    if os.path.isfile(top): print(top, open(top).read())
print(os.stat("/work").st_mode, [os.access(p, os.W_OK) for p in ("/work/in", "/data")])
"""
LEAVE = "open('left', 'w').write('a' * 100000); open('/tmp/other', 'w').write('b')"


class Case(NamedTuple):
    """One job, and what must come of it, warm or cold."""

    name: str
    job: Job
    verdict: str | None  # None: an ExecError
    stdin: bytes | None = None


def case(name: str, program: str, verdict: str = "exited", **changes: Any) -> Case:
    stdin = changes.pop("stdin", None)
    limits = {"cpu_seconds": 20.0, "wall_seconds": 20.0} | changes.pop("limits", {})
    return Case(name, python(program)._replace(limits=limits, **changes), verdict, stdin)


MIB = 1 << 20
LESS = {
    "memory_bytes": 24 * MIB, "processes": 8, "cpus": 0.5, "disk_bytes": 1 * MIB,
    "disk_inodes": 64, "fds": 16, "stack_bytes": 1 * MIB, "output_bytes": 50_000,
}  # fmt: skip
MORE = {
    "memory_bytes": 900 * MIB, "processes": 99, "cpus": 2.0, "disk_bytes": 77 * MIB,
    "disk_inodes": 9999, "fds": 300, "stack_bytes": 64 * MIB, "output_bytes": 90_000,
}  # fmt: skip
LEAST = {
    "memory_bytes": 1 * MIB, "processes": 1, "cpus": 0.01, "disk_bytes": 64 << 10,
    "disk_inodes": 16, "fds": 4, "stack_bytes": 128 << 10, "output_bytes": 1,
}  # fmt: skip
CASES = [
    case("shows itself", SHOW),
    case("less of everything", SHOW, limits=LESS),
    case("more of everything", SHOW, limits=MORE),
    case("disk apart", SHOW, limits=LESS, disk_counts="apart"),
    case("a core", SHOW, limits={"core": max(os.sched_getaffinity(0)), "cpus": 1.0}),
    case("exit code", "raise SystemExit(7)"),
    case("signal", "import os; os.abort()", "signaled"),
    case("memory", GROW.format(100 * MIB), "memory", limits={"memory_bytes": 40 * MIB}),
    case("more memory", GROW.format(300 * MIB), limits={"memory_bytes": 400 * MIB}),
    case("fork bomb", FORK, "processes", limits={"processes": 12}),
    case("more processes", FORK, "processes", limits={"processes": 90}),
    case("cpu time", "while True: pass", "cpu_time", limits={"cpu_seconds": 0.3}),
    case("wall time", "import time; time.sleep(60)", "wall_time", limits={"wall_seconds": 0.5}),
    case("idle", "import time; time.sleep(60)", "idle", limits={"idle_seconds": 0.4}),
    case("output", "while True: print('x' * 99)", "output", limits={"output_bytes": 12345}),
    case("disk", FILL.format("/work/x"), "disk", limits={"disk_bytes": 2 * MIB}),
    case("more disk", FILL.format("/tmp/x"), "disk", limits={"disk_bytes": 21 * MIB}),
    case("odd disk", FILL.format("/dev/shm/x"), "disk", limits={"disk_bytes": 1234567}),
    case("inodes", INODES, "disk", limits={"disk_inodes": 100}),
    case("fds", OPEN, limits={"fds": 23}),
    case("more fds", OPEN, limits={"fds": 400}),
    case("violation", KILLED, "violation"),
    Case("least of all", TRUE._replace(limits=LEAST), "exited"),
    Case("not found", Job((b"no-such-program",)), None),
    Case("not executable", Job((b"/etc/passwd",)), None),
    case("stdin", "import sys; print(sys.stdin.read())", stdin=b"\0bytes\n" * 20_000),
    case("environment", SHOW, environment={b"A": b"b=\xff", b"PATH": b"/bin"}),
    case("a terminal", SHOW + "print(os.ttyname(0), os.get_terminal_size())", tty=True),
    case("below cwd", SHOW, cwd=b"/work/a/b"),
    case("another cwd", SHOW, cwd=b"/somewhere"),
    case("artifacts", LEAVE, artifacts=("left", "/tmp/other", "never")),
    case("binds", READ, inputs=("ro /work/in", "ro /data")),
    case("one bind", READ, inputs=("ro /work/in",), limits={"disk_bytes": 3 * MIB}),
    case("copies", READ, inputs=("copy /work/in", "copy /work/file")),
    case("all inputs", READ, inputs=("ro /data", "copy /work/file", "copy /work/in")),
]  # fmt: skip


class Way(NamedTuple):
    """What a case came to, and what it left in its artifacts."""

    outcome: Outcome
    left: dict[str, bytes]
    sandbox: Sandbox  # it ran in
    built_with: Any  # limits


def staged(job: Job, tmp_path: Path, way: str) -> Job:
    """The job with the files that a case only names."""
    source = tmp_path / "in"
    if not source.exists():
        (source / "deep").mkdir(parents=True)
        for name in ("one", "deep/two"):
            (source / name).write_text(f"of {name}")
    inputs = []
    for text in map(str, job.inputs):
        kind, place = text.split()
        path = source / "one" if place == "/work/file" else source
        inputs.append(Input(path, place.encode(), copied=kind == "copy"))
    collected = tmp_path / way
    collected.mkdir(exist_ok=True)
    wanted = tuple(
        Artifact(bytes(Path("/work") / name), collected / Path(name).name)
        for name in map(str, job.artifacts)
    )
    return job._replace(inputs=tuple(inputs), artifacts=wanted)


async def pieces(data: bytes):
    yield data


async def run_case(here: Resident, one: Case, tmp_path: Path, way: str) -> Way:
    job = staged(one.job, tmp_path, way)
    if way == "warm":
        # Parked with limits of its own, which the job's must replace.
        core = {"core": min(os.sched_getaffinity(0))} if "core" in job.limits else {}
        before = {"memory_bytes": 200 * MIB, "processes": 33, "disk_bytes": 5 * MIB, **core}
        prime = job._replace(command=(b"/usr/bin/true",), limits=before, artifacts=())
        await here.pool.filled()
        (await here.run(prime, SHOWN)).must_end()
        await here.pool.filled()
    spy = here.spy
    counts = len(spy.taken), len(spy.requested)
    stdin = None if one.stdin is None else pieces(one.stdin)
    with trio.fail_after(30):
        outcome = await here.run(job, SHOWN, stdin=stdin)
    assert (len(spy.taken) - counts[0], len(spy.requested) - counts[1]) == (
        (1, 0) if way == "warm" else (0, 1)
    ), f"{one.name} did not get its sandbox the {way} way"
    sandbox = (spy.taken if way == "warm" else spy.requested)[-1]
    left = {path.name: path.read_bytes() for path in sorted((tmp_path / way).iterdir())}
    return Way(outcome, left, sandbox, spy.limits[sandbox])


@pytest.fixture(scope="module")
def ways(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Way | Exception]]:
    """Every case, cold and warm; what kept one from ending is told by its own test."""
    found: dict[str, dict[str, Way | Exception]] = {one.name: {} for one in CASES}

    async def run_all() -> None:
        for way, budget in (("cold", None), ("warm", ROOMY)):
            async with resident(budget, patience=240) as here:
                for one in CASES:
                    directory = directories[one.name]
                    try:
                        found[one.name][way] = await run_case(here, one, directory, way)
                    except Exception as error:
                        found[one.name][way] = error

    directories = {one.name: tmp_path_factory.mktemp("case") for one in CASES}
    trio.run(run_all)
    return found


MEASURED = r"cpu \S+ s|wall \S+ s|oom(_kill)?=\d+|peak \S+ MiB|max=\d+"
COMPARED = (
    "verdict", "exit_code", "signal", "disk_peak_bytes", "disk_peak_inodes", "stdout_bytes",
    "stderr_bytes", "stdin_bytes", "walls", "grades", "artifacts",
)  # fmt: skip


def comparable(way: Way) -> dict[str, Any]:
    """All that must be equal, whichever way the sandbox came."""
    outcome = way.outcome
    streams = {
        "stdout": outcome.stdout.splitlines(),
        "stderr": outcome.stderr.splitlines(),
        "left": way.left,
    }
    if outcome.error is not None:
        return {**streams, "error": (type(outcome.error), str(outcome.error))}
    result = outcome.must_end()
    return {
        **streams,
        **{name: getattr(result, name) for name in COMPARED},
        "evidence": [re.sub(MEASURED, "#", line) for line in result.evidence],
        "identity": {k: v for k, v in result.identity.items() if k != "host_uid"},
        "sampled": {k for k, v in result.to_mapping().items() if v is not None},
    }


@pytest.mark.parametrize("one", CASES, ids=lambda one: one.name)
def test_a_warm_job_ends_as_a_cold_one_does(one: Case, ways: dict) -> None:
    cold, warm = (ways[one.name][way] for way in ("cold", "warm"))
    for way in (cold, warm):
        if isinstance(way, Exception):
            raise way
    limits = limits_for(one.job, SHOWN)
    assert cold.built_with == limits
    assert warm.built_with != limits, "it was to be fitted to another job than it was built for"
    if one.verdict is None:
        assert isinstance(cold.outcome.error, ExecError)
    else:
        assert cold.outcome.must_end().verdict == one.verdict, cold.outcome
    ours, theirs = comparable(warm), comparable(cold)
    assert {name: (ours[name], theirs[name]) for name in ours if ours[name] != theirs[name]} == {}
    if warm.outcome.result is not None:
        assert warm.outcome.result.identity["host_uid"] == (
            warm.sandbox.lease.host_uid if warm.sandbox.lease else os.getuid()
        )


@trio_test
async def test_a_job_sees_nothing_of_the_one_before(leftovers: None) -> None:
    leave = python(
        "import os, ctypes, time\n"
        "for top in ('/work', '/tmp', '/dev/shm'): open(top + '/secret', 'w').write('x')\n"
        "assert ctypes.CDLL(None, use_errno=True).shmget(4711, 4096, 0o1666) >= 0\n"
        "if os.fork() == 0: os.setsid(); time.sleep(60)\n"
    )
    look = python(
        "import os, ctypes\n"
        "print([os.listdir(top) for top in ('/work', '/tmp', '/dev/shm')])\n"
        "print(ctypes.CDLL(None, use_errno=True).shmget(4711, 4096, 0), ctypes.get_errno())\n"
        "print([name for name in os.listdir('/proc') if name.isdigit()])\n"
    )
    async with resident() as here:
        policy = load_policy("default")
        await here.parked(2, HELD, policy)
        outcomes = []
        for job in (leave, look, leave, look):
            outcomes.append(await here.run(job, policy))
            await here.pool.filled()
        assert len(here.spy.taken) >= 4, "all of them were to be warm"
        used = [*here.spy.requested, *here.spy.taken]
        assert len(set(used)) == len(used), "one sandbox served two jobs"
        for outcome in outcomes:
            assert outcome.must_end().exit_code == 0, outcome
        for seen in (outcomes[1], outcomes[3]):
            assert seen.stdout.decode().splitlines() == [
                "[[], [], []]",
                f"-1 {errno.ENOENT}",
                "['1', '2']",
            ]


@trio_test
async def test_parked_sandboxes_have_ids_of_their_own(leftovers: None) -> None:
    async with resident() as here:
        if here.ground.identities is None:
            pytest.skip("no subordinate ids on this host")
        parked = await here.parked(4)
        assert len({sandbox.lease.host_uid for sandbox in parked}) == 4
        await here.at_once(4)
        assert set(here.spy.taken[-4:]) == set(parked)
        await here.pool.filled()
        again = {sandbox.lease.host_uid for sandbox in here.idle}
        assert len(again) == 4
        assert not again & {sandbox.lease.host_uid for sandbox in parked}


def _kill_stub(sandbox: Sandbox, _here: Resident) -> None:
    os.kill(sandbox._stub_pid, signal.SIGKILL)


def _kill_init(sandbox: Sandbox, _here: Resident) -> None:
    pidfd_send_signal(sandbox._pidfd, signal.SIGKILL)


MOVE = """
import os, sys
from sandbox.kernel.processes import setns
base_fd, base_id, target, pid = sys.argv[1:]
setns(int(base_fd), {flag})
os.setresgid(int(base_id), int(base_id), int(base_id))
os.setresuid(int(base_id), int(base_id), int(base_id))
open(target, "w").write(pid)
"""


def _move_stub(sandbox: Sandbox, here: Resident) -> None:
    """Into the cgroup above its own: out of its limits."""
    own = next(path for path in here.cgroups() if str(sandbox._stub_pid) in _pids(path))
    target = own.parent / "cgroup.procs"
    mode = target.stat().st_mode
    if here.ground.backend.version != 1:
        pytest.skip("v2 has no process in a cgroup with children")
    target.chmod(0o666)  # v1 asks for the uid of the moved process
    try:
        code = MOVE.format(flag=CLONE_NEWUSER)
        base_id = sandbox.lease.base_id if sandbox.lease else 0
        words = map(str, (here.ground.base_fd, base_id, target, sandbox._stub_pid))
        subprocess.run(
            [sys.executable, "-c", code, *words], check=True, pass_fds=(here.ground.base_fd,)
        )
    finally:
        target.chmod(mode)
    assert str(sandbox._stub_pid) in _pids(own.parent), "control: it was moved"


def _pids(cgroup: Path) -> list[str]:
    return (cgroup / "cgroup.procs").read_text().split()


@pytest.mark.parametrize("harm", [_kill_stub, _kill_init, _move_stub])
@trio_test
async def test_a_parked_sandbox_that_changed_is_not_used(
    harm: Callable[[Sandbox, Resident], None], leftovers: None
) -> None:
    async with resident() as here:
        (harmed,) = await here.parked()
        cgroups = set(here.cgroups())
        harm(harmed, here)
        await until(lambda: not harmed.is_sound())
        assert (await here.run(TRUE)).must_end().exit_code == 0
        assert harmed not in here.spy.taken
        assert len(here.spy.requested) == 2, "both jobs were cold"
        await here.pool.filled()
        await until(lambda: not cgroups & set(here.cgroups()))
        assert harmed._pidfd == -1, "it was destroyed"
        assert (await here.run(TRUE)).must_end().exit_code == 0
        assert len(here.spy.taken) == 1


class _Untold:
    def poll(self, *_: object) -> None:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))


@trio_test
async def test_a_parked_sandbox_of_which_the_kernel_does_not_tell_is_destroyed(
    leftovers: None,
) -> None:
    async with resident() as here:
        (parked,) = await here.parked()
        parked._deaths = _Untold()
        assert (await here.run(TRUE)).must_end().exit_code == 0
        assert parked not in here.spy.taken
        await until(lambda: parked._pidfd == -1)


@pytest.mark.parametrize("harm", [_kill_stub, _kill_init])
@trio_test
async def test_of_several_parked_the_sound_one_is_used(
    harm: Callable[[Sandbox, Resident], None], leftovers: None
) -> None:
    async with resident() as here:
        parked = await here.parked(3)
        for harmed in parked[1:]:
            harm(harmed, here)
            await until(lambda harmed=harmed: not harmed.is_sound())
        assert (await here.run(TRUE)).must_end().exit_code == 0
        assert here.spy.taken == parked[:1]


@trio_test
async def test_a_burst_is_served_and_the_budget_held(leftovers: None) -> None:
    count, at_once = 250, 64
    budget = Budget(memory_bytes=5 * SANDBOX_BYTES, least_free_bytes=0)
    policies = [NATIVE._replace(name=f"of {n}") for n in range(4)]
    chance = random.Random(4)
    codes: list[int | None] = []

    async def submit(policy: Policy) -> None:
        async with limiter:
            codes.append((await here.run(TRUE, policy)).must_end().exit_code)

    async with resident(budget) as here:
        for policy in policies:
            await here.parked(1, TRUE, policy)
        limiter = trio.CapacityLimiter(at_once)
        async with trio.open_nursery() as nursery:
            for _ in range(count):
                nursery.start_soon(submit, chance.choice(policies))
        assert codes == [0] * count
        assert here.spy.most_idle <= 5
        assert len(here.spy.taken) >= 4, "what was parked was used"


@pytest.mark.parametrize("room", [1, 2])
@trio_test
async def test_lines_over_the_budget_come_to_rest(room: int) -> None:
    budget = Budget(memory_bytes=room * SANDBOX_BYTES, least_free_bytes=0)
    async with resident(budget) as here:
        for name in ("first", "second", "last"):
            (await here.run(TRUE, NATIVE._replace(name=name))).must_end()
        at_rest = False

        async def wait() -> None:
            nonlocal at_rest
            await here.pool.filled()
            at_rest = True

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await until(lambda: at_rest or here.spy.refills > 20)
            nursery.cancel_scope.cancel()
        assert at_rest, f"{here.spy.refills} refills, and no end"
        (await here.run(TRUE, NATIVE._replace(name="last"))).must_end()
        assert here.spy.taken, "the line used last has room"


@trio_test
async def test_without_memory_to_spare_nothing_is_parked(leftovers: None) -> None:
    async with resident(Budget(least_free_bytes=1 << 60)) as here:
        for _ in range(3):
            assert (await here.run(TRUE)).must_end().exit_code == 0
            await here.pool.filled()
            assert not here.idle
        assert here.spy.refills == 0
        assert len(here.spy.requested) == 3


@trio_test
async def test_parked_sandboxes_are_dropped_when_memory_gets_short(leftovers: None) -> None:
    async with resident() as here:
        await here.parked(3)
        cgroups = set(here.cgroups())
        here.pool._budget = replace(ROOMY, least_free_bytes=1 << 60)
        await until(lambda: not here.idle)  # it looks by itself
        await until(lambda: not cgroups & set(here.cgroups()))
        assert (await here.run(TRUE)).must_end().exit_code == 0
        here.pool._budget = ROOMY
        await here.parked()
        assert len(here.idle) >= 1, "and it parks again when there is memory"


def _unknown_syscall(patch: pytest.MonkeyPatch) -> tuple[Job, Policy, type[Exception]]:
    rule = SyscallRule(("no_such_call",), "allow")
    return TRUE, NATIVE._replace(name="bad", syscalls=(*NATIVE.syscalls, rule)), SpecError


def _unmountable(patch: pytest.MonkeyPatch) -> tuple[Job, Policy, type[Exception]]:
    return TRUE._replace(cwd=b"/etc/passwd/x"), NATIVE._replace(name="bad"), SetupError


def _only_at_refill(patch: pytest.MonkeyPatch) -> tuple[Job, Policy, None]:
    build, calls = Template.build, []

    async def refuse_all_but_the_first(template: Template, *args: Any, **keys: Any) -> Sandbox:
        if template.key.policy.name == "bad":
            calls.append(template)
            if len(calls) > 1:
                raise SetupError("step 7 (pivot) failed: no payload was started")
        return await build(template, *args, **keys)

    patch.setattr(Template, "build", refuse_all_but_the_first)
    return TRUE, NATIVE._replace(name="bad"), None


def _too_little_memory(patch: pytest.MonkeyPatch) -> tuple[Job, Policy, type[Exception]]:
    return TRUE._replace(limits={"memory_bytes": 1 << 12}), NATIVE._replace(name="bad"), SetupError


@pytest.mark.parametrize(
    "setup", [_unknown_syscall, _unmountable, _only_at_refill, _too_little_memory]
)
@trio_test
async def test_a_line_that_cannot_be_filled_does_not_starve_others(
    setup: Callable, monkeypatch: pytest.MonkeyPatch, leftovers: None
) -> None:
    monkeypatch.setattr(pool, "_FAILURE_SECONDS", (1000.0, 1000.0))
    async with resident() as here:
        job, policy, failure = setup(monkeypatch)
        outcome = await here.run(job, policy)
        if failure is not None:
            assert isinstance(outcome.error, failure), outcome
        await here.pool.filled()
        tried = here.spy.refills
        assert tried <= 1
        for _ in range(3):
            await here.parked(1, TRUE, NATIVE._replace(name="good"))
            await here.run(job, policy)
            await here.pool.filled()
        assert len(here.spy.taken) == 2, "the other policy is served warm"
        assert here.spy.refills == tried + 3, "nobody tried the bad line again so soon"


@trio_test
async def test_a_line_that_failed_is_filled_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "_FAILURE_SECONDS", (0.01, 0.01))
    async with resident() as here:
        with pytest.MonkeyPatch.context() as patch:
            job, policy, _ = _only_at_refill(patch)
            (await here.run(job, policy)).must_end()
            await here.pool.filled()
            assert not here.idle
        await until(lambda: _line(here)._retry_at < time.monotonic())
        (await here.run(job, policy)).must_end()
        await here.pool.filled()
        assert len(here.idle) == 1


@trio_test
async def test_each_failure_doubles_the_pause_up_to_a_minute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Broken:
        is_closed = is_retired = False

        async def build(self, *_: Any, **__: Any) -> Sandbox:
            raise SetupError("step 7 (pivot) failed")

    now = 1000.0
    monkeypatch.setattr(pool, "time", SimpleNamespace(monotonic=lambda: now))
    line, pauses = Line(Broken(), None), []
    for _ in range(8):
        line.begin(limits_for(TRUE, NATIVE), disk_apart=False)
        assert line.is_short()
        await line.refill()
        started = now
        while not line.is_short():
            now += 0.5
        pauses.append(now - started)
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]


def _line(here: Resident) -> Line:
    (line,) = here.pool._lines.values()
    return line


@trio_test
async def test_an_edited_policy_drops_what_was_parked_for_the_old_one(leftovers: None) -> None:
    edited = NATIVE._replace(environment={**NATIVE.environment, b"EDITED": b"yes"})
    job = Job((b"/usr/bin/env",), "native")
    async with resident() as here:
        (old,) = await here.parked(1, job)
        outcome = await here.run(job, edited)
        assert b"EDITED=yes" in outcome.stdout
        assert old not in here.spy.taken
        await here.pool.filled()
        await until(lambda: old._pidfd == -1)
        assert [line.template.key.policy for line in here.pool._lines.values()] == [edited]
        assert b"EDITED=yes" in (await here.run(job, edited)).stdout
        assert len(here.spy.taken) == 1


@trio_test
async def test_a_policy_edited_while_its_job_runs_is_forgotten_after_that(leftovers: None) -> None:
    edited = NATIVE._replace(environment={**NATIVE.environment, b"EDITED": b"yes"})
    held = Held()
    async with resident() as here:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: here.run(HELD, stdin=held.stdin(), sink=held.sink))
            await held.runs.wait()
            assert (await here.run(TRUE, edited)).must_end().exit_code == 0
            held.end.set()
        await here.pool.filled()
        old = [line for line in here.pool._lines.values() if line.template.key.policy != edited]
        assert not [line for line in old if line.idle], "parked for a policy that is no more"
        assert not here.supervisor._retired, "its zygote is not ended"


@trio_test
async def test_old_sandboxes_are_dropped_and_replaced(leftovers: None) -> None:
    async with resident() as here:
        (old,) = await here.parked()
        old.built_at -= 2 * ROOMY.age_seconds
        await until(lambda: old not in here.idle)  # it looks by itself
        await until(lambda: old._pidfd == -1 and here.idle)
        assert (await here.run(TRUE)).must_end().exit_code == 0
        assert here.spy.taken and old not in here.spy.taken


@trio_test
async def test_a_line_that_nobody_uses_is_emptied(leftovers: None) -> None:
    async with resident() as here:
        await here.parked()
        line = _line(here)
        line.used_at -= 2 * ROOMY.age_seconds
        line._peaks, line._window_ends_at = [0, 0], float("inf")  # its windows are long over
        await until(lambda: not here.idle)
        refills = here.spy.refills
        await here.pool.filled()
        assert here.spy.refills == refills


@trio_test
async def test_no_refill_begins_beside_short_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "_QUIET_SECONDS", 5.0)  # so every job is a short one
    refills = []
    async with resident() as here:
        await here.parked(2)
        before = here.spy.refills
        first = Held()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: here.run(HELD, stdin=first.stdin(), sink=first.sink))
            await first.runs.wait()
            for _ in range(20):  # each overlaps with the one that is held
                (await here.run(TRUE)).must_end()
                refills.append(here.spy.refills)
            first.end.set()
        assert set(refills) == {before}
        await here.pool.filled()
        assert here.spy.refills > before, "control: it was short all the time"


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one core: nothing is free beside a job")
@trio_test
async def test_a_refill_goes_on_beside_one_long_job() -> None:
    held = Held()
    async with resident() as here:
        await here.parked()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: here.run(HELD, stdin=held.stdin(), sink=held.sink))
            await held.runs.wait()
            await until(lambda: here.idle)
            held.end.set()


@trio_test
async def test_lines_are_not_kept_for_ever() -> None:
    async with resident() as here:
        for number in range(5):
            (await here.run(TRUE._replace(cwd=b"/work/%d" % number))).must_end()
        await here.pool.filled()
        for line in here.pool._lines.values():
            line.used_at -= 2 * ROOMY.age_seconds
            line._peaks, line._window_ends_at = [0, 0], float("inf")
        await until(lambda: not here.idle)
        assert not here.pool._lines


class Phase(NamedTuple):
    """A moment of a job's life at which its caller leaves."""

    name: str
    is_warm: bool


PHASES = [
    Phase("build", False), Phase("zygote", False), Phase("clone", False), Phase("verify", False),
    Phase("inputs", False), Phase("inputs", True), Phase("binds", False), Phase("binds", True),
    Phase("run", False), Phase("run", True), Phase("collect", False), Phase("collect", True),
]  # fmt: skip


def _job_of(phase: Phase, tmp_path: Path) -> Job:
    source = tmp_path / "in"
    source.mkdir()
    (source / "big").write_bytes(bytes(8 << 20))  # more than a socket holds
    job = HELD._replace(limits={"memory_bytes": 256 << 20})
    if phase.name in ("inputs", "binds"):
        copied = phase.name == "inputs"
        return job._replace(inputs=(Input(source, b"/work/in", copied=copied),))
    if phase.name == "collect":
        return job._replace(artifacts=(Artifact(b"/work/none", tmp_path / "none"),))
    return job


class Leaving:
    """Has the caller leave when a phase begins: `leave` is called there, once armed."""

    MOMENTS = (
        ("build", Template, "build"),
        ("zygote", Zygote, "start"),
        ("clone", Zygote, "spawn"),
        ("verify", Sandbox, "_expect"),
        ("inputs", artifacts, "send"),
        ("binds", Sandbox, "_attach"),
        ("collect", artifacts, "receive"),
    )

    def __init__(self, phase: Phase, leave: Callable[[], None], patch: pytest.MonkeyPatch) -> None:
        self.is_armed = self.has_left = False
        self._phase, self._leave = phase, leave
        for name, owner, function in self.MOMENTS:
            patch.setattr(owner, function, self._seen(name, getattr(owner, function)))

    def at(self, name: str) -> None:
        if self.is_armed and name == self._phase.name:
            self.is_armed, self.has_left = False, True
            self._leave()

    async def sink(self, _stream: str, _data: bytes) -> None:
        self.at("run")

    def _seen(self, name: str, real: Callable) -> Callable:
        async def seen(*args: Any, **keys: Any) -> Any:
            self.at(name)
            return await real(*args, **keys)

        return seen


def _own_fds() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def _at_rest(here: Resident) -> None:
    await here.pool.filled()
    await until(lambda: len(here.cgroups()) == _places(here) * len(here.idle))


@pytest.mark.parametrize("phase", PHASES, ids=lambda phase: f"{phase.name}-{phase.is_warm:d}")
@pytest.mark.parametrize("how", ["caller", "task"])
@trio_test
async def test_a_caller_may_leave_at_any_time(
    how: str, phase: Phase, tmp_path: Path, leftovers: None
) -> None:
    job = _job_of(phase, tmp_path)
    fds = []
    async with resident() as here:
        for _ in range(2):
            if phase.is_warm:
                await here.parked(1, job)
            else:
                for template in list(here.supervisor._templates):
                    here.supervisor._retire(template)  # with it its zygote
            counts = len(here.spy.taken)
            cancellation, scope = Cancellation(), trio.CancelScope()
            outcome, held = None, Held()
            with pytest.MonkeyPatch.context() as patch:
                leave = cancellation.set if how == "caller" else scope.cancel
                leaving = Leaving(phase, leave, patch)
                leaving.is_armed = True
                if phase.name == "collect":
                    held.end.set()
                with scope:
                    outcome = await here.run(
                        job, stdin=held.stdin(), sink=leaving.sink, cancellation=cancellation
                    )
                assert leaving.has_left
            if how == "task":
                assert outcome is None and scope.cancelled_caught
            else:
                verdict = "exited" if phase.name == "collect" else "cancelled"
                assert outcome.must_end().verdict == verdict, outcome
            used = here.spy.taken[counts:]
            assert len(used) == phase.is_warm
            await _at_rest(here)
            assert not set(used) & set(here.idle), "it served a job, if only for a while"
            assert all(sandbox._pidfd == -1 for sandbox in used)
            assert (await here.run(TRUE)).must_end().exit_code == 0
            await _at_rest(here)
            fds.append((len(here.idle), _own_fds()))
        assert fds[0] == fds[1], "sandboxes parked, and fds of ours"


def _places(here: Resident) -> int:
    """The hierarchies that a job is in, where no core is asked for."""
    return len([path for path in here.ground.backend.path.split() if "cpuset" not in path])


@trio_test
async def test_what_was_dropped_is_parked_again(leftovers: None) -> None:
    async with resident() as here:
        dropped = await here.parked()
        here.pool.drop()
        assert not here.idle, "control: they are dropped"
        await here.pool.filled()
        assert here.idle and not set(dropped) & set(here.idle)
