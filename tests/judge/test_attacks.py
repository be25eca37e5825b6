"""A submission that attacks the judge comes to an ordinary verdict, and to no other's."""

from __future__ import annotations

from pathlib import Path

import pytest
from judge.building import needed
from judge.packages import ECHO, one_test, submission, written
from judge.real import judge_here

from sandbox.judge.problem import Submission
from sandbox.judge.trial import Settings

pytestmark = pytest.mark.usefixtures("cache")

# Says 42 where the whole output is the answer; the answer is read first.
STRICT = """import sys
answer = open(sys.argv[2], 'rb').read()
sys.exit(42 if sys.stdin.buffer.read() == answer else 43)
"""
CUSTOM = "validation: custom\n"
SCORED = "type: scoring\nvalidation: custom score\n"
DIALOGUE = "validation: custom interactive\n"
SUM = '#include <stdio.h>\nint main(void) { int a; scanf("%d", &a); printf("%d\\n", a); }\n'


# What it prints must be all of the answer; a score would be in score.txt, which it has not.
FORGERIES = [
    pytest.param(ECHO, "AC", id="control"),
    pytest.param("print('42\\nAC\\nverdict: accepted')", "WA", id="stdout"),
    pytest.param("import sys; sys.stderr.write('AC 100'); print(1)", "WA", id="stderr"),
    pytest.param("raise SystemExit(42)", "RTE", id="exit 42"),
    pytest.param("raise SystemExit(43)", "RTE", id="exit 43"),
    pytest.param("import os; os.kill(os.getpid(), 9)", "RTE", id="signal"),
    pytest.param("import os, signal; os.kill(os.getpid(), signal.SIGXCPU)", "RTE", id="SIGXCPU"),
    pytest.param("import os; os.close(1)", "WA", id="closed"),
    pytest.param("import os; [os.write(1, bytes([c])) for c in b'17\\n']", "AC", id="drip"),
    pytest.param("print('x' * 1000000)", "WA", id="long line"),
    pytest.param("import os; os.write(1, bytes(1000000))", "WA", id="NUL"),
    pytest.param("print(17, end='')", "WA", id="no newline"),
    pytest.param("print('17\\n' * 1000000)", "OLE", id="flood"),
    pytest.param("""import os
for place in ('/work', '/work/feedback', '/tmp'):
    os.makedirs(place, exist_ok=True)
    for name in ('score.txt', 'judgemessage.txt', 'teammessage.txt', 'state.tar'):
        open(place + '/' + name, 'w').write('100')
print(1)
""", "WA", id="feedback"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "verdict"), FORGERIES)
def test_no_submission_writes_its_own_verdict(
    source: str, verdict: str, tmp_path: Path, leftovers: None
) -> None:
    problem = one_test(tmp_path / "p", {"output_validators/strict.py": STRICT}, yaml=SCORED)
    (judgement,) = judge_here(problem, source)
    (outcome,) = judgement.tests
    assert (judgement.verdict, outcome.verdict) == (verdict, verdict), outcome
    assert judgement.score == (1.0 if verdict == "AC" else 0.0)
    assert outcome.judge_message == ""


SEARCH = """import os
wanted = b'nee' + b'dle'
for top, directories, names in os.walk('/'):
    directories[:] = [d for d in directories if top != '/' or d not in ('usr', 'lib', 'lib64')]
    for name in names:
        path = os.path.join(top, name)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            if wanted in os.read(fd, 65536):
                print(path)
            os.close(fd)
        except OSError:
            pass
print('end')
"""


def test_no_submission_finds_the_answer(tmp_path: Path) -> None:
    data = {"data/secret/1.ans": "needle\n", "output_validators/strict.py": STRICT}
    kept = Settings(kept_bytes=4096)
    (blind,) = judge_here(one_test(tmp_path / "p", data, yaml=CUSTOM), SEARCH, settings=kept)
    assert blind.tests[0].stdout == b"end\n", "of the package, or of another job"
    shown = {"include/python3/leak.txt": "needle\n"}
    problem = one_test(tmp_path / "q", data | shown, yaml=CUSTOM)
    (control,) = judge_here(problem, SEARCH, settings=kept)
    assert b"/program/leak.txt\n" in control.tests[0].stdout, "control: what is there it finds"


def test_a_run_finds_nothing_of_the_one_before(tmp_path: Path, leftovers: None) -> None:
    source = """import os, time
places = ['/work/left', '/tmp/left', '/dev/shm/left', '/program/left']
print(*[place for place in places if os.path.exists(place)])
for place in places:
    try:
        open(place, 'w').write('17')
    except OSError:
        pass
print(sum(map(os.path.exists, places)) >= 2)
if os.fork() == 0:
    os.setsid()
    os.fork()
    while True:
        time.sleep(0.01)
"""
    data = {f"data/secret/{n}.{suffix}": "1\n" for n in range(4) for suffix in ("in", "ans")}
    # A shell's policy has processes: what is left then is a daemon.
    script = f"exec python3 -c '{source.replace(chr(39), chr(34))}'\n"
    (judgement,) = judge_here(
        one_test(tmp_path / "p", data),
        submission(tmp_path / "s", "a.sh", script),
        settings=Settings(kept_bytes=100),
    )
    assert {one.stdout for one in judgement.tests if one.verdict} == {b"\nTrue\n"}


INTERPRETERS = {
    "nowhere": "/nowhere", "directory": "/etc", "no program": "/etc/passwd", "device": "/dev/null",
    "below a file": "/etc/passwd/it", "memory": "/proc/self/mem", "long": "/" + "x" * 300,
    "empty file": "/program/empty",
}  # fmt: skip


@pytest.mark.parametrize("interpreter", INTERPRETERS.values(), ids=INTERPRETERS)
def test_a_program_that_the_kernel_does_not_take_is_no_judge_error(
    interpreter: str, tmp_path: Path
) -> None:
    needed("c")
    section = f'__asm__(".section .interp,\\"a\\"\\n.string \\"{interpreter}\\"\\n.text");\n'
    plain = submission(tmp_path / "plain", "a.c", SUM)
    files = written(tmp_path / "broken", {"a.c": section + SUM, "empty": ""})
    (files / "empty").chmod(0o755)
    broken = Submission("it", tuple((name, files / name) for name in ("a.c", "empty")))
    control, judgement = judge_here(one_test(tmp_path / "p"), plain, broken)
    assert control.verdict == "AC"
    assert judgement.verdict == "RTE", judgement.why
    assert "cannot be executed" in judgement.why


ASKS = """import sys
for number in range(3000):
    print(number, flush=True)
    if sys.stdin.readline() != f'{number}\\n':
        sys.exit(43)
sys.exit(42)
"""
TELLS = "import sys\nfor n in range(100000):\n    print(n, flush=True)\nsys.exit(42)\n"
DIES = "import os\nprint(1, flush=True)\nos.kill(os.getpid(), 11)\n"
ANSWERS = "import sys\nfor line in sys.stdin:\n    print(line, end='', flush=True)\n"
GOES_ON = "import os\nos.close(1)\nos.close(0)\nwhile True: pass"
DIALOGUES = [
    pytest.param(ASKS, ANSWERS, "AC", id="control"),
    pytest.param(ASKS, "raise SystemExit(0)", "WA", id="leaves"),
    pytest.param(TELLS, "print(input())", "WA", id="leaves who is writing"),
    pytest.param(ASKS, "while True: print(0)", "WA", id="flood"),
    pytest.param(ASKS, "print(7)\n" + ANSWERS, "WA", id="answer before question"),
    pytest.param(ASKS, GOES_ON, "TLE", id="goes on"),
    pytest.param(ASKS, "input()\ninput()", "TLE", id="waits"),
    pytest.param(DIES, "import sys\nsys.stdin.read()\nsys.exit(1)", "JE", id="validator dies"),
]  # fmt: skip


@pytest.mark.parametrize(("validator", "source", "verdict"), DIALOGUES)
def test_who_breaks_a_dialogue_is_blamed(
    validator: str, source: str, verdict: str, tmp_path: Path, leftovers: None
) -> None:
    files = {"output_validators/v.py": validator}
    problem = one_test(tmp_path / "p", files, yaml=DIALOGUE)
    (judgement,) = judge_here(problem, source)
    assert judgement.verdict == verdict, judgement.why


def test_a_transcript_of_single_lines_is_bounded(tmp_path: Path) -> None:
    problem = one_test(tmp_path / "p", {"output_validators/v.py": ASKS}, yaml=DIALOGUE)
    (judgement,) = judge_here(problem, ANSWERS, settings=Settings(transcribes=True))
    assert judgement.verdict == "AC", "control: it said all that was asked for"
    lines = judgement.tests[0].transcript
    assert lines is not None and 1000 < len(lines) < 1400


def test_a_compile_changes_nothing_but_its_output(tmp_path: Path) -> None:
    needed("perl")
    source = """BEGIN {
    for my $file (-e '/program' ? () : ('a.pl', 'b.pl', '/work/x')) {
        open my $it, '>', $file; print $it 'print 1';
    }
}
print scalar <STDIN>;
"""  # fmt: skip
    files = written(tmp_path / "s", {"a.pl": source, "b.pl": "1;\n"})
    both = Submission("it", tuple((name, files / name) for name in ("a.pl", "b.pl")), "perl")
    first, again = judge_here(one_test(tmp_path / "p"), both, both)
    assert (first.verdict, again.verdict) == ("AC", "AC"), "what was sent is what is run"
    assert first.compile_seconds == again.compile_seconds, "control: the second is of the cache"


def test_what_is_no_source_is_a_compile_error(tmp_path: Path) -> None:
    directory = written(tmp_path / "s", {"a.py": ECHO, "a.xyz": ECHO})
    (directory / "link.py").symlink_to("/etc/passwd")
    names = {"a.py": "a.py", "a.xyz": "a.xyz", "b.py": "link.py", "d/" * 600 + "a.py": "a.py"}
    given = [Submission("it", ((name, directory / file),)) for name, file in names.items()]
    found = judge_here(one_test(tmp_path / "p"), *given)
    assert [one.verdict for one in found] == ["AC", "CE", "CE", "CE"]
    assert "root:" not in str(found)
