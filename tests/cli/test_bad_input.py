"""Bad input: one line that names the option as it was written, exit code 125, nothing started."""

import subprocess
import sys
from pathlib import Path

import pytest

# options and command -> what the one line must name and say
CASES = {
    ("--memory", "256MB", "--", "true"): ("--memory", "256MiB"),
    ("--memory", "0", "--", "true"): ("--memory", ""),
    ("--memory", "-1", "--", "true"): ("--memory", ""),
    ("--cpu-time", "soon", "--", "true"): ("--cpu-time", ""),
    ("--cpu-time", "nan", "--", "true"): ("--cpu-time", ""),
    ("--wall", "1e999", "--", "true"): ("--wall", ""),
    ("--processes", "0", "--", "true"): ("--processes", ""),
    ("--cpus", "0", "--", "true"): ("--cpus", ""),
    ("--core", "x", "--", "true"): ("--core", ""),
    ("--disk", "1MiB:many", "--", "true"): ("--disk", ""),
    ("--output", "lots", "--", "true"): ("--output", ""),
    ("--fds", "1", "--", "true"): ("--fds", ""),
    ("--stack", "1", "--", "true"): ("--stack", ""),
    ("--policy", "nativ", "--", "true"): ("--policy", "native"),
    ("--policy", "/nonexistent.toml", "--", "true"): ("nonexistent.toml", "No such file"),
    ("--root", "/nonexistent", "--", "true"): ("--root", "/nonexistent"),
    ("--ro", "/nonexistent", "--", "true"): ("--ro", "/nonexistent"),
    ("--ro", "/usr:/proc/x", "--", "true"): ("--ro", "/proc"),
    ("--copy", "/usr/bin/true:../../x", "--", "true"): ("--copy", ".."),
    ("--collect", "out", "--", "true"): ("--collect", "="),
    ("--collect", "out=/nonexistent/out", "--", "true"): ("--collect", "/nonexistent"),
    ("--env", "NAME", "--", "true"): ("--env", "="),
    ("--stdin", "/nonexistent", "--", "true"): ("--stdin", "/nonexistent"),
    ("--spec", "/nonexistent", "--", "true"): ("--spec", "/nonexistent"),
    ("--require-grade", "memory=iron", "--", "true"): ("--require-grade", "kernel"),
    ("--require-grade", "memoy=kernel", "--", "true"): ("--require-grade", "memory"),
    ("--memroy", "1MiB", "--", "true"): ("--memroy", "--memory"),
    ("--json=/nonexistent/r.json", "--", "true"): ("--json", "/nonexistent"),
    ("--",): ("command", ""),
    (): ("command", ""),
}


def run(*words: str, directory: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sandbox", "run", *words]
    return subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=directory
    )


@pytest.mark.parametrize("words", CASES, ids=" ".join)
def test_bad_input_is_one_line_that_names_it(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, leftovers: None
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2]))
    ended = run(*words, directory=tmp_path)
    assert ended.returncode == 125, ended
    assert ended.stdout == "" and ended.stderr.count("\n") == 1, ended.stderr
    assert ended.stderr.startswith("sandbox: ")
    for part in CASES[words]:
        assert part.lower() in ended.stderr.lower(), ended.stderr
    assert list(tmp_path.iterdir()) == []


BAD_SPECS = {
    "memory = 1": ("memory", ""),
    "[limits]\nmemroy = 1": ("limits.memroy", "memory"),
    "[limits]\nmemory = true": ("limits.memory", "true"),
    "[limits]\ncpus = nan": ("limits.cpus", ""),
    "[limits]\nwall = inf": ("limits.wall", ""),
    "command = 'true'": ("command", "array"),
    "command = [1]": ("command[0]", ""),
    'command = ["a\\u0000b"]': ("command", "NUL"),
    "ro = ['/usr:/a', '/usr:/a']": ("ro[1]", "/a"),
    "isolation = 'vm'": ("isolation", "container"),
    "x = ": ("job.toml", ""),
}


@pytest.mark.parametrize("text", BAD_SPECS)
def test_a_bad_spec_file_is_told_by_field(text: str, tmp_path: Path) -> None:
    spec = tmp_path / "job.toml"
    spec.write_text(text)
    command = [] if text.startswith("command") else ["--", "true"]
    root = Path(__file__).resolve().parents[2]
    ended = run("--spec", str(spec), *command, directory=root)
    assert ended.returncode == 125, ended
    for part in BAD_SPECS[text]:
        assert part in ended.stderr, ended.stderr


def test_a_spec_file_does_what_options_do(tmp_path: Path) -> None:
    spec = tmp_path / "job.toml"
    (tmp_path / "input.txt").write_text("from a file\n")
    spec.write_text(
        'command = ["sh", "-c", "cat; cat copy; echo $NAME"]\n'
        'copy = ["input.txt:copy"]\nstdin = "input.txt"\nenv = { NAME = "value" }\n'
        '[limits]\nmemory = "64MiB"\n'
    )
    root = Path(__file__).resolve().parents[2]
    ended = run("--spec", str(spec), directory=root)
    assert (ended.returncode, ended.stdout) == (0, "from a file\nfrom a file\nvalue\n"), ended
