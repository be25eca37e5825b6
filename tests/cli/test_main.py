"""`sandbox` as a program: complaints, help and policies. No test here starts a job."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import IO, NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
STRICT = ROOT / "policies/strict.toml"


class Said(NamedTuple):
    """What one command did."""

    code: int
    stdout: str
    stderr: str
    modules: frozenset[str]  # what it imported


def sandbox(
    directory: Path, *words: str | bytes, stdout: IO[bytes] | int = subprocess.PIPE, **env: str
) -> Said:
    """Run `sandbox WORDS` in `directory`, and watch its imports."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "sandbox", *words],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(ROOT), **env},
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        timeout=60,
    )
    lines = done.stderr.decode("utf-8", "surrogateescape").splitlines(keepends=True)
    timings = [line for line in lines if line.startswith("import time:")]
    stderr = "".join(line for line in lines if not line.startswith("import time:"))
    modules = frozenset(line.rpartition("|")[2].strip() for line in timings)
    stdout = (done.stdout or b"").decode("utf-8", "surrogateescape")
    return Said(done.returncode, stdout, stderr, modules)


BAD = {
    "no command at all": ("", "COMMAND"),
    "an unknown command": ("rum", "rum"),
    "an unknown option": ("run --memry 1 true", "--memry"),
    "an option without its value": ("run --memory", "--memory"),
    "no size": ("run --memory 256MB true", "--memory"),
    "no memory": ("run --memory 0 true", "--memory"),
    "no time": ("run --cpu-time soon true", "--cpu-time"),
    "endless time": ("run --wall inf true", "--wall"),
    "negative time": ("run --wall -1 true", "--wall"),
    "no idle time": ("run --idle nan true", "--idle"),
    "negative grace": ("run --extra-time -1s true", "--extra-time"),
    "no processes": ("run --processes 0 true", "--processes"),
    "no CPUs": ("run --cpus 0 true", "--cpus"),
    "no core": ("run --core -1 true", "--core"),
    "no inodes": ("run --disk 1MiB:0 true", "--disk.inodes"),
    "no output": ("run --output 0 true", "--output"),
    "too few files": ("run --fds 1 true", "--fds"),
    "no stack": ("run --stack 1 true", "--stack"),
    "contradicting times": ("run --idle 3s --wall 2s true", "--idle"),
    "contradicting CPUs": ("run --core 0 --cpus 2 true", "--cpus"),
    "no such source": ("run --ro nowhere true", "--ro"),
    "a reserved place": ("run --copy /etc/hostname:/proc/x true", "--copy"),
    "no artifact": ("run --collect x true", "--collect"),
    "no variable": ("run --env K true", "--env"),
    "a reserved directory": ("run --cwd /dev true", "--cwd"),
    "no such input": ("run --stdin nowhere true", "--stdin"),
    "no such root": ("run --root nowhere true", "--root"),
    "no such policy": ("run --policy pyton true", "--policy"),
    "no policy file": ("run --policy nowhere.toml true", "--policy"),
    "no policy in the file": ("run --policy bad.toml true", "command"),
    "no grade": ("run --require-grade memory=best true", "--require-grade"),
    "no such counter": ("run --disk-counts both true", "--disk-counts"),
    "no place for the result": ("run --json=/nowhere/x true", "--json"),
    "no such spec": ("run --spec nowhere.toml", "--spec"),
    "no spec in the file": ("run --spec bad.toml", "bad.toml: wy"),
    "no TOML": ("run --spec broken.toml", "--spec"),
    "a number too long": ("run --spec long.toml", "--spec"),
    "no command to run": ("run --", "COMMAND"),
    "a value for a switch": ("run --tty=yes true", "--tty"),
    "no user": ("setup", "--user"),
    "a word too many": ("doctor now", "now"),
    "no action": ("policy", "policy"),
    "an unknown action": ("policy chek x", "policy"),
    "no name": ("policy show", "policy show"),
    "no such policy to show": ("policy show pyton", "policy"),
    "no policy to check": ("policy check bad.toml", "bad.toml: command"),
}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Where the commands run, with files that are none."""
    (tmp_path / "bad.toml").write_text('command = ["true"]\nwy = "x"\n')
    (tmp_path / "broken.toml").write_text("command = [")
    (tmp_path / "long.toml").write_text(f"x = {'1' * 5000}\n")
    return tmp_path


@pytest.mark.parametrize(("line", "field"), BAD.values(), ids=BAD)
def test_a_mistake_is_one_line_that_names_it_and_nothing_starts(
    directory: Path, line: str, field: str
) -> None:
    before = sorted(directory.iterdir())
    said = sandbox(directory, *line.split())
    assert said.code == 125
    assert said.stdout == ""
    assert re.fullmatch(rf"sandbox: (.*: )?{re.escape(field)}: [^\n]+\n", said.stderr)
    supervisor = {module for module in said.modules if module.startswith("sandbox.supervisor.")}
    assert supervisor <= {"sandbox.supervisor.filter_cache", "sandbox.supervisor.toml_cache"}
    assert sorted(directory.iterdir()) == before


@pytest.mark.parametrize("words", ["--help", "run --help", "doctor --help", "setup --help"])
def test_help_is_on_stdout(directory: Path, words: str) -> None:
    said = sandbox(directory, *words.split())
    assert (said.code, said.stderr) == (0, "")
    assert "Usage: sandbox" in said.stdout
    assert max(map(len, said.stdout.splitlines())) <= 100


def test_the_version_is_that_of_the_package(directory: Path) -> None:
    pyproject = (ROOT / "pyproject.toml").read_text()
    version = re.search(r'^version = "(.+)"$', pyproject, re.MULTILINE)
    assert version is not None
    assert sandbox(directory, "--version").stdout == f"sandbox {version[1]}\n"


def test_nothing_slow_is_imported_before_a_job_is_known(directory: Path) -> None:
    modules = sandbox(directory, "run", "--memory", "256MB", "true").modules
    assert modules & {"argparse", "json", "pyseccomp", "trio", "subprocess"} == set()


def test_every_policy_is_listed_shown_and_checked(directory: Path) -> None:
    listed = sandbox(directory, "policy", "list").stdout.splitlines()
    assert "strict" in {line.split()[0] for line in listed}
    shown = sandbox(directory, "policy", "show", "strict").stdout
    for part in ("limits.memory_bytes", "any other system call", "allow: ", "/proc"):
        assert part in shown
    checked = sandbox(directory, "policy", "check", str(STRICT))
    assert checked.code == 0
    assert checked.stdout.startswith(f"{STRICT}: a policy; it decides ")


def test_a_check_knows_the_names_of_syscalls(directory: Path) -> None:
    policy = directory / "p.toml"
    entry = '\n[[syscalls]]\nallow = ["reed"]\nwhy = "w"\n'
    policy.write_text(STRICT.read_text() + entry)
    said = sandbox(directory, "policy", "check", "p.toml")
    assert said.code == 125
    assert said.stderr.startswith("sandbox: p.toml: ")
    assert "reed" in said.stderr


def test_a_name_is_never_obeyed_by_a_terminal(directory: Path) -> None:
    name = b"p\xff\x1b[2J.toml"
    said = sandbox(directory, "policy", "check", name)
    assert (said.code, "\x1b" in said.stderr) == (125, False)
    Path(os.fsdecode(os.fsencode(directory) + b"/" + name)).write_bytes(STRICT.read_bytes())
    said = sandbox(directory, "policy", "check", name)
    assert (said.code, said.stdout[:14]) == (0, "p\\udcff\\x1b[2J")


def test_a_locale_that_lacks_a_letter_is_no_failure(directory: Path) -> None:
    said = sandbox(directory, "--help", PYTHONIOENCODING="ascii")
    assert (said.code, said.stderr) == (0, "")


def test_a_full_disk_under_stdout_is_one_line(directory: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        said = sandbox(directory, "--help", stdout=full)
    assert said.code == 125
    assert said.stderr == "sandbox: output: No space left on device\n"


def test_a_reader_that_has_gone_is_no_traceback(directory: Path) -> None:
    read_fd, write_fd = os.pipe()
    os.close(read_fd)
    with os.fdopen(write_fd, "wb") as gone:
        said = sandbox(directory, "--help", stdout=gone)
    assert (said.code, said.stderr) == (125, "")


def test_a_complaint_never_goes_to_stdout(directory: Path) -> None:
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" 2>&-', "sh", sys.executable, "-m", "sandbox", "rum"],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (125, b"")
