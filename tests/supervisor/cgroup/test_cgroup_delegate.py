"""What only root can do: hand a subtree to a uid, and take it back. For a uid that nobody has."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.spec.errors import HostError
from sandbox.supervisor.cgroup import delegate_v1, find_backend, undelegate_v1
from sandbox.supervisor.cgroup.delegate_v1 import v1_mounts
from sandbox.supervisor.cgroup.files import cgroup_mounts
from tests.supervisor.cgroup.conftest import LIMITS, destroy

UID = GID = 1879113727  # the last of the range that systemd(1) leaves unused

pytestmark = pytest.mark.root


@pytest.fixture
def bases() -> Iterator[list[Path]]:
    """The directories that root hands over, one a hierarchy."""
    if os.geteuid() != 0:
        pytest.skip("only root can delegate")
    try:
        mounts = v1_mounts(cgroup_mounts())
    except HostError as error:
        pytest.skip(str(error))
    yield [Path(mount.point) / "sandbox" / str(UID) for mount in mounts]
    undelegate_v1(UID)


def test_a_delegated_directory_is_the_users_and_its_limits_stay_roots(bases: list[Path]) -> None:
    assert {str(base) for base in bases} <= set(delegate_v1(UID, GID))
    for base in bases:
        assert (base.stat().st_uid, base.stat().st_gid) == (UID, GID)
        assert {file.stat().st_uid for file in base.iterdir()} == {0}


def test_delegation_can_be_repeated(bases: list[Path]) -> None:
    delegate_v1(UID, GID)
    assert delegate_v1(UID, GID) == []


def test_a_withdrawn_delegation_leaves_nothing(bases: list[Path]) -> None:
    delegate_v1(UID, GID)
    assert undelegate_v1(UID) == [str(base) for base in bases]
    assert not any(base.exists() for base in bases)
    assert undelegate_v1(UID) == []


def test_a_process_that_dropped_from_root_can_limit_a_job(bases: list[Path]) -> None:
    delegate_v1(UID, GID)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.setgroups([])
            os.setresgid(GID, GID, GID)
            os.setresuid(UID, UID, UID)
            backend = find_backend(UID)
            destroy(backend.create("job", LIMITS))
            backend.close()
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert not [entry for base in bases for entry in base.glob("sandbox-run-*")]


def test_a_delegation_in_use_is_not_withdrawn(bases: list[Path]) -> None:
    delegate_v1(UID, GID)
    ready, done = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.close(done[1])
        os.setresuid(UID, UID, UID)
        backend = find_backend(UID)
        os.write(ready[1], b"x")
        os.read(done[0], 1)
        backend.close()
        os._exit(0)
    try:
        os.close(ready[1])
        assert os.read(ready[0], 1) == b"x"
        with pytest.raises(HostError, match=f"when no job of uid {UID} runs"):
            undelegate_v1(UID)
        assert all(base.exists() for base in bases)
    finally:
        os.close(done[1])
        os.waitpid(child, 0)
        os.close(ready[0])
        os.close(done[0])
