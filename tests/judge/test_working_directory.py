"""Where a submission is run: what is there, and that it writes no files where it may not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import trio
from judge.building import needed
from judge.packages import one_test, written
from judge.real import judge_here

from sandbox.judge.problem import Submission
from sandbox.judge.trial import Settings
from sandbox.judge.working_directory import WorkingDirectories

pytestmark = pytest.mark.usefixtures("cache")

NEW = "problem_format_version: 2025-09\nname: Sums\nuuid: a-b\n"
WRITES = "allow_file_writing: true\n"
BOOK = {"data/secret/1.files/a/book.txt": "old"}
# A file that is there is somebody else's, which comes first where it is not to be emptied.
ATTEMPT = """import errno
import os
try:
    ATTEMPT
    print("done")
except OSError as error:
    print("refused" if error.errno in (errno.EROFS, errno.EACCES) else error)
"""
ATTEMPTS = [
    "open('new', 'w')",
    "open('a/book.txt', 'w')",
    "open('a/book.txt', 'a')",
    "os.unlink('a/book.txt')",
    "os.rename('a/book.txt', 'a/b')",
    "os.mkdir('new')",
    "os.symlink('/etc/passwd', 'new')",
    "os.chmod('.', 0o777)",
    "os.open('.', os.O_TMPFILE | os.O_WRONLY)",
]


def several(directory: Path, files: Mapping[str, str | bytes], language: str) -> Submission:
    """A submission of several files."""
    written(directory, files)
    return Submission("several", tuple((name, directory / name) for name in files), language)


@pytest.mark.parametrize(("yaml", "answer"), [("", "refused"), (WRITES, "done")])
def test_files_are_changed_where_that_is_allowed_and_nowhere_else(
    yaml: str, answer: str, tmp_path: Path
) -> None:
    problem = one_test(tmp_path / "p", {**BOOK, "data/secret/1.ans": answer}, yaml=NEW + yaml)
    attempts = [ATTEMPT.replace("ATTEMPT", attempt) for attempt in ATTEMPTS]
    found = {
        attempt: judgement.why
        for attempt, judgement in zip(ATTEMPTS, judge_here(problem, *attempts), strict=True)
        if judgement.verdict != "AC"
    }
    assert found == {}


def test_who_does_not_expect_it_fails_as_programs_do(tmp_path: Path) -> None:
    problem = one_test(tmp_path / "p", yaml=NEW)
    (judgement,) = judge_here(problem, "open('new', 'w')\n")
    assert (judgement.verdict, judgement.tests[0].exit_code) == ("RTE", 1)


def test_files_of_the_test_and_devices_and_what_is_temporary_are_there(tmp_path: Path) -> None:
    program = """import os, tempfile
assert os.listdir() == ["a"]
with open("/dev/null", "w") as nothing, tempfile.TemporaryFile() as file:
    nothing.write("x"), file.write(b"x")
with open("/dev/stdout", "w") as out:
    out.write(open("a/book.txt").read())
"""
    files = {**BOOK, "data/secret/1.ans": "old", "data/secret/2.in": "", "data/secret/2.ans": "old"}
    files["data/secret/2.files/a/book.txt"] = "old"
    problem = one_test(tmp_path / "p", files, yaml=NEW)
    for judgement in judge_here(problem, program, program):
        assert judgement.verdict == "AC", judgement.tests


@pytest.mark.parametrize("yaml", ["", NEW, NEW + WRITES])
def test_scripts_open_those_beside_them_and_no_file_of_the_test_is_theirs(
    yaml: str, tmp_path: Path
) -> None:
    files = {**BOOK, "data/secret/1.ans": "old helped"}
    problem = one_test(tmp_path / "p", files, yaml=yaml)
    # Names of the test's files, as files and as directories: what collides is the test's.
    sources = dict.fromkeys(("a/book.txt", "a/book.txt2", "helper.txt"), "helped")
    sources["main.py"] = "print(open('a/book.txt').read(), open('helper.txt').read())"
    (judgement,) = judge_here(problem, several(tmp_path / "s", sources, "python3"))
    assert judgement.verdict == "AC", judgement.why or judgement.tests


def test_what_was_compiled_finds_no_sources(tmp_path: Path) -> None:
    needed("c")
    main = '#include <stdio.h>\nint main(void) { return fopen("a.c", "r") != 0; }'
    problem = one_test(tmp_path / "p", {"data/secret/1.ans": ""})
    (judgement,) = judge_here(problem, several(tmp_path / "s", {"main.c": main, "a.c": ""}, "c"))
    assert judgement.verdict == "AC", judgement.why


def test_what_was_compiled_opens_what_is_no_source(tmp_path: Path) -> None:
    needed("c")
    program = """#include <stdio.h>
int main(void) {
    char text[9];
    for (char *name = "ab"; *name; name++) {
        char path[] = {*name, '.', 't', 'x', 't', 0};
        FILE *file = fopen(path, "r");
        if (!file || !fgets(text, 9, file)) return 1;
        puts(text);
    }
}
"""
    files = {"include/c/b.txt": "theirs", "data/secret/1.ans": "mine theirs"}
    problem = one_test(tmp_path / "p", files, yaml=NEW)
    # The third is called as what is made of the sources, which stays what it is.
    sources = {"main.c": program, "a.txt": "mine", "program/x": "", "b.txt": "lost"}
    made = several(tmp_path / "s", sources, "c")
    judgements = judge_here(problem, made, made)
    assert [one.verdict for one in judgements] == ["AC"] * 2, judgements[0].tests


@pytest.mark.parametrize(("size", "is_there"), [(3 << 20, b"1"), (20 << 20, b"0")])
def test_files_that_would_be_most_of_its_memory_do_not_keep_a_submission_from_being_run(
    size: int, is_there: bytes, tmp_path: Path
) -> None:
    needed("c")
    program = """#include <stdio.h>
int main(void) { fprintf(stderr, "%d", fopen("data", "r") != 0); puts("17"); }
"""
    yaml = "limits: {time_limit: 1, memory: 16, code: 65536}\n"
    large = several(tmp_path / "s", {"main.c": program, "data": bytes(size)}, "c")
    problem = one_test(tmp_path / "p", yaml=yaml)
    (judgement,) = judge_here(problem, large, settings=Settings(kept_bytes=9))
    assert judgement.verdict == "AC", judgement.why
    assert judgement.tests[0].stderr == is_there


def test_a_dialogue_is_held_there_too(tmp_path: Path) -> None:
    asks = "import sys\nprint(17, flush=True)\nsys.exit(42 if input() == 'refused' else 43)\n"
    files = {"output_validator/asks.py": asks}
    problem = one_test(tmp_path / "p", files, yaml=NEW + "type: interactive\n")
    program = "input()\n" + ATTEMPT.replace("ATTEMPT", "open('new', 'w')")
    (judgement,) = judge_here(problem, program)
    assert judgement.verdict == "AC", judgement.why


def test_each_set_of_files_is_copied_once_for_whoever_reads_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    (tmp_path / "file").chmod(0o600)
    files = (("a/b", tmp_path / "file"), ("c", tmp_path / "file"))

    async def main() -> None:
        made = WorkingDirectories(tmp_path)
        found: list[Path] = []

        async def ask() -> None:
            found.append(await made.of(files))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            nursery.start_soon(ask)
        assert found[0] == found[1] != await made.of(()) == await made.of(())
        for path in (found[0], *found[0].rglob("*")):
            assert path.stat().st_mode & 0o777 == 0o755
        assert {path.name: path.read_text() for path in found[0].rglob("*") if path.is_file()} == {
            "b": "text", "c": "text",
        }  # fmt: skip

    trio.run(main)
