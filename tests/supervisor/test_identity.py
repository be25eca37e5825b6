"""Leases between processes, the maps of a real namespace, and the directory they share."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sandbox.spec.errors import HostError, RefusedError
from sandbox.supervisor.identity import (
    BaseMap,
    BaseRanges,
    Identities,
    find_ranges,
    plan_base_map,
    runtime_directory,
    write_maps,
)
from sandbox.supervisor.subids import Range

LEASE_SOME = """
import sys
from pathlib import Path
from sandbox.supervisor.identity import BaseRanges, Identities
from sandbox.supervisor.subids import Range
some, count, directory = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
identities = Identities(BaseRanges(Range(100000, count), Range(200000, count)), directory)
leases = [identities.lease() for _ in range(some)]
print(*(lease.base_id for lease in leases), flush=True)
sys.stdin.read()
"""
OWN_NAMESPACE = """
import os, sys
from sandbox.kernel.processes import CLONE_NEWUSER, unshare
unshare(CLONE_NEWUSER)
print("ready", flush=True)
sys.stdin.read()
"""


def ranges(count: int) -> BaseRanges:
    return BaseRanges(Range(100000, count), Range(200000, count))


@pytest.fixture
def start() -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Start Python code that runs until its stdin closes."""
    started: list[subprocess.Popen[str]] = []

    def popen(code: str, *arguments: object) -> "subprocess.Popen[str]":
        started.append(
            subprocess.Popen(
                [sys.executable, "-c", code, *map(str, arguments)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                cwd=Path(__file__).parents[2],
            )
        )
        return started[-1]

    yield popen
    for process in started:
        process.communicate()


def test_a_lease_names_the_same_offset_in_uids_and_gids(tmp_path: Path) -> None:
    lease = Identities(ranges(10), tmp_path).lease()
    assert 1 <= lease.base_id <= 10
    assert lease.host_uid - 100000 == lease.host_gid - 200000 == lease.base_id - 1
    lease.release()


def test_all_ids_are_leased_once_and_then_refused(tmp_path: Path) -> None:
    identities = Identities(ranges(10), tmp_path)
    leases = [identities.lease() for _ in range(10)]
    assert {lease.base_id for lease in leases} == set(range(1, 11))
    with pytest.raises(RefusedError, match="all 10 ids"):
        identities.lease()
    leases.pop(3).release()
    leases.append(identities.lease())
    for lease in leases:
        lease.release()


def test_an_id_is_not_taken_again_at_once(tmp_path: Path) -> None:
    identities = Identities(ranges(10), tmp_path)
    seen = []
    for _ in range(10):
        lease = identities.lease()
        seen.append(lease.base_id)
        lease.release()
    assert len(set(seen)) == 10


def test_two_processes_that_lease_at_once_share_no_id(
    tmp_path: Path, start: Callable[..., "subprocess.Popen[str]"]
) -> None:
    processes = [start(LEASE_SOME, 20, 40, tmp_path) for _ in range(2)]
    held = [set(process.stdout.readline().split()) for process in processes]  # type: ignore[union-attr]
    assert [len(ids) for ids in held] == [20, 20]
    assert not held[0] & held[1]


def test_a_killed_holder_frees_its_ids(
    tmp_path: Path, start: Callable[..., "subprocess.Popen[str]"]
) -> None:
    process = start(LEASE_SOME, 3, 3, tmp_path)
    assert len(process.stdout.readline().split()) == 3  # type: ignore[union-attr]
    with pytest.raises(RefusedError):
        Identities(ranges(3), tmp_path).lease()
    process.send_signal(signal.SIGKILL)
    process.wait()
    Identities(ranges(3), tmp_path).lease().release()


def test_a_lease_lives_as_long_as_an_inherited_fd(tmp_path: Path) -> None:
    identities = Identities(ranges(1), tmp_path)
    lease = identities.lease()
    holder = subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=[lease.fd])
    lease.release()
    with pytest.raises(RefusedError):
        identities.lease()
    holder.communicate()
    identities.lease().release()


def test_runners_with_other_ranges_do_not_lock_each_other_out(tmp_path: Path) -> None:
    low = BaseRanges(Range(100000, 1), Range(100000, 1))
    high = BaseRanges(Range(100001, 1), Range(100001, 1))
    leases = [Identities(found, tmp_path).lease() for found in (low, high)]
    assert [lease.host_uid for lease in leases] == [100000, 100001]
    for lease in leases:
        lease.release()


@pytest.mark.parametrize(
    ("uids", "gids", "why"),
    [
        ("4000000:100000:65536\n", "4000000:100000:65536\n", ""),
        ("4000000:100000:65536\n", "", "subgid grants uid 4000000 nothing"),
        ("", "4000000:100000:65536\n", "subuid grants uid 4000000 nothing"),
        ("4000000:1:1\nx:1:1\n", "4000000:5:5\n", "overlaps a range of x"),
    ],
)
def test_what_keeps_a_user_from_ranges_is_named(
    tmp_path: Path, uids: str, gids: str, why: str
) -> None:
    (tmp_path / "subuid").write_text(uids)
    (tmp_path / "subgid").write_text(gids)
    found = find_ranges(4_000_000, etc=tmp_path)
    assert (found is None) == bool(why)
    assert why in plan_base_map(4_000_000, 4_000_000, tmp_path).why


def test_a_missing_helper_means_single_id_mode_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("subuid", "subgid"):
        (tmp_path / name).write_text("4000000:100000:65536\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    base = plan_base_map(4_000_000, 4_000_000, tmp_path)
    assert base.ranges is None
    assert "newuidmap is not installed" in base.why


def test_the_maps_of_a_namespace_are_the_planned_ones(
    start: Callable[..., "subprocess.Popen[str]"],
) -> None:
    base = plan_base_map(os.getuid(), os.getgid())
    if base.ranges is None:
        pytest.skip(f"no ranges: {base.why}")
    process = start(OWN_NAMESPACE)
    assert process.stdout.readline() == "ready\n"  # type: ignore[union-attr]
    assert write_maps(process.pid, base) == base
    for name, own, range_ in (
        ("uid_map", base.uid, base.ranges.uids),
        ("gid_map", base.gid, base.ranges.gids),
    ):
        words = Path(f"/proc/{process.pid}/{name}").read_text().split()
        assert words == [*f"0 {own} 1 1 {range_.start} {base.ranges.count}".split()]


def test_a_range_that_is_not_ours_falls_back_to_one_id(
    start: Callable[..., "subprocess.Popen[str]"],
) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may map what it likes")
    foreign = BaseRanges(Range(3_000_000_000, 10), Range(3_000_000_000, 10))
    process = start(OWN_NAMESPACE)
    assert process.stdout.readline() == "ready\n"  # type: ignore[union-attr]
    base = write_maps(process.pid, BaseMap(os.getuid(), os.getgid(), foreign))
    assert base.ranges is None
    assert base.why.startswith("newgidmap: ")
    words = Path(f"/proc/{process.pid}/uid_map").read_text().split()
    assert words == ["0", str(os.getuid()), "1"]


def test_the_shared_directory_is_the_session_s_where_there_is_one(tmp_path: Path) -> None:
    uid = os.getuid()
    if uid == 0:
        pytest.skip("root's is always in /run")
    session = tmp_path / "run/user" / str(uid)
    session.mkdir(parents=True, mode=0o700)
    found = runtime_directory(uid, run=tmp_path / "run", temporary=tmp_path)
    assert found == session / "sandbox"
    assert found.stat().st_mode & 0o7777 == 0o700
    assert runtime_directory(uid, run=tmp_path / "run", temporary=tmp_path) == found


@pytest.mark.parametrize("kind", ["symlink", "open", "file"])
def test_a_shared_directory_that_others_could_have_made_is_refused(
    tmp_path: Path, kind: str
) -> None:
    uid = os.getuid()
    if uid == 0:
        pytest.skip("root's is in /run, where nobody else can write")
    place = tmp_path / f"sandbox-{uid}"
    if kind == "symlink":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        place.symlink_to("elsewhere")
    elif kind == "open":
        place.mkdir()
        place.chmod(0o755)
    else:
        place.touch(mode=0o600)
    with pytest.raises(HostError, match="fix: rm -r"):
        runtime_directory(uid, run=tmp_path / "run", temporary=tmp_path)
