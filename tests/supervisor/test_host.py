"""Facts, against what the kernel shows elsewhere."""

import os
import sys
from pathlib import Path

import pytest

from sandbox.supervisor.fix import as_text
from sandbox.supervisor.host import facts, time_facts
from sandbox.supervisor.sysctls import sysctl_fixes


def test_facts_that_explain_times_are_this_host_s() -> None:
    found = time_facts().since()
    assert found["kernel"] == os.uname().release
    assert found["cores"] == os.cpu_count()
    assert found["steal_seconds"] >= 0


def test_facts_say_where_memory_is_limited() -> None:
    mounted = Path("/proc/self/mountinfo").read_text().splitlines()
    v1 = any(" - cgroup " in line and "memory" in line.rpartition(" ")[2] for line in mounted)
    v2 = any(" - cgroup2 " in line for line in mounted)
    assert facts().cgroups == ("v1" if v1 else "v2" if v2 else "none")


@pytest.mark.parametrize(
    ("sysctls", "words"),
    [
        ({}, []),
        ({"user.max_user_namespaces": 96365}, []),
        ({"user.max_user_namespaces": 0}, ["echo user.max_user_namespaces=28633"]),
        ({"kernel.unprivileged_userns_clone": 1}, []),
        ({"kernel.unprivileged_userns_clone": 0}, ["echo kernel.unprivileged_userns_clone=1"]),
        (
            {"kernel.apparmor_restrict_unprivileged_userns": 1},
            ["apparmor_parser -r", "userns,", str(Path(sys.executable).resolve())],
        ),
        ({"kernel.apparmor_restrict_unprivileged_userns": 0}, []),
        ({"vm.memfd_noexec": 1}, []),
        ({"vm.memfd_noexec": 2}, ["echo vm.memfd_noexec=1"]),
    ],
)
def test_a_sysctl_that_forbids_sandboxes_comes_with_its_fix(
    sysctls: dict[str, int], words: list[str]
) -> None:
    fixes = sysctl_fixes(sysctls)
    assert len(fixes) == bool(words)
    for fix in fixes:
        assert all(word in as_text(fix) for word in words)
        assert fix.costs
