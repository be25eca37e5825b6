"""What every test of a whole job needs: to run one, to compile one, to see that nothing is left."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from sandbox.supervisor.cgroup import find_backend
from sandbox.supervisor.identity import find_ranges, runtime_directory

PATIENCE_SECONDS = 30


class Outcome(NamedTuple):
    """What one `sandbox run` did; `result` is its JSON, None where no job ended."""

    returncode: int
    stdout: bytes
    stderr: str
    result: dict[str, Any] | None


@pytest.fixture
def run_sandbox(tmp_path: Path) -> Callable[..., Outcome]:
    """Run `sandbox run ARGUMENTS` as a program of its own."""

    def run(*arguments: object, stdin: bytes = b"", timeout: float = 120) -> Outcome:
        report = tmp_path / "result.json"
        report.unlink(missing_ok=True)
        command = [sys.executable, "-m", "sandbox", "run", f"--json={report}", *map(str, arguments)]
        done = subprocess.run(command, input=stdin, capture_output=True, timeout=timeout)
        text = report.read_text() if report.exists() else ""
        result = json.loads(text) if text else None
        return Outcome(done.returncode, done.stdout, done.stderr.decode(errors="replace"), result)

    return run


@pytest.fixture
def compile_c(tmp_path: Path) -> Callable[..., Path]:
    """Compile a C source on the host, static, to where a job may read it."""
    if shutil.which("gcc") is None:
        pytest.skip("no gcc on this host")

    def compile_source(source: Path, *options: str) -> Path:
        program = tmp_path / source.stem
        subprocess.run(
            ["gcc", "-O1", "-static", "-pthread", *options, "-o", program, source], check=True
        )
        for path in (tmp_path, *tmp_path.parents[:2]):
            path.chmod(0o755)
        return program

    return compile_source


@pytest.fixture(scope="module")
def nothing_kept() -> Iterator[None]:
    """Filters are compiled here and now; the cache of whoever runs the tests is left alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", "/nowhere")
        yield


@pytest.fixture
def leftovers() -> Iterator[None]:
    """After the test: no process of a leased id, no cgroup, no mount, no file but the leases."""
    mounts = Path("/proc/self/mountinfo").read_text()
    yield
    end = time.monotonic() + PATIENCE_SECONDS
    while (left := [*_processes(), *_cgroups()]) and time.monotonic() < end:
        time.sleep(0.01)  # the kernel takes down what is already dead
    assert not left, f"left on the host: {left}"
    assert Path("/proc/self/mountinfo").read_text() == mounts
    files = {path.name for path in runtime_directory(os.getuid()).iterdir()}
    assert files <= {"leases"}, f"left in the runtime directory: {files}"


def _processes() -> list[str]:
    ranges = find_ranges(os.getuid())
    if ranges is None:
        return []
    ids = range(ranges.uids.start, ranges.uids.start + ranges.count)
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            # The owner of /proc/PID is root while a process is not dumpable; its status tells.
            status = path.joinpath("status").read_text(errors="replace")
            uid = int(status.split("\nUid:\t")[1].split()[0])
            name = path.joinpath("comm").read_text(errors="replace").strip()
        except OSError:
            continue
        # One that is dead and whose parent has gone is init's to reap, and some take seconds to.
        is_reaped_by_init = "\nState:\tZ" in status and "\nPPid:\t1\n" in status
        if uid in ids and not is_reaped_by_init:
            found.append(f"process {path.name} ({name}) of uid {uid}")
    return found


def _cgroups() -> list[str]:
    backend = find_backend(os.getuid())
    try:
        own = f"sandbox-run-{os.getpid()}-"
        return [
            f"cgroup {path}"
            for base in backend.path.split()
            for path in Path(base).glob("sandbox-run-*")
            if not path.name.startswith(own)
        ]
    finally:
        backend.close()
