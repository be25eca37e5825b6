"""What a judge keeps for as long as it lives goes when the next one starts, if it was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from judge.packages import one_test, written

from sandbox.judge.scratch import scratch_directory

HOLDS = """
from sandbox.judge.scratch import scratch_directory
with scratch_directory() as path:
    (path / "file").write_text("left")
    print(path, flush=True)
    input()
"""


def held(directory: Path) -> tuple[subprocess.Popen[str], Path]:
    """A process that has a scratch directory there, and waits."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDS],
        env={**os.environ, "TMPDIR": str(directory)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert holder.stdout is not None
    return holder, Path(holder.stdout.readline().strip())


def test_the_directory_of_a_dead_process_goes_and_that_of_a_live_one_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    dead, left = held(tmp_path)
    live, used = held(tmp_path)
    try:
        dead.kill()
        dead.wait()
        assert (left / "file").exists(), "control: nobody was there to remove it"
        with scratch_directory() as path:
            assert sorted(tmp_path.iterdir()) == sorted([path, used])
            assert (used / "file").exists()
    finally:
        live.communicate("\n")
        dead.communicate()
    assert list(tmp_path.iterdir()) == []


def test_what_only_has_such_a_name_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    written(tmp_path, {"tmp/sandbox-judge-file": "", "elsewhere/file": ""})
    (tmp_path / "tmp" / "sandbox-judge-link").symlink_to(tmp_path / "elsewhere")
    with scratch_directory():
        pass
    assert (tmp_path / "elsewhere" / "file").exists()
    assert (tmp_path / "tmp" / "sandbox-judge-file").exists()


def test_a_judge_that_is_killed_leaves_nothing_that_the_next_one_does_not_remove(
    tmp_path: Path, leftovers: None
) -> None:
    second = {"data/secret/2.in": "2\n", "data/secret/2.ans": "2"}
    problem = one_test(tmp_path / "p", second, yaml="limits: {time_limit: 10}\n")
    loops = "line = input()\nprint(line)\nwhile line == '2': pass\n"
    source = written(tmp_path / "s", {"a.py": loops}) / "a.py"
    (tmp_path / "tmp").mkdir()
    environment = {**os.environ, "TMPDIR": str(tmp_path / "tmp"),
                   "XDG_CACHE_HOME": str(tmp_path / "cache")}  # fmt: skip
    command = [sys.executable, "-m", "sandbox", "judge", problem]
    first = subprocess.Popen([*command, source], env=environment, stderr=subprocess.PIPE)
    left = tmp_path.glob("tmp/sandbox-judge-*")
    try:
        assert first.stderr is not None
        assert any(line.endswith(b"a.py secret/1 AC\n") for line in first.stderr)
    finally:
        first.send_signal(signal.SIGKILL)
        first.communicate()
    assert next(left), "control: nobody was there to remove it"
    source.write_text("print(17)\n")
    again = subprocess.run([*command, source], env=environment, capture_output=True, text=True)
    assert again.returncode == 1 and "a.py (python3): WA" in again.stdout, again.stderr
    assert not list(tmp_path.glob("tmp/sandbox-judge-*"))
