"""`sandbox judge` as people have it: what is printed, and the exit code."""

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from judge.packages import package

RIGHT = "print(sum(map(int, input().split())))\n"
DIFFERENT = "a, b = map(int, input().split())\nprint(b - a)\n"
ENDLESS = "while True: pass\n"
SUMS = {
    "data/sample/1.in": "1 2\n", "data/sample/1.ans": "3\n",
    "data/secret/1.in": "3 4\n", "data/secret/1.ans": "7\n",
    "data/secret/2.in": "5 6\n", "data/secret/2.ans": "11\n",
    "submissions/accepted/right.py": RIGHT,
}  # fmt: skip

COMMAND = [sys.executable, "-m", "sandbox", "judge"]
Judge = Callable[..., subprocess.CompletedProcess]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """One cache of built programs for all tests here, and a place for temporary files."""
    there = tmp_path_factory.mktemp("command")
    (there / "cache").mkdir(mode=0o700)
    (there / "tmp").mkdir()
    return {**os.environ, "XDG_CACHE_HOME": str(there / "cache"), "TMPDIR": str(there / "tmp")}


@pytest.fixture
def judge(environment: dict[str, str]) -> Iterator[Judge]:
    """Runs `sandbox judge` with those words; nothing of it stays in the place for temporary
    files."""

    def run(*words: object, **more: Any) -> subprocess.CompletedProcess:
        command = [*COMMAND, *map(str, words)]
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=120, **more
        )

    yield run
    assert not list(Path(environment["TMPDIR"]).iterdir())


@pytest.fixture
def problem(tmp_path: Path) -> Path:
    return package(tmp_path / "sums", SUMS)


def source(tmp_path: Path, text: str, name: str = "made.py") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def packed(problem: Path, name: str, *, has_top: bool) -> Path:
    """An archive of the package: below its own name, or by itself as DOMjudge has them."""
    archive = problem.parent / name
    top = problem.parent if has_top else problem
    paths = sorted(path for path in problem.rglob("*") if path.is_file())
    if archive.suffix in (".zip", ".kpp"):
        with zipfile.ZipFile(archive, "w") as file:
            for path in paths:
                file.write(path, path.relative_to(top))
    else:
        with tarfile.open(archive, "w:gz") as tar:
            for path in paths:
                tar.add(path, path.relative_to(top))
    return archive


@pytest.mark.parametrize(
    ("name", "has_top"), [("a.zip", True), ("b.kpp", False), ("sums.tar.gz", True)]
)
def test_a_package_may_be_an_archive(
    name: str, has_top: bool, judge: Judge, problem: Path, tmp_path: Path
) -> None:
    archive = packed(problem, name, has_top=has_top)
    assert judge("--verify", archive).returncode == 0
    done = judge("--json", archive, source(tmp_path, DIFFERENT))
    assert done.returncode == 1
    assert json.loads(done.stdout)["judgements"][0]["verdict"] == "WA"


def test_what_is_no_archive_and_what_is_none_of_a_package_is_said(
    judge: Judge, problem: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.zip"
    with packed(problem, "a.zip", has_top=True).open("rb") as whole:
        broken.write_bytes(whole.read()[:-40])
    (problem / "link").symlink_to("data")
    with tarfile.open(tmp_path / "links.tar", "w") as tar:
        tar.add(problem, "sums")
    other = tmp_path / "other.zip"
    with zipfile.ZipFile(other, "w") as file:
        file.writestr("a/b", "")
    for path, told in {
        broken: "is neither a zip nor a tar that can be read",
        tmp_path / "links.tar": "sums/link: is a link or a device",
        other: "no directories in it have a problem.yaml",
        source(tmp_path, RIGHT): "is neither a zip nor a tar that can be read",
    }.items():
        done = judge("--verify", path)
        assert (done.returncode, done.stdout) == (125, ""), done
        assert done.stderr.startswith(f"sandbox: {path}: {told}"), done.stderr


def test_an_archive_that_grows_without_end_fills_no_disk(judge: Judge, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "bomb.tar", "w") as tar:
        entry = tarfile.TarInfo("sums/data/secret/1.in")
        entry.size = 5 << 30
        tar.addfile(entry)
    done = judge("--verify", tmp_path / "bomb.tar")
    assert done.returncode == 125
    assert "over 4294967296 bytes unpacked" in done.stderr


def nested(top: Path, name: str, count: int) -> Path:
    """A directory of so many in each other: too many for a path, or for who calls itself."""
    top.mkdir()
    (top / "made.py").write_text(RIGHT)
    above = os.open(top, os.O_RDONLY)
    for _ in range(count):
        os.mkdir(name, dir_fd=above)
        inner = os.open(name, os.O_RDONLY, dir_fd=above)
        os.close(above)
        above = inner
    os.close(above)
    return top


def closed(top: Path) -> Path:
    """A directory whose names can be read, and nothing else."""
    (top / "inner").mkdir(parents=True)
    (top / "inner" / "made.py").write_text(RIGHT)
    (top / "inner").chmod(0o444)
    return top


def test_a_directory_that_nobody_walks_keeps_no_other_submission_from_being_judged(
    judge: Judge, problem: Path, tmp_path: Path
) -> None:
    deep, long = nested(tmp_path / "deep", "d", 1200), nested(tmp_path / "long", "d" * 200, 40)
    shut = closed(tmp_path / "closed")
    try:
        for more in ((), ("--language", "py3")):
            done = judge(*more, problem, deep, long, shut, source(tmp_path, RIGHT))
            assert done.returncode == 1, done.stderr
            told = done.stdout.splitlines()
            assert [": CE: " in line for line in told[:3]] == [True] * 3, told
            assert ": AC: " in told[3], "control"
    finally:
        (shut / "inner").chmod(0o755)
        subprocess.run(["rm", "-rf", deep, long], check=True)


def test_a_table_tells_of_each_test_and_the_sum(
    judge: Judge, problem: Path, tmp_path: Path
) -> None:
    right = source(tmp_path, RIGHT)
    done = judge(problem, right)
    assert done.returncode == 0, done.stderr
    first, head, *rows = done.stdout.splitlines()
    assert first == f"{right} (python3): AC: 3 of 3 tests accepted"
    assert head.split() == ["test", "verdict", "CPU", "wall", "memory", "why"]
    assert [row.split()[:2] for row in rows] == [
        ["sample/1", "AC"], ["secret/1", "AC"], ["secret/2", "AC"],
    ]  # fmt: skip
    assert all(row.count(" s ") == 2 and row.endswith("MiB") for row in rows)
    # Progress, in a pipe: a line a test, in the order in which they were done.
    assert sorted(done.stderr.splitlines()) == [
        f"{right} {name} AC" for name in ("sample/1", "secret/1", "secret/2")
    ]


def test_what_is_rejected_is_told_with_its_reason(
    judge: Judge, problem: Path, tmp_path: Path
) -> None:
    done = judge(problem, source(tmp_path, DIFFERENT), source(tmp_path, RIGHT, "right.py"))
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert 'WA: sample/1: line 1, token 1: expected "3", found "1"' in lines[0]
    assert lines[3].split()[:2] == ["secret/1", "-"]
    assert "not run" in lines[3]
    assert any("right.py (python3): AC" in line for line in lines), "the others are judged too"


def test_what_does_not_compile_is_told_in_the_compilers_words(
    judge: Judge, problem: Path, tmp_path: Path
) -> None:
    done = judge(problem, source(tmp_path, "def wrong(:\n"))
    assert done.returncode == 1
    assert "made.py: CE: the compiler ended with exit code 1" in done.stdout
    assert "  | SyntaxError: " in done.stdout


def test_on_a_terminal_a_bar_grows_and_goes(
    environment: dict[str, str], problem: Path, tmp_path: Path
) -> None:
    ours, theirs = pty.openpty()
    command = [*COMMAND, problem, source(tmp_path, RIGHT)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    shown = b""
    try:
        while piece := os.read(ours, 1 << 16):
            shown += piece
    except OSError:  # EIO: the other end is closed, which is the end of the file; pty(7)
        pass
    os.close(ours)
    stdout, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert b"3 of 3 tests accepted" in stdout
    for count, bar in ((1, b"########................"), (3, b"#" * 24)):
        assert b"\r\x1b[K[%s] %d/3 " % (bar, count) in shown
    assert shown.endswith(b"\r\x1b[K"), "what comes next is not beside the bar"
    assert b"\n" not in shown


def test_json_tells_everything(judge: Judge, problem: Path, tmp_path: Path) -> None:
    wrong, path = source(tmp_path, DIFFERENT), tmp_path / "document"
    (problem / "submissions/odd.py").touch()
    done = judge("--json", problem, wrong)
    assert done.returncode == 1
    document = json.loads(done.stdout)
    assert document["problem"] == "Made up" and document["time_limit_seconds"] == 1
    assert document["notes"] == ["submissions/odd.py: is in no directory; it is left out"]
    (judgement,) = document["judgements"]
    assert (judgement["verdict"], judgement["language"]) == ("WA", "python3")
    assert [test["verdict"] for test in judgement["tests"]] == ["WA", "", ""]
    assert judgement["tests"][0]["runs"][0]["cpu_seconds"] > 0
    done = judge(f"--json={path}", problem, wrong)
    assert "WA" in done.stdout and json.loads(path.read_text())["judgements"]


def test_a_document_that_cannot_be_written_is_told(
    judge: Judge, problem: Path, tmp_path: Path
) -> None:
    done = judge("--json=/nowhere/document", problem, source(tmp_path, RIGHT))
    assert done.returncode == 125
    assert done.stdout == "", "it is told before anything is judged"
    assert done.stderr == "sandbox: --json: /nowhere/document: No such file or directory\n"


def test_options_are_taken_wherever_they_are(judge: Judge, problem: Path, tmp_path: Path) -> None:
    right = source(tmp_path, RIGHT)
    told = [
        json.loads(judge(*words).stdout)
        for words in (
            ("--json", "--jobs", "1", problem, right),
            (problem, right, "--jobs", "1", "--json"),
            (problem, "--json", right, "--jobs=1"),
        )
    ]
    assert [one["judgements"][0]["verdict"] for one in told] == ["AC"] * 3


def test_a_language_may_be_told(judge: Judge, problem: Path, tmp_path: Path) -> None:
    script = source(tmp_path, 'read a b; echo "$((a + b))"\n', "script")
    assert "(bash): AC" in judge("--language=bash", problem, script).stdout
    done = judge("--language=klingon", problem, script)
    assert done.returncode == 125
    assert "script (klingon): JE: it was not compiled:" in done.stdout
    done = judge(problem, script)
    assert done.returncode == 1 and "script: CE: " in done.stdout
    assert "in no language that is known" in done.stdout


def test_what_lies_among_submissions_in_no_language_is_left_out(
    judge: Judge, problem: Path, tmp_path: Path
) -> None:
    expects = "@EXPECTED_RESULTS@: COMPILER-ERROR"
    left = {"accepted/Main.class": "", "accepted/notes": "", "wrong_answer/a.out": ""}
    for name, text in {**left, "mixed/a.xyz": expects}.items():
        path = problem / "submissions" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    done = judge("--verify", "--json", problem)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    judged = [(one["submission"], one["verdict"]) for one in told["judgements"]]
    assert judged == [("accepted/right.py", "AC"), ("mixed/a.xyz", "CE")]
    for name in left:
        note = f"submissions/{name}: is in no language that is known here; left out"
        assert note in told["notes"] and f"sandbox: {note}" in done.stderr.splitlines()


def test_languages_that_are_not_known_are_noted(
    judge: Judge, problem: Path, tmp_path: Path
) -> None:
    metadata = problem / "problem.yaml"
    metadata.write_text(metadata.read_text() + "languages: [py3, pythn3]\n")
    done = judge(problem, source(tmp_path, RIGHT))
    assert done.returncode == 0, done.stderr
    (note,) = (line for line in done.stderr.splitlines() if "languages: " in line)
    told = '"pythn3" is none that is known here; did you mean python3?'
    assert note == f"sandbox: problem.yaml: languages: {told}"


def test_a_time_limit_may_be_told(judge: Judge, problem: Path, tmp_path: Path) -> None:
    done = judge("--time-limit=0.2", problem, source(tmp_path, ENDLESS))
    assert done.returncode == 1
    assert "TLE: sample/1: CPU time over 0.2 s" in done.stdout


def test_all_tests_are_run_where_that_is_asked_for(
    judge: Judge, problem: Path, tmp_path: Path
) -> None:
    done = judge("--all", "--jobs=1", problem, source(tmp_path, DIFFERENT))
    assert [line.split()[1] for line in done.stdout.splitlines()[2:]] == ["WA"] * 3


ASKS = """\
import sys
from pathlib import Path
print(Path(sys.argv[1]).read_text().strip(), flush=True)
sys.exit(42 if input() == "pong" else 43)
"""
DIALOGUE = {
    "problem.yaml": "name: Made up\nvalidation: custom interactive\n",
    "data/secret/1.in": "ping\n", "data/secret/1.ans": "",
    "output_validators/asks.py": ASKS,
    "submissions/accepted/pong.py": "input()\nprint('pong')\n",
}  # fmt: skip


def test_a_dialogue_may_be_printed(judge: Judge, tmp_path: Path) -> None:
    directory = package(tmp_path / "asks", DIALOGUE)
    pong = directory / "submissions/accepted/pong.py"
    done = judge("--transcript", directory, pong)
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    at = lines.index("  dialogue of secret/1:")
    told = [line.split() for line in lines[at + 1 :]]
    assert [line[1:] for line in told] == [["<", "ping"], [">", "pong"]]
    assert float(told[0][0]) <= float(told[1][0])
    assert "  dialogue of" not in judge(directory, pong).stdout


def test_a_run_time_error_is_told_with_its_last_words(
    judge: Judge, problem: Path, tmp_path: Path
) -> None:
    fails = source(tmp_path, "import sys\nprint('x' * 5000, file=sys.stderr)\nint('seven')\n")
    done = judge(problem, fails)
    words = "exit code 1: ValueError: invalid literal for int() with base 10: 'seven'"
    assert done.returncode == 1 and words in done.stdout
    (test, *_) = json.loads(judge("--json", problem, fails).stdout)["judgements"][0]["tests"]
    assert len(test["stderr"]) == 2048 and test["stderr"].endswith("'seven'\n")


def test_expectations_are_compared_with_verdicts(judge: Judge, tmp_path: Path) -> None:
    submissions = {
        "submissions/wrong_answer/different.py": DIFFERENT,
        "submissions/time_limit_exceeded/endless.py": ENDLESS,
    }
    directory = package(tmp_path / "sums", {**SUMS, **submissions})
    done = judge("--verify", "--time-limit=0.3", directory)
    assert done.returncode == 0, done.stdout
    assert done.stdout.count(" - as expected\n") == len(done.stdout.splitlines()) == 3
    (directory / "submissions/accepted/wrong.py").write_text(DIFFERENT)
    done = judge("--verify", "--time-limit=0.3", directory)
    assert done.returncode == 1
    assert "NOT as expected: AC is permitted, and sample/1 is WA: line 1" in done.stdout
    assert done.stdout.count(" - as expected\n") == 3
    (directory / "submissions/accepted/wrong.py").rename(directory / "submissions/wrong.py")
    (directory / "submissions/acepted").mkdir()
    (directory / "submissions/wrong.py").rename(directory / "submissions/acepted/wrong.py")
    done = judge("--verify", "--time-limit=0.3", directory)
    (told,) = [line for line in done.stdout.splitlines() if line.startswith("acepted/wrong.py")]
    assert told.endswith(" - nothing was expected") and done.returncode == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "PROBLEM: is missing"),
        (["{problem}"], "SUBMISSION: is missing"),
        (["--verify", "{none}"], "submissions: has none to verify"),
        (["{problem}", "{right}", "--al"], "--al: no such option; did you mean --all?"),
        (["{problem}", "--", "--all"], "SUBMISSION: --all is neither a file nor a directory"),
        (["--verify", "{problem}", "{right}"], "--verify: judges the package's own"),
        (["{problem}", "/nowhere"], "SUBMISSION: /nowhere is neither a file nor a directory"),
        (["{problem}", "{empty}"], "has no files"),
        (["/nowhere", "{right}"], "/nowhere"),
        (["{empty}", "{right}"], "problem.yaml: is missing, so this is no problem package"),
        (["{broken}", "{right}"], "problem.yaml: limits.memory:"),
        (["{flags}", "{right}"], 'problem.yaml: validator_flags: "case_sensitiv" is no flag of'),
        (["--jobs=0", "{problem}", "{right}"], "--jobs:"),
        (["--jobs=4096", "{problem}", "{right}"], "--jobs: is 4096, and there are 1 to"),
        (["--jobs=two", "{problem}", "{right}"], "--jobs:"),
        (["--time-limit=0", "{problem}", "{right}"], "--time-limit:"),
        (["--time-limit=nan", "{problem}", "{right}"], "--time-limit:"),
        (["--tanscript", "{problem}", "{right}"], "did you mean --transcript?"),
        (["languages", "more"], "more: languages takes options only"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_judged_is_told_in_a_line(
    judge: Judge, problem: Path, tmp_path: Path, words: list[str], told: str
) -> None:
    (tmp_path / "empty").mkdir()
    broken = {**SUMS, "problem.yaml": "name: a\nlimits:\n  memory: much\n"}
    places = {
        "problem": problem, "right": source(tmp_path, RIGHT), "empty": tmp_path / "empty",
        "broken": package(tmp_path / "broken", broken),
        "flags": package(
            tmp_path / "flags", {**SUMS, "problem.yaml": "validator_flags: case_sensitiv\n"}
        ),
        "none": package(tmp_path / "none", {**SUMS, "submissions/accepted/right.py": None}),
    }  # fmt: skip
    done = judge(*(word.format(**places) for word in words))
    assert done.returncode == 125
    assert done.stdout == ""
    *notes, line = done.stderr.splitlines()
    assert line.startswith("sandbox: ") and told in line
    assert notes in ([], ["sandbox: submissions: is missing"])


@contextlib.contextmanager
def begun(environment: dict[str, str], problem: Path, *words: object) -> Iterator[subprocess.Popen]:
    """A judging that has done one test and stays in the others, until it is told to end."""
    stays = problem.parent / "stays.py"
    stays.write_text("import time\nif input() == '1 2': print(3)\nelse: time.sleep(600)\n")
    command = [*COMMAND, "--time-limit=600", *words, problem, stays]
    process = subprocess.Popen(
        list(map(str, command)), env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=_hear_signals,
    )  # fmt: skip
    try:
        assert process.stderr is not None
        assert "sample/1 AC" in process.stderr.readline()
        yield process
    finally:
        process.terminate()
        process.wait(60)


def _hear_signals() -> None:
    # Whoever runs the tests may have them ignored: nohup(1), or a shell in the background.
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


@pytest.mark.usefixtures("leftovers")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_and_nothing_is_left(
    environment: dict[str, str], problem: Path, number: int
) -> None:
    with begun(environment, problem) as process:
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout) == (130, "")
    assert stderr.splitlines()[-1] == "sandbox: cancelled"
    assert not list(Path(environment["TMPDIR"]).iterdir())


@pytest.mark.usefixtures("leftovers")
def test_a_signal_ends_a_calibration_and_nothing_is_left(
    environment: dict[str, str], problem: Path
) -> None:
    (problem / "submissions/accepted/right.py").write_text(f"{RIGHT}import time; time.sleep(5)\n")
    command = [*COMMAND, "calibrate", str(problem)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment, text=True, stdout=pipe, stderr=pipe) as process:
        assert process.stderr is not None
        assert "round 1 of 3" in process.stderr.readline()
        process.terminate()
        stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout) == (130, "")
    assert stderr.splitlines()[-1] == "sandbox: cancelled"
    assert not list(Path(environment["TMPDIR"]).iterdir())


def test_languages_are_told_with_their_versions(judge: Judge) -> None:
    done = judge("languages")
    assert done.returncode == 0
    (python,) = (line for line in done.stdout.splitlines() if line.startswith("python3 "))
    assert python.split(": ")[0].split() == ["python3", "Python", "3", "(.py", ".py3)"]
    assert python.endswith(subprocess.check_output(["/usr/bin/python3", "-V"], text=True).strip())


@pytest.mark.root
def test_root_becomes_an_ordinary_user_first(environment: dict[str, str], tmp_path: Path) -> None:
    for path in (tmp_path, *tmp_path.parents[:2]):
        path.chmod(0o755)
    directory, path = package(tmp_path / "sums", SUMS), tmp_path / "document"
    with begun(environment, directory, f"--json={path}") as process:
        status = Path(f"/proc/{process.pid}/status").read_text()
    (ids,) = (line.split()[1:] for line in status.splitlines() if line.startswith("Uid:"))
    assert "0" not in ids
    assert path.exists(), "though it is in a directory of root's"
