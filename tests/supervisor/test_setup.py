"""Setup and undo, below a directory of the test's own; the cgroups as root, for an id of nobody."""

import os
import shlex
import stat
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from sandbox.spec.errors import HostError, SpecError
from sandbox.supervisor import grants
from sandbox.supervisor.boot_unit import boot_unit
from sandbox.supervisor.cgroup import delegate_v1, undelegate_v1
from sandbox.supervisor.cgroup.delegate_v1 import v1_mounts
from sandbox.supervisor.cgroup.files import cgroup_mounts
from sandbox.supervisor.cgroup.parse import mounts
from sandbox.supervisor.identity import find_ranges
from sandbox.supervisor.setup import Setup, User, find_user, main

NOBODY = User("4000000", 4_000_000, 4_000_000)  # no account, no line, no cgroup
FOREIGN = "alice:100000:65536\n# a comment\nnonsense\n"
V1_MOUNTINFO = "".join(
    f"{number} 1 0:{number} / /cg/{name} rw,relatime - cgroup cgroup rw,{name}\n"
    for number, name in enumerate(("cpu", "cpuacct", "cpuset", "memory", "pids"), 30)
)


class Host:
    """A root directory, and what setup said and ran."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.said: list[str] = []
        self.ran: list[str] = []
        (root / "etc").mkdir()

    def setup(self) -> Setup:
        """A new one: what it knows of earlier runs, it knows from the state file."""
        return Setup(NOBODY, self.root, self._run, self.said.append)

    def files(self) -> dict[str, bytes]:
        """Every file below the root."""
        return {
            str(path.relative_to(self.root)): path.read_bytes()
            for path in self.root.rglob("*")
            if path.is_file()
        }

    def _run(self, command: Sequence[str]) -> None:
        self.ran.append(" ".join(command))


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def boot_commands(unit: str) -> list[list[str]]:
    """What systemd would execute; it splits and quotes as a shell does, systemd.service(5)."""
    lines = [line.removeprefix("ExecStart=") for line in unit.splitlines() if "ExecStart=" in line]
    return [shlex.split(line) for line in lines]


def undo(host: Host) -> None:
    try:
        host.setup().undo()
    except HostError as error:
        pytest.skip(str(error))  # a host without the cgroup mounts that undo looks into


@pytest.mark.parametrize("before", [FOREIGN, FOREIGN.rstrip("\n"), "", None])
def test_undo_leaves_the_files_byte_identical(host: Host, before: str | None) -> None:
    for name in ("subuid", "subgid"):
        if before is not None:
            (host.root / "etc" / name).write_text(before)
    at_first = host.files()
    host.setup().grant_ids()
    assert find_ranges(NOBODY.uid, etc=host.root / "etc") is not None
    undo(host)
    assert host.files() == at_first


def test_a_second_setup_changes_nothing(host: Host) -> None:
    (host.root / "etc/subuid").write_text(FOREIGN)
    host.setup().grant_ids()
    once = host.files()
    host.setup().grant_ids()
    assert host.files() == once
    assert sum("already grants" in line for line in host.said) == 2


def test_both_files_get_the_same_free_range(host: Host) -> None:
    (host.root / "etc/subuid").write_text("alice:100000:65536\n")
    (host.root / "etc/subgid").write_text("bob:165536:65536\n")
    host.setup().grant_ids()
    lines = [(host.root / "etc" / name).read_text().split("\n")[1] for name in ("subuid", "subgid")]
    assert lines == ["4000000:231072:65536"] * 2


def test_undo_keeps_what_was_there_before_setup(host: Host) -> None:
    (host.root / "etc/subuid").write_text("4000000:300000:65536\n")
    host.setup().grant_ids()
    undo(host)
    assert (host.root / "etc/subuid").read_text() == "4000000:300000:65536\n"


@pytest.mark.parametrize("before", ["alice:100000:65536\n", "alice:100000:65536"])
def test_undo_keeps_lines_that_came_later(host: Host, before: str) -> None:
    for name in ("subuid", "subgid"):
        (host.root / "etc" / name).write_text(before)
    host.setup().grant_ids()
    with (host.root / "etc/subuid").open("a") as file:
        file.write("carol:700000:65536\n")
    undo(host)
    assert (host.root / "etc/subuid").read_text() == "alice:100000:65536\ncarol:700000:65536\n"


def test_undo_twice_and_undo_of_nothing_are_harmless(host: Host) -> None:
    (host.root / "etc/subuid").write_text(FOREIGN)
    undo(host)
    host.setup().grant_ids()
    undo(host)
    undo(host)
    assert (host.root / "etc/subuid").read_text() == FOREIGN


def test_a_line_that_is_part_of_another_is_not_taken_for_ours(tmp_path: Path) -> None:
    path = tmp_path / "subuid"
    path.write_text("x4000000:100000:65536\n")
    assert not grants.revoke(path, grants.Grant("4000000:100000:65536\n", False))
    assert path.read_text() == "x4000000:100000:65536\n"


def test_the_mode_of_a_file_is_kept(host: Host) -> None:
    path = host.root / "etc/subuid"
    path.write_text(FOREIGN)
    path.chmod(0o640)
    host.setup().grant_ids()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_file_that_usermod_holds_is_not_touched(host: Host) -> None:
    (host.root / "etc/subuid").write_text(FOREIGN)
    (host.root / "etc/subuid.lock").write_text("1\0")
    with pytest.raises(HostError, match="being changed by another program"):
        host.setup().grant_ids()
    assert (host.root / "etc/subuid").read_text() == FOREIGN
    assert {path.name for path in (host.root / "etc").iterdir()} == {"subuid", "subuid.lock"}


def test_a_full_file_of_subordinate_ids_is_refused(host: Host) -> None:
    (host.root / "etc/subuid").write_text("alice:100000:1879000000\n")
    with pytest.raises(HostError, match="no 65536 free ids"):
        host.setup().grant_ids()


def test_systemd_delegates_all_controllers_and_lingers(host: Host) -> None:
    (host.root / "run/systemd/system").mkdir(parents=True)
    at_first = host.files()
    host.setup().delegate_by_systemd()
    drop_in = host.root / "etc/systemd/system/user@4000000.service.d/sandbox-delegate.conf"
    assert "\nDelegate=cpu cpuset io memory pids\n" in drop_in.read_text()
    assert host.ran == ["systemctl daemon-reload", "loginctl enable-linger 4000000"]

    linger = host.root / "var/lib/systemd/linger/4000000"
    linger.parent.mkdir(parents=True)
    linger.touch()
    host.ran.clear()
    host.setup().delegate_by_systemd()
    assert host.ran == []

    linger.unlink()
    host.setup().remove_units()
    assert host.ran == ["systemctl daemon-reload", "loginctl disable-linger 4000000"]
    assert host.files() == at_first
    assert not drop_in.parent.exists()


def test_lingering_that_was_on_before_stays_on(host: Host) -> None:
    linger = host.root / "var/lib/systemd/linger/4000000"
    linger.parent.mkdir(parents=True)
    linger.touch()
    host.setup().delegate_by_systemd()
    host.setup().remove_units()
    assert not any("linger" in command for command in host.ran)


def test_systemd_makes_the_directories_of_v1_again_at_each_boot(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sandbox.supervisor.setup.cgroup_mounts", lambda: mounts(V1_MOUNTINFO))
    at_first = host.files()
    host.setup().keep_over_boots()
    service = host.root / "etc/systemd/system/sandbox-setup-4000000.service"
    for controller in ("memory", "pids"):
        assert f"mkdir -p /cg/{controller}/sandbox/4000000\n" in service.read_text()
    assert host.ran == [
        "systemctl daemon-reload",
        "systemctl enable sandbox-setup-4000000.service",
    ]
    host.setup().remove_units()
    assert host.files() == at_first


def test_root_runs_nothing_of_ours_at_boot() -> None:
    commands = boot_commands(boot_unit("4000000", 4_000_000, 4_000_000, mounts(V1_MOUNTINFO)))
    assert {command[0] for command in commands} <= {"/bin/mkdir", "/bin/chown", "/bin/sh"}


def test_a_unit_that_systemd_refuses_is_tried_again(host: Host) -> None:
    def refuse(command: Sequence[str]) -> None:
        raise HostError(" ".join(command))

    with pytest.raises(HostError, match="daemon-reload"):
        Setup(NOBODY, host.root, refuse, host.said.append).delegate_by_systemd()
    host.setup().delegate_by_systemd()
    assert host.ran == ["systemctl daemon-reload", "loginctl enable-linger 4000000"]


def test_an_unknown_user_is_the_caller_s_mistake() -> None:
    for name in ("no-such-user-here", "4294967295", "99999999999999999999", "-1", ""):
        with pytest.raises(SpecError, match="no user"):
            find_user(name)


def test_root_needs_no_setup() -> None:
    for name in ("root", "0"):
        with pytest.raises(SpecError, match="root needs no setup"):
            find_user(name)


def test_a_number_without_an_account_is_a_user_too() -> None:
    assert find_user("4000000") == NOBODY


def test_setup_by_an_ordinary_user_names_the_command() -> None:
    if os.geteuid() == 0:
        pytest.skip("for an ordinary user")
    with pytest.raises(HostError, match="sudo sandbox setup --user 4000000 --undo"):
        main("4000000", True)


@pytest.mark.root
def test_the_boot_unit_s_commands_delegate_v1() -> None:
    found = [mount for mount in cgroup_mounts() if mount.version == 1]
    if not any("memory" in mount.controllers for mount in found):
        pytest.skip("this host has no cgroup v1")
    text = boot_unit("4000000", 4_000_000, 4_000_000, v1_mounts(found))
    try:
        for command in boot_commands(text):
            subprocess.run(command, check=True)
        for path in Path("/sys/fs/cgroup").glob("*/sandbox/4000000/cpuset.[cm]*s"):
            assert path.read_text().strip(), f"{path} is empty: no process can enter"
        assert delegate_v1(4_000_000, 4_000_000) == [], "something was left to do"
    finally:
        undelegate_v1(4_000_000)


@pytest.mark.root
def test_the_whole_setup_and_its_undo(host: Host) -> None:
    (host.root / "etc/subuid").write_text(FOREIGN)
    at_first = host.files()
    host.setup().do()
    once = host.files()
    # Not deeper: other users' jobs come and go there meanwhile.
    mounts = Path("/sys/fs/cgroup")
    prepared = [*mounts.glob("sandbox/4000000"), *mounts.glob("*/sandbox/4000000")]
    assert prepared
    assert all(path.stat().st_uid == 4_000_000 for path in prepared)
    host.setup().do()
    assert host.files() == once
    host.setup().undo()
    assert host.files() == at_first
    assert not any(path.exists() for path in prepared)
