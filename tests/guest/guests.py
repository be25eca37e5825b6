"""Other tests, run in a guest kernel: a skip in there is a failure, but for what a kernel lacks."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

__all__ = ["IS_LONG", "guest", "pass_in_guest"]

HERE = Path(__file__).parent
CHECKOUT = HERE.parents[1]
TIMEOUT_SECONDS = 900
# SANDBOX_LONG=1: every case on both kernels, some ten minutes.
IS_LONG = bool(os.environ.get("SANDBOX_LONG"))

_LACKING = {
    "uml": ("needs two CPUs", 'cgroup v2 "cpuset" is not', "only root can delegate"),
    "qemu": ("only root can delegate",),
}
_V1_ONLY = ("cgroup v2 ends the whole group itself", 'cgroup v1 "', "no usable cgroup v1")


def guest(*arguments: str) -> "subprocess.CompletedProcess[bytes]":
    """Run the guest; skips where this host cannot have one."""
    command = [sys.executable, HERE / "guest", f"--timeout={TIMEOUT_SECONDS}", *arguments]
    ended = subprocess.run(command, cwd=CHECKOUT, capture_output=True)
    said = ended.stderr.decode(errors="replace")
    if ended.returncode == 125 and (missing := re.match(r"guest: (.*(apt-get|fix:).*)", said)):
        pytest.skip(missing[1])
    return ended


def pass_in_guest(tests: str, *options: str, select: str = "") -> None:
    """Run pytest on `tests` in a guest with these options. Without IS_LONG, those marked are not
    run; `select`: only these, as by pytest's -k."""
    chosen = ["-k", select] if select else []
    marked = [] if IS_LONG else ["-m", "not long"]
    pytest_command = [sys.executable, "-m", "pytest", "-q", "-rs", *marked, *chosen]
    ended = guest(*options, "--", *pytest_command, *tests.split())
    output = ended.stdout.decode(errors="replace") + ended.stderr.decode(errors="replace")
    assert ended.returncode == 0, output
    kernel = "qemu" if "--kernel=qemu" in options else "uml"
    skipped = re.findall(r"^SKIPPED \[\d+\] \S+: (.*)", output, re.MULTILINE)
    allowed = (*_LACKING[kernel], *_V1_ONLY)
    assert not [reason for reason in skipped if not reason.startswith(allowed)], output
    assert re.search(r"^\d+ passed", output, re.MULTILINE), output
