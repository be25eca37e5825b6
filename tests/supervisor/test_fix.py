"""Fixes as text and as a script, which a shell reads as it was meant and which may be repeated."""

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.supervisor import id_gaps, quota_gaps, remedies
from sandbox.supervisor.cgroup import fixes, parse
from sandbox.supervisor.fix import Fix, as_script, as_text, own_command
from sandbox.supervisor.host import facts
from sandbox.supervisor.identity import BaseMap, BaseRanges
from sandbox.supervisor.subids import Range
from sandbox.supervisor.sysctls import sysctl_fixes

COMMANDS = Fix("a gap", ("echo one", "echo two"), "a little")
ADVICE = Fix("another gap", advice="change the unit")
ALL_CAPABILITIES = (1 << 41) - 1
SYS_ADMIN, SETGID = 21, 6


def run(script: str) -> str:
    return subprocess.run(
        ["sh", "-u"], input=script, capture_output=True, text=True, check=True
    ).stdout


def test_nothing_is_printed_where_nothing_is_to_do() -> None:
    assert as_script([], 1000) == ""


def test_a_script_does_what_its_fixes_say_each_once() -> None:
    script = as_script([COMMANDS, ADVICE, COMMANDS, Fix("a third", ("echo two",))], 1000)
    assert run(script) == "one\ntwo\n"
    for words in (
        "# a gap",
        "# costs: a little",
        "# to do elsewhere: change the unit",
        "# a third",
    ):
        assert words in script


def test_a_script_stops_at_what_fails() -> None:
    script = as_script([Fix("a gap", ("false", "echo two"))], 1000)
    ended = subprocess.run(["sh"], input=script, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (1, "")


@pytest.mark.parametrize(
    "hostile", ["x\nreboot", "x\r\nreboot", "x\vreboot\x85\u2028reboot", "#!x"]
)
def test_what_is_quoted_from_the_host_never_leaves_its_comment(hostile: str) -> None:
    script = as_script([Fix(hostile, ("echo one",), costs=hostile), Fix("", advice=hostile)], 1000)
    assert run(script) == "one\n"
    outside = [line for line in script.splitlines() if line and not line.startswith("#")]
    assert outside == ["set -eu", "echo one"]


def test_the_table_shows_commands_line_by_line_and_advice_as_it_is() -> None:
    assert as_text(COMMANDS) == "echo one (as root)\necho two (as root)"
    assert as_text(ADVICE) == "change the unit"


def test_our_own_command_needs_nothing_of_root_s_environment(tmp_path: Path) -> None:
    (tmp_path / "sandbox.py").write_text("raise SystemExit('the working directory was imported')")
    ended = subprocess.run(
        ["sh", "-c", own_command("--version")],
        env={"PATH": "/usr/bin:/bin"}, cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert ended.stdout.startswith("sandbox ")


def test_a_profile_is_written_as_it_is_meant(tmp_path: Path) -> None:
    (fix,) = sysctl_fixes({"kernel.apparmor_restrict_unprivileged_userns": 1})
    write = fix.commands[0].replace("/etc/apparmor.d/sandbox", str(tmp_path / "profile"))
    run(write)
    profile = (tmp_path / "profile").read_text()
    python = Path(sys.executable).resolve()
    assert f'profile sandbox "{python}" flags=(unconfined) {{\n  userns,\n}}\n' in profile


def test_two_sysctls_have_a_file_each() -> None:
    found = sysctl_fixes({"user.max_user_namespaces": 0, "kernel.unprivileged_userns_clone": 0})
    files = [fix.commands[0].partition(" > ")[2] for fix in found]
    assert len({*files}) == 2


@pytest.fixture
def initial_namespace() -> None:
    if Path("/proc/self/uid_map").read_text().split() != ["0", "0", "4294967295"]:
        pytest.skip("in a user namespace, where ids cannot be granted")


@pytest.mark.parametrize(
    ("bounding", "problem", "first"),
    [
        (ALL_CAPABILITIES, "neither set-uid root", "chmod u+s"),
        (ALL_CAPABILITIES & ~(1 << SETGID), "", ""),
        (ALL_CAPABILITIES & ~(1 << SYS_ADMIN), "", "chmod u-s"),
    ],
)
def test_a_helper_that_gives_nobody_ids_comes_with_what_is_wrong_with_it(
    initial_namespace: None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    bounding: int,
    problem: str,
    first: str,
) -> None:
    ranges = BaseRanges(Range(100000, 65536), Range(100000, 65536))
    monkeypatch.setattr(id_gaps, "find_ranges", lambda uid, gid: ranges)
    monkeypatch.setattr(id_gaps, "helper_problem", lambda name: problem)
    helper = tmp_path / "a new uid map"
    helper.touch()
    helper.chmod(0o4755)
    monkeypatch.setattr(id_gaps.shutil, "which", lambda name: str(helper))
    fix = id_gaps.ids_fix(BaseMap(1000, 1000, None, "no"), facts()._replace(bounding=bounding))
    if first:
        assert fix.commands[0] == f"{first} '{helper}' '{helper}'"
        assert fix.costs
    else:
        assert "CapabilityBoundingSet=" in fix.advice


def test_root_is_told_where_our_code_is_not_root_s_alone() -> None:
    fix = id_gaps.setup_fix(4_000_000, "a gap", "ids")
    assert fix.commands == (own_command("setup", "--user", "4000000"),)
    is_ours = id_gaps.Path(id_gaps.__file__).stat().st_uid != 0
    assert ("look first" in fix.costs) or not is_ours


def test_a_session_without_systemd_is_moved_only_while_it_is_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    point = tmp_path / "cg"
    entry = point / "sandbox/4000000/entry"
    entry.mkdir(parents=True)
    mount = parse.Mount(2, str(point), "/", frozenset(), True)
    monkeypatch.setattr(quota_gaps, "cgroup_mounts", lambda: [mount])
    monkeypatch.setattr(quota_gaps, "_has_systemd", lambda: False)
    problem = f"no subtree; fix: {fixes.setup_command(4_000_000)}"
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as session:
        fix = quota_gaps.quota_fix(problem, 4_000_000, session.pid)
        (enter,) = fix.commands[1:]
        run(f"{enter}\n")
        assert (entry / "cgroup.procs").read_text() == f"{session.pid}\n"
        (entry / "cgroup.procs").unlink()
        assert session.stdin is not None
        session.stdin.close()
        session.wait()
    run(f"{enter}\n")  # it has ended: nothing is moved, and nothing fails
    assert not (entry / "cgroup.procs").exists()


@pytest.mark.parametrize(
    ("step", "code", "words"),
    [
        ("clone", errno.ENOSPC, "user.max_*_namespaces"),
        ("namespaces", errno.EAGAIN, "TasksMax="),
        ("machine", errno.EACCES, "vm.memfd_noexec"),
        ("proc", errno.EPERM, "sandbox doctor"),
        ("clone", errno.ENOSYS, "sandbox doctor"),
        ("template", errno.EFBIG, "ulimit -f"),
        ("disk", errno.ENOSPC, ""),
        ("exec", errno.EACCES, ""),
    ],
)
def test_an_errno_that_tells_of_the_host_comes_with_its_fix(
    step: str, code: int, words: str
) -> None:
    found = remedies.remedy(step, code)
    assert found.startswith("; fix: ") == bool(words)
    assert words in found
