"""Kernels that lack a file: what stands in, told and working. The file is hidden, all else real."""

import errno
import json
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from sandbox.spec.errors import HostError
from sandbox.supervisor.cgroup import Backend, JobCgroup, v2_job
from sandbox.supervisor.cgroup.features import FEATURES, check_required, stand_ins
from sandbox.supervisor.cgroup.files import Counters
from tests.supervisor.cgroup.test_cgroup_limits import ALLOCATE, FORK, MIB, Enter, _line

Create = Callable[..., JobCgroup]


@pytest.fixture
def hide(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Have no cgroup made from now on show a file of this name."""
    hidden: set[str] = set()
    open_all = Counters.open

    def open_shown(self: Counters, directory: str, names: Iterator[str], dir_fd: int) -> None:
        open_all(self, directory, [name for name in names if name not in hidden], dir_fd)

    monkeypatch.setattr(Counters, "open", open_shown)
    return hidden.add


@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: f"v{feature[0]} {feature[1]}")
def test_what_a_kernel_lacks_is_told_or_refused(feature: object) -> None:
    def lacks(file: str) -> bool:
        return file != feature.file

    if feature.instead is None:
        with pytest.raises(HostError, match=rf"{feature.file}.*fix: a kernel from Linux"):
            check_required(feature.version, lacks)
    else:
        check_required(feature.version, lacks)
        told = stand_ins(feature.version, lacks)
        assert [*told] == [feature.gives]
        assert feature.file in told[feature.gives]


def test_a_kernel_that_has_all_needs_no_stand_in() -> None:
    assert stand_ins(1, lambda file: True) == stand_ins(2, lambda file: True) == {}


def test_a_backend_tells_what_this_kernel_lacks(backend: Backend) -> None:
    gives = {feature.gives for feature in FEATURES if feature.version == backend.version}
    assert {*backend.stand_ins} <= gives


def test_a_peak_of_processes_that_nobody_counts_is_sampled(
    hide: Callable[[str], None], create: Create, enter: Enter
) -> None:
    hide("pids.peak")
    job = create(processes=16)
    processes = [enter(job, "tell('in'); sys.stdin.read()") for _ in range(3)]
    assert {_line(process) for process in processes} == {"in"}
    job.memory_split()  # as the supervisor looks while a job runs
    for process in processes:
        process.kill()
        process.communicate()
    assert job.sample().processes_peak == 3


def test_a_limit_of_processes_that_was_met_is_the_peak(
    hide: Callable[[str], None], create: Create, enter: Enter
) -> None:
    hide("pids.peak")
    job = create(processes=5)
    assert _line(enter(job, FORK)) == "4 EAGAIN"
    assert job.sample().processes_peak == 5


def test_a_peak_of_memory_that_nobody_counts_is_sampled(
    backend: Backend, hide: Callable[[str], None], create: Create, enter: Enter
) -> None:
    if backend.version == 1:
        pytest.skip("cgroup v1 has always had memory.max_usage_in_bytes")
    hide("memory.peak")
    job = create(memory_bytes=64 * MIB)
    process = enter(job, ALLOCATE + "; sys.stdin.read()")
    assert _line(process) == "allocated"
    job.memory_split()
    process.kill()
    process.communicate()
    peak = job.sample().memory_peak_bytes
    assert peak is not None and 40 * MIB <= peak < 64 * MIB
    over = create(memory_bytes=24 * MIB)
    enter(over, ALLOCATE).wait()
    assert over.sample().memory_peak_bytes == 24 * MIB, "its limit, which it met"


def test_without_cgroup_kill_the_payload_is_killed_through_init(
    backend: Backend, create: Create, monkeypatch: pytest.MonkeyPatch
) -> None:
    if backend.version == 1:
        pytest.skip("cgroup v1 has no cgroup.kill on any kernel: see test_kill_ends_the_payload")
    write = v2_job.write

    def write_shown(path: str, value: bytes, dir_fd: int) -> None:
        if path.endswith("cgroup.kill"):
            raise FileNotFoundError(errno.ENOENT, "hidden", path)
        write(path, value, dir_fd)

    monkeypatch.setattr(v2_job, "write", write_shown)
    assert create().kill() is False


LACKING = """
import sys
from sandbox.cli.main import main
from sandbox.supervisor.cgroup import features
unheard = ("memory.unheard", "9.9", "memory_peak_bytes", "sampled")
features.FEATURES += tuple(features.Feature(version, *unheard) for version in (1, 2))
sys.argv = ["sandbox", "run", "--host", "none", "--json", "--", "/bin/true"]
sys.exit(main())
"""


def test_the_result_of_a_job_tells_what_stood_in_for_what(backend: Backend) -> None:
    ended = subprocess.run([sys.executable, "-c", LACKING], capture_output=True)
    assert ended.returncode == 0, ended
    told = json.loads(ended.stdout)["host"]["stand_ins"]
    assert told["memory_peak_bytes"] == "sampled (no memory.unheard, Linux 9.9)"
