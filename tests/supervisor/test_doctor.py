"""The doctor's judgement by table, and its examination of this host."""

import errno
import json
import os
from pathlib import Path

import pytest

from sandbox.spec.errors import HostError
from sandbox.supervisor import cgroup, doctor
from sandbox.supervisor.attempts import Attempts, attempt
from sandbox.supervisor.cgroup import find_backend
from sandbox.supervisor.diagnosis import Row, limit_rows, wall_rows
from sandbox.supervisor.doctor import Trial
from sandbox.supervisor.fix import Fix, split_fix
from sandbox.supervisor.host import HostFacts
from sandbox.supervisor.identity import BaseMap, BaseRanges, plan_base_map
from sandbox.supervisor.subids import Range

FACTS = HostFacts("6.1.0", "x86_64", 2, None, "v2", 3, True, None, {}, None)
RANGES = BaseRanges(Range(100000, 65536), Range(100000, 65536))
BASE = BaseMap(4_000_000, 4_000_000, RANGES)
NAMES = (
    "memfd", "user", "mount", "overlay", "device", "pivot", "network", "ipc", "uts", "setns",
    "getfd", "cgroup", "time", "clone3", "processes", "proc", "landlock", "syscalls",
)  # fmt: skip
ALL_WORK = Attempts(dict.fromkeys(NAMES, 0), BASE, "")
QUOTAS = Row("up", "cgroup v2")
NOEXEC = FACTS._replace(sysctls={"vm.memfd_noexec": 2})
RESTRICTED = FACTS._replace(sysctls={"kernel.apparmor_restrict_unprivileged_userns": 1})


def refused(**codes: int) -> Attempts:
    return ALL_WORK._replace(codes={**ALL_WORK.codes, **codes})


def test_where_everything_works_every_wall_is_up() -> None:
    rows = wall_rows(FACTS, ALL_WORK, "", QUOTAS)
    assert {row.state for row in rows.values()} == {"up"}
    assert not any(row.fix for row in rows.values())


@pytest.mark.parametrize(
    ("facts", "attempts", "wall", "state", "fix"),
    [
        (FACTS, refused(overlay=errno.ENODEV), "view", "missing", "built without it"),
        (FACTS, refused(device=errno.ENOENT), "view", "missing", "a /dev with null"),
        (FACTS, refused(mount=errno.EPERM), "view", "missing", "hostUsers: false"),
        (RESTRICTED, refused(mount=errno.EACCES), "view", "missing", "apparmor_parser -r"),
        (NOEXEC, refused(memfd=errno.EACCES), "processes", "missing", "vm.memfd_noexec=1"),
        (NOEXEC, refused(network=errno.EPERM), "network", "missing", "seccomp=unconfined"),
        (FACTS, refused(proc=errno.EPERM), "processes", "missing", "systempaths=unconfined"),
        (
            FACTS._replace(container="podman"),
            refused(proc=errno.EPERM), "processes", "missing", "podman run",
        ),
        (FACTS, refused(network=errno.ENOSPC), "network", "missing", "user.max_net_namespaces"),
        (FACTS, refused(time=errno.ENOSPC), "time", "missing", "user.max_time_namespaces"),
        (
            FACTS._replace(has_time_namespaces=False),
            refused(time=errno.EINVAL), "time", "weak", "the other walls stand",
        ),
        (
            FACTS._replace(landlock_abi=0),
            refused(landlock=errno.EOPNOTSUPP), "landlock", "weak", "lsm=",
        ),
        (FACTS, refused(setns=errno.EPERM), "view", "weak", "seccomp=unconfined"),
        (FACTS, refused(getfd=errno.EPERM), "syscalls", "missing", "seccomp=unconfined"),
        (
            FACTS._replace(yama_scope=3),
            refused(getfd=errno.EPERM), "syscalls", "weak", "kernel.yama.ptrace_scope=2",
        ),
        (FACTS, refused(syscalls=errno.EBUSY), "syscalls", "missing", "seccomp"),
    ],
)  # fmt: skip
def test_what_was_refused_is_named_with_its_fix(
    facts: HostFacts, attempts: Attempts, wall: str, state: str, fix: str
) -> None:
    rows = wall_rows(facts, attempts, "", QUOTAS)
    assert rows[wall].state == state
    assert fix in rows[wall].fix
    assert [name for name, row in rows.items() if row.state != "up"] == [wall]


def test_without_a_user_namespace_no_other_wall_is_claimed() -> None:
    attempts = Attempts({"user": errno.EPERM}, BASE, "")
    rows = wall_rows(FACTS, attempts, "", QUOTAS)
    assert {name for name, row in rows.items() if row.state == "up"} == {"quotas"}


def test_a_shared_id_is_a_weak_wall_with_the_reason_and_the_fix() -> None:
    why = "/etc/subuid grants uid 4000000 nothing"
    attempts = ALL_WORK._replace(base=BaseMap(4_000_000, 4_000_000, None, why))
    row = wall_rows(FACTS, attempts, "", QUOTAS)["identity"]
    assert row.state == "weak"
    assert why in row.detail
    if Path("/proc/self/uid_map").read_text().split() == ["0", "0", "4294967295"]:
        assert "sandbox setup --user 4000000" in row.fix
    else:
        assert "start outside" in row.fix


def test_ids_that_cannot_be_leased_are_a_missing_wall() -> None:
    row = wall_rows(FACTS, ALL_WORK, "/tmp/x: read-only; fix: make it writable", QUOTAS)["identity"]
    assert (row.state, row.detail, row.fix) == ("missing", "/tmp/x: read-only", "make it writable")


def test_without_a_mount_namespace_nothing_is_mounted_and_said_so() -> None:
    codes = {n: 0 for n in NAMES if n not in ("overlay", "device", "pivot", "setns", "proc")}
    rows = wall_rows(FACTS, ALL_WORK._replace(codes={**codes, "mount": errno.ENOSPC}), "", QUOTAS)
    assert "user.max_mnt_namespaces" in rows["view"].fix
    assert rows["processes"].detail == "not tried: there is no mount namespace"
    assert not rows["processes"].fixes


def test_a_gap_of_a_limit_is_shown_with_its_fix() -> None:
    gaps = {"memory": "jobs can use swap; fix: boot with swapaccount=1, or swapoff -a"}
    rows = limit_rows({"memory": "none", "fds": "rlimit"}, gaps, 4_000_000)
    assert rows["memory"].detail == "jobs can use swap"
    assert rows["memory"].fixes[0].commands == ("swapoff -a",)
    assert "swapaccount=1" in rows["memory"].fixes[0].costs
    assert rows["fds"] == Row("rlimit", "an rlimit of each process")


def test_a_message_without_a_fix_is_all_detail() -> None:
    assert split_fix("broken") == ("broken", "")


def test_a_fix_of_several_gaps_is_printed_once() -> None:
    trial = Row("missing", "no", (Fix("no", advice="see above"),))
    one = Fix("a gap", ("true",))
    walls = {"identity": Row("weak", "", (one,)), "quotas": Row("missing", "", (one,))}
    assert doctor.Examination({}, walls, {}, trial).fixes() == [one]
    weak = {"landlock": Row("weak", "", (one,))}
    assert doctor.Examination({}, weak, {}, trial).fixes() == [one, *trial.fixes]


def test_the_attempts_leave_no_mount_and_no_child_behind() -> None:
    before = Path("/proc/self/mountinfo").read_text()
    found = attempt(plan_base_map(os.getuid(), os.getgid()))
    if found.codes["user"]:
        pytest.skip(f"no user namespaces here: {os.strerror(found.codes['user'])}")
    assert set(found.codes) == set(NAMES)
    assert Path("/proc/self/mountinfo").read_text() == before
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


@pytest.fixture
def delegated() -> None:
    try:
        find_backend(os.geteuid()).close()
    except HostError as error:
        pytest.skip(str(error))


def test_a_prepared_host_can_run_default_jobs(
    delegated: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert doctor.main(json=True) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found) == {"ok", "host", "walls", "limits", "job"}
    assert found["ok"] is True
    assert found["limits"]["memory"]["state"] == found["limits"]["processes"]["state"] == "kernel"
    assert not [n for n, row in found["walls"].items() if row["state"] == "missing"]
    assert doctor.main(json=False) == 0
    assert capsys.readouterr().out.endswith("default jobs can run\n")


def test_a_host_without_gaps_has_nothing_to_fix(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = doctor.Examination({}, {}, {}, Row("up", "ran to its end"))
    monkeypatch.setattr(doctor, "examine", lambda trial: found)
    monkeypatch.setattr(doctor, "try_job", lambda: None)
    assert doctor.main(json=False, fix=True) == 0
    assert capsys.readouterr().out == ""
    assert doctor.main(json=True, fix=True) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_a_user_without_cgroups_is_told_the_fix(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if os.geteuid() == 0:
        pytest.skip("for an ordinary user")
    problem = 'cgroup v1 "memory" is not delegated; fix: sandbox setup --user nobody (as root)'

    def find_none(uid: int) -> None:
        raise HostError(problem)

    monkeypatch.setattr(cgroup, "find_backend", find_none)
    monkeypatch.setattr(doctor, "try_job", lambda: Trial(False, problem, {}))
    assert doctor.main(json=False) == 1
    said = capsys.readouterr().out
    assert "sandbox setup --user nobody (as root)" in said
    assert said.endswith("default jobs cannot run here\n")
