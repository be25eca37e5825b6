"""What the kernel writes about cgroups, by tables; and that no text at all makes a parser raise."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.supervisor.cgroup.parse import Mount, memberships, mounts, numbers

HYBRID = """\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup none rw,memory,release_agent=/x
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate
"""


def test_a_hybrid_host_has_its_controllers_in_v1() -> None:
    assert [(mount.version, mount.point, mount.controllers) for mount in mounts(HYBRID)] == [
        (1, "/sys/fs/cgroup/cpu,cpuacct", {"cpu", "cpuacct"}),
        (1, "/sys/fs/cgroup/memory", {"memory"}),
        (1, "/sys/fs/cgroup/systemd", {"name=systemd"}),
        (2, "/sys/fs/cgroup/unified", frozenset()),
    ]


def test_of_two_mounts_of_a_hierarchy_the_wider_writable_one_counts() -> None:
    text = """\
1 1 0:9 / /readonly ro - cgroup cgroup rw,pids
2 1 0:9 /docker/1 /narrow rw - cgroup cgroup rw,pids
3 1 0:9 / /wide rw - cgroup cgroup rw,pids
4 1 0:9 / /superblock rw - cgroup cgroup ro,pids
"""
    assert [mount.point for mount in mounts(text)] == ["/wide"]


def test_blanks_in_a_mount_point_are_octal() -> None:
    (mount,) = mounts(r"1 1 0:9 / /a\040b\134c rw - cgroup2 none rw")
    assert mount.point == "/a b\\c"


def test_a_directory_name_cannot_forge_a_mount() -> None:
    # proc_pid_mountinfo(5) escapes blank, tab, newline and backslash, and no other separator.
    text = "1 1 0:9 / /a\x0b\x0c\x1c\u2028 rw - cgroup2 none rw"
    assert [mount.point for mount in mounts(text)] == ["/a\x0b\x0c\x1c\u2028"]


@pytest.mark.parametrize(
    ("root", "membership", "directory"),
    [
        ("/", "/", "/mnt"),
        ("/", "/user/1", "/mnt/user/1"),
        ("/docker/1", "/docker/1", "/mnt"),
        ("/docker/1", "/docker/1/job", "/mnt/job"),
        ("/docker/1", "/docker/10", None),
        ("/docker/1", "/", None),
        ("/..", "/../other", "/mnt/other"),
    ],
)
def test_a_membership_is_found_below_the_root_of_its_mount(
    root: str, membership: str, directory: str | None
) -> None:
    mount = Mount(2, "/mnt", root, frozenset(), True)
    assert mount.shown(membership) == directory
    if directory is not None:
        assert mount.membership(directory) == membership


def test_co_mounted_controllers_share_a_membership() -> None:
    text = "4:cpu,cpuacct:/a\n3:name=systemd:/b:c\n0::/d\nnonsense\n"
    assert memberships(text) == {"cpu": "/a", "cpuacct": "/a", "name=systemd": "/b:c", "": "/d"}


def test_a_flat_keyed_file_gives_its_numbers_only() -> None:
    text = b"oom_kill 3\nmax -1\nunder_oom\nname max\nmax 7\n"
    assert numbers(text) == {b"oom_kill": 3, b"max": 7}


@given(st.text())
def test_no_text_makes_mounts_or_memberships_raise(text: str) -> None:
    mounts(text)
    mounts(f"1 1 0:9 / {text} rw - cgroup {text} {text}")
    memberships(text)
    memberships(f"1:{text}")


@given(st.binary())
def test_no_bytes_make_numbers_raise(text: bytes) -> None:
    numbers(text)
