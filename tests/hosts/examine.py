"""What one host gives to jobs: run there, as the user in question; prints one JSON object.

    examine.py PACKAGES [WORD…]

PACKAGES is the directory that has `sandbox` in it. The words come before each command of it, where
each has to be started in a host of its own, as services are.

It needs nothing but a Python with sandbox's libraries, writes no file, and ends in any case.
"""

import json
import os
import subprocess
import sys
from typing import Any

PATIENCE_SECONDS = 300
# What a payload can see of its own walls; proc_pid_status(5).
_WALLED = (
    "for line in 'CapEff:.0000000000000000' 'CapPrm:.0000000000000000' 'NoNewPrivs:.1' "
    "'Seccomp:.2'; do grep -q \"^$line\" /proc/self/status || exit 9; done; "
    'test -z "$(ls /sys 2>/dev/null)"'
)
_JOBS = {
    "default": ("--", "sh", "-c", _WALLED),
    "memory": ("--memory", "32MiB", "--", "python3", "-c", "print(len(bytearray(1 << 27)))"),
    "processes": (
        *("--processes", "4", "--", "sh", "-c"),
        "for n in 1 2 3 4 5 6; do sleep 9 & done; wait",
    ),
}


def main() -> None:
    """Ask the doctor, and run each job, or the default one without quotas where it is refused."""
    packages = sys.argv[1]
    said = _sandbox(packages, "doctor", "--json")
    try:
        doctor = json.loads(said.stdout)
    except ValueError:
        doctor = {"ok": False, "failed": f"exit code {said.returncode}: {said.stderr}"}
    jobs = {"default": _job(packages, _JOBS["default"])}
    if jobs["default"]["verdict"] is None:
        jobs["degraded"] = _job(packages, ("--allow-degraded", *_JOBS["default"]))
    else:
        jobs |= {name: _job(packages, _JOBS[name]) for name in ("memory", "processes")}
    print(json.dumps({"kernel": os.uname().release, "doctor": doctor, "jobs": jobs}))


def _job(packages: str, arguments: tuple[str, ...]) -> dict[str, Any]:
    done = _sandbox(packages, "run", "--json", *arguments)
    try:  # what the payload prints goes to stderr
        result: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        result = {}
    return {
        "verdict": result.get("verdict"),
        "walls": result.get("walls"),
        "grades": result.get("grades"),
        "exit_code": done.returncode,
        "said": done.stderr.strip(),
    }


def _sandbox(packages: str, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [*sys.argv[2:], sys.executable, "-B", "-m", "sandbox", *words]
    environment = {**os.environ, "PYTHONPATH": packages}
    try:
        return subprocess.run(
            command, env=environment, cwd="/", capture_output=True, timeout=PATIENCE_SECONDS,
            text=True, errors="replace",
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, -1, "", "no end")
    except OSError as error:
        return subprocess.CompletedProcess(command, -1, "", f"cannot be started: {error}")


if __name__ == "__main__":
    main()
