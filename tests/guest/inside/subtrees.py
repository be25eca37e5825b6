"""Every way to a cgroup v2 subtree, and every way not to have one: what comes out."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.guest.inside.conftest import ROOT, User, unshared

pytestmark = pytest.mark.root

ID = ("--", "/usr/bin/id", "-u")
Make = Callable[..., Path]


def _runs(user: User, cgroup: Path, *options: str, inside: str = "") -> dict:
    outcome = user.sandbox(cgroup, *options, *ID, inside=inside)
    assert (outcome.returncode, outcome.stdout) == (0, b"1000\n"), outcome
    assert outcome.result is not None
    return outcome.result


def _is_refused(user: User, cgroup: Path, *options: str, inside: str = "") -> str:
    outcome = user.sandbox(cgroup, *options, *ID, inside=inside)
    assert (outcome.returncode, outcome.stdout, outcome.result) == (125, b"", None), outcome
    assert "Traceback" not in outcome.stderr and "bug" not in outcome.stderr, outcome.stderr
    assert "; fix: " in outcome.stderr
    return outcome.stderr


def _runs_degraded(user: User, cgroup: Path, inside: str = "") -> None:
    result = _runs(user, cgroup, "--allow-degraded", inside=inside)
    assert result["grades"]["memory"] == "none"
    assert result["walls"]["quotas"].startswith("absent")


def test_a_delegated_cgroup_is_used(user: User, delegated: Make) -> None:
    own = delegated()
    result = _runs(user, own)
    assert {result["grades"][limit] for limit in ("memory", "processes", "cpus")} == {"kernel"}
    assert result["walls"]["quotas"] == "up"
    assert not [*own.iterdir()] or not [path for path in own.iterdir() if path.is_dir()]


def test_without_delegation_it_is_refused_or_degraded(user: User, cgroups: Make) -> None:
    own = cgroups("own", parent=cgroups())
    assert f"sandbox setup --user {user.name}" in _is_refused(user, own)
    _runs_degraded(user, own)


@pytest.mark.long
def test_a_cgroup_of_which_only_the_directory_is_ours_is_refused(user: User, cgroups: Make) -> None:
    own = cgroups("own", parent=cgroups())
    os.chown(own, user.uid, user.uid)
    assert "not delegated" in _is_refused(user, own)


@pytest.mark.parametrize("controller", ["memory", "pids"])
def test_without_a_controller_that_is_required(
    user: User, delegated: Make, controller: str
) -> None:
    own = delegated(without=controller)
    assert f'"{controller}" is not delegated' in _is_refused(user, own)
    _runs_degraded(user, own)


@pytest.mark.long
@pytest.mark.parametrize(
    ("controller", "limit"), [("cpu", "cpus"), ("cpuset", "core"), ("io", None)]
)
def test_without_a_controller_that_is_optional(
    user: User, delegated: Make, controller: str, limit: str | None
) -> None:
    if controller not in (ROOT / "cgroup.controllers").read_text().split():
        pytest.skip(f'cgroup v2 "{controller}" is not in this kernel')
    own = delegated(without=controller)
    result = _runs(user, own, "--core", "0")
    assert result["grades"]["memory"] == result["grades"]["processes"] == "kernel"
    if limit is not None:
        assert result["grades"][limit] == "none"
        message = _is_refused(user, own, "--core", "0", "--require-grade", f"{limit}=kernel")
        assert f'"{controller}" is not delegated' in message


@pytest.mark.long
def test_other_processes_in_our_cgroup_forbid_it(user: User, delegated: Make) -> None:
    own = delegated()
    with subprocess.Popen(user.command(own, "sleep", "infinity")) as other:
        try:
            assert "other processes are in it" in _is_refused(user, own)
            _runs_degraded(user, own)
        finally:
            other.kill()


@pytest.mark.long
def test_a_delegated_cgroup_above_is_used_when_ours_is_shared(
    user: User, cgroups: Make, delegated: Make
) -> None:
    above = delegated()
    (above / "cgroup.subtree_control").write_text("+memory +pids")
    own = cgroups("login", parent=above)
    user.own(own)
    with subprocess.Popen(user.command(own, "sleep", "infinity")) as other:
        try:
            assert _runs(user, own)["grades"]["memory"] == "kernel"
        finally:
            other.kill()


@pytest.mark.long
def test_a_threaded_cgroup_is_refused(user: User, cgroups: Make) -> None:
    domain = cgroups("domain", parent=cgroups())
    (own := domain / "own").mkdir()
    (own / "cgroup.type").write_text("threaded")
    user.own(own)
    # Only who is in its domain can be put into it.
    inside = f"sh -c 'echo 0 >{own}/cgroup.procs || exit 97; exec \"$@\"' sh"
    message = _is_refused(user, domain, inside=inside)
    assert "fix: start in a cgroup that is not threaded" in message
    _runs_degraded(user, domain, inside=inside)


@pytest.mark.long
def test_beside_a_threaded_cgroup_nothing_is_to_be_entered(user: User, cgroups: Make) -> None:
    # Nobody is in an "invalid domain": so this is not a place that a runner can be in.
    domain = cgroups("domain", parent=cgroups())
    for name in ("threaded", "beside"):
        (domain / name).mkdir()
    (domain / "threaded/cgroup.type").write_text("threaded")
    assert (domain / "beside/cgroup.type").read_text() == "domain invalid\n"
    user.own(domain / "beside")
    entered = subprocess.run(user.command(domain / "beside", "true"), capture_output=True)
    assert entered.returncode == 99, entered


@pytest.mark.long
@pytest.mark.parametrize("bound", ["cgroup.max.descendants", "cgroup.max.depth"])
def test_a_bound_on_cgroups_that_is_reached(user: User, delegated: Make, bound: str) -> None:
    own = delegated()
    (own / bound).write_text("0")
    assert bound in _is_refused(user, own)
    _runs_degraded(user, own)


def test_a_job_over_a_bound_on_cgroups_is_refused(user: User, delegated: Make) -> None:
    own = delegated()
    (own / "cgroup.max.descendants").write_text("2")  # the run and its supervisor
    assert "cgroup.max.descendants" in _is_refused(user, own)
    assert not [path for path in own.iterdir() if path.is_dir()]


def test_a_read_only_mount_is_refused(user: User, delegated: Make) -> None:
    own = delegated()
    private = "mount -o remount,bind,ro /sys/fs/cgroup"
    message = _is_refused(user, own, inside=unshared("-m", private))
    assert "read-only" in message.lower()
    _runs_degraded(user, own, inside=unshared("-m", private))


def test_a_container_with_a_cgroup_namespace_of_its_own(user: User, delegated: Make) -> None:
    own = delegated()
    mounted = "umount /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup"
    result = _runs(user, own, inside=unshared("-C -m", mounted))
    assert result["grades"]["memory"] == result["grades"]["processes"] == "kernel"


@pytest.mark.long
def test_a_container_that_shows_the_cgroups_of_its_host(user: User, delegated: Make) -> None:
    # The namespace is its own, the mount is the host's: our cgroup is not where it says.
    message = _is_refused(user, delegated(), inside=unshared("-C", "true"))
    assert "cgroup" in message


@pytest.mark.long
def test_no_cgroups_are_mounted(user: User, delegated: Make) -> None:
    own = delegated()
    inside = unshared("-m", "umount /sys/fs/cgroup")
    assert "no cgroup hierarchy is mounted" in _is_refused(user, own, inside=inside)
    _runs_degraded(user, own, inside=inside)


def test_the_doctor_tells_the_same(user: User, cgroups: Make, delegated: Make) -> None:
    own = delegated()
    doctor = [sys.executable, "-m", "sandbox", "doctor"]
    good = subprocess.run(user.command(own, *doctor), capture_output=True)
    assert good.returncode == 0, good.stdout.decode()
    assert b"cgroup v2: own cgroup" in good.stdout
