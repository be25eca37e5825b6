"""The same on the distribution's own kernel, in QEMU: with cpusets, Landlock and two CPUs.

It is slow without KVM, so by default it is a few tests; SANDBOX_LONG=1 runs them all.
"""

import json
import sys

import pytest
from guest.guests import IS_LONG, guest, pass_in_guest

QEMU = ("--kernel=qemu", "--cpus=2")

long = pytest.mark.skipif(not IS_LONG, reason="long form: SANDBOX_LONG=1")


def test_a_core_is_a_jobs_own_and_every_wall_is_up() -> None:
    job = ("--core=1", "--require-grade=core=kernel", "--json", "--")
    command = ("/bin/grep", "Cpus_allowed_list", "/proc/self/status")
    ended = guest(*QEMU, "--", sys.executable, "-m", "sandbox", "run", *job, *command)
    assert (ended.returncode, ended.stderr) == (0, b"Cpus_allowed_list:\t1\n"), ended
    result = json.loads(ended.stdout)
    assert {*result["walls"].values()} == {"up"}, "Landlock and time namespaces are in this kernel"
    assert result["grades"]["core"] == result["grades"]["memory"] == "kernel"


@long
def test_without_the_memory_controller_nothing_runs_and_the_fix_is_told() -> None:
    pass_in_guest("tests/guest/inside/undelegated.py", *QEMU, "--kernel-args=cgroup_disable=memory")


@long
def test_each_limit_holds() -> None:
    pass_in_guest("tests/supervisor/cgroup", *QEMU)


@long
def test_whole_jobs_end_at_their_limits() -> None:
    pass_in_guest("tests/guest/inside/jobs.py", *QEMU)


@long
def test_root_drops_and_runs_jobs() -> None:
    pass_in_guest("tests/guest/inside/jobs_of_root.py", *QEMU, "--user=0")


@long
@pytest.mark.parametrize("tests", ["subtrees", "disturbed"])
def test_each_case_of_cgroups(tests: str) -> None:
    pass_in_guest(f"tests/guest/inside/{tests}.py", *QEMU, "--user=0")


@long
def test_systemd_delegates_and_limits() -> None:
    pass_in_guest("tests/guest/inside/systemd.py", *QEMU, "--user=0", "--systemd")
