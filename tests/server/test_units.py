"""The systemd units in examples/: systemd takes them, and nothing in them breaks jobs."""

import shutil
import subprocess
from pathlib import Path

import pytest

UNITS = Path(__file__).resolve().parents[2] / "examples/systemd"
SYSTEM, USER = UNITS / "sandbox.service", UNITS / "sandbox-user.service"
# systemd.exec(5), NoNewPrivileges=: for a service with User= each of these implies it, and set-uid
# newuidmap could map no ids.
IMPLY_NO_NEW_PRIVILEGES = {
    "DynamicUser", "LockPersonality", "MemoryDenyWriteExecute", "PrivateDevices", "ProtectClock",
    "ProtectHostname", "ProtectKernelLogs", "ProtectKernelModules", "ProtectKernelTunables",
    "RestrictAddressFamilies", "RestrictNamespaces", "RestrictRealtime", "RestrictSUIDSGID",
    "SystemCallArchitectures", "SystemCallFilter", "SystemCallLog",
}  # fmt: skip
MOST_EXPOSURE = 67  # tenths, as systemd-analyze counts; it knows nothing of the jobs' own walls


def settings(unit: Path) -> dict[str, str]:
    lines = unit.read_text().replace("\\\n", "").splitlines()
    pairs = [line.split("=", 1) for line in lines if "=" in line and not line.startswith("#")]
    return {name: value for name, value in pairs}


def analyze(*arguments: str, runtime: Path) -> subprocess.CompletedProcess[str]:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze on this host")
    return subprocess.run(
        ["systemd-analyze", *arguments],
        env={"PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": str(runtime)},
        capture_output=True,
        text=True,
        timeout=60,
    )


def installed(unit: Path, directory: Path) -> str:
    """The unit with a program in it that this host has."""
    copy = directory / unit.name
    copy.write_text(unit.read_text().replace("/usr/local/bin/sandbox", "/bin/true"))
    return str(copy)


@pytest.mark.parametrize("unit", [SYSTEM, USER], ids=lambda unit: unit.stem)
def test_systemd_takes_the_unit_without_a_word(unit: Path, tmp_path: Path) -> None:
    instance = ["--user"] if unit == USER else []
    done = analyze("verify", "--man=no", *instance, installed(unit, tmp_path), runtime=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_unit_with_a_mistake_is_not_taken(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.service"
    wrong.write_text(SYSTEM.read_text().replace("Delegate=", "Delegat="))
    assert "Delegat" in analyze("verify", "--man=no", str(wrong), runtime=tmp_path).stderr


def test_the_system_service_is_no_more_exposed_than_it_was(tmp_path: Path) -> None:
    arguments = ["security", "--offline=yes", f"--threshold={MOST_EXPOSURE}", "--no-pager"]
    done = analyze(*arguments, installed(SYSTEM, tmp_path), runtime=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("unit", [SYSTEM, USER], ids=lambda unit: unit.stem)
def test_nothing_in_a_unit_takes_the_jobs_ids_away(unit: Path) -> None:
    found = settings(unit)
    assert not IMPLY_NO_NEW_PRIVILEGES & found.keys()
    assert found["NoNewPrivileges"] == "no"
    assert "PrivateUsers" not in found


@pytest.mark.parametrize("unit", [SYSTEM, USER], ids=lambda unit: unit.stem)
def test_a_unit_delegates_what_jobs_are_limited_with(unit: Path) -> None:
    found = settings(unit)
    assert {"memory", "pids", "cpu", "cpuset"} == set(found["Delegate"].split())
    assert "DelegateSubgroup" not in found
    assert found["OOMPolicy"] == "continue"
    assert (found["Type"], found["KillMode"]) == ("notify", "mixed")


def test_both_units_treat_the_server_alike() -> None:
    system, user = settings(SYSTEM), settings(USER)
    same = (
        "Type", "NotifyAccess", "ExecReload", "KillMode", "TimeoutStopSec", "Restart", "RestartSec",
        "WatchdogSec", "TasksMax", "LimitNOFILE", "LogRateLimitIntervalSec",
    )  # fmt: skip
    assert {name: system[name] for name in same} == {name: user[name] for name in same}


def test_no_directory_of_the_service_is_one_that_root_uses() -> None:
    found = settings(SYSTEM)
    for name in ("StateDirectory", "CacheDirectory", "RuntimeDirectory"):
        assert found[name] == "sandbox-serve"
