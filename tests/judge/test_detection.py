"""Which language a submission is in: what it says, its files' names, their first lines."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from judge.building import LANGUAGES, write

from sandbox.judge.language import detect, find_language
from sandbox.judge.language_file import language_from_mapping
from sandbox.judge.problem import Submission
from sandbox.spec.errors import SpecError

# Codes of the problem package formats, and what other judges call the same.
CODES = {
    "c": "c", "cpp": "cpp", "c++": "cpp", "cc": "cpp", "CPP": "cpp", "C++": "cpp", "java": "java",
    "kotlin": "kotlin", "kt": "kotlin", "python3": "python3", "py3": "python3", "py": "python3",
    "python": "python3", "pypy": "pypy3", "python2": "python2", "py2": "python2", "go": "go",
    "rust": "rust", "rs": "rust", "javascript": "javascript", "js": "javascript",
    "typescript": "typescript", "ts": "typescript", "pascal": "pascal", "pas": "pascal",
    "haskell": "haskell", "hs": "haskell", "csharp": "csharp", "C#": "csharp", "cs": "csharp",
    "ruby": "ruby", "rb": "ruby", "bash": "bash", "sh": "bash", "perl": "perl", "pl": "perl",
    "ocaml": "ocaml", "ml": "ocaml", "lua": "lua", "Python 3": "python3", "algol68": "algol68",
    "awk": "awk", "cobol": "cobol", "cob": "cobol", "crystal": "crystal", "elixir": "elixir",
    "erlang": "erlang", "forth": "forth", "modula2": "modula2", "nim": "nim", "octave": "octave",
    "objectivec": "objectivec", "r": "r", "R": "r", "racket": "racket", "rkt": "racket",
    "scala": "scala", "golang": "go", "f95": "fortran", "adb": "ada", "p": "pascal",
    "plg": "prolog", "lhs": "haskell", "node": "javascript",
}  # fmt: skip
FILES = [
    ({"a.c": ""}, "c"),
    ({"a.C": ""}, "cpp"),
    ({"a.c++": "", "a.h": ""}, "cpp"),
    ({"a.py": ""}, "python3"),
    ({"a.py": "#!/usr/bin/env pypy3\n"}, "pypy3"),
    ({"a.py": "#!/usr/bin/env -S PYTHONUTF8=1 python3.11 -u\n"}, "python3"),
    ({"a.py": "#! /usr/bin/python2.7\n"}, "python2"),
    ({"a.py": "#!\n"}, "python3"),
    ({"a.py": "#!/opt/odd/interpreter\n"}, "python3"),
    ({"solve": "#!/bin/sh\n"}, "bash"),
    ({"a.cc": "", "b.cc": "", "helper.c": ""}, "cpp"),
    ({"Main.java": "", "README": "", "notes.txt": ""}, "java"),
    ({"a.R": ""}, "r"),
    ({"a.r": ""}, "r"),
    ({"a.p": ""}, "pascal"),
    ({"a": "#!/usr/bin/env Rscript\n"}, "r"),
    ({"a": "#!/usr/bin/mawk -f\n"}, "awk"),
    ({"a.exs": "#!/usr/bin/env elixir\n"}, "elixir"),
    ({"a.m": '#import <stdio.h>\nint main(void) {\n  printf("%d", 1);\n}\n'}, "objectivec"),
    ({"a.m": "@interface A\n@end\nint main(void) { char s[9]; gets(s); }\n"}, "objectivec"),
    ({"a.m": '// % of it\nint main(void) { int n; fscanf(stdin, "%d", &n); }\n'}, "objectivec"),
    ({"a.m": "% the sum\nx = 1;\n"}, "octave"),
    ({"a.m": "n = fscanf(stdin, '%d');\n"}, "octave"),
    ({"a.m": "function r = f(n)\n  r = n;\nend\n"}, "octave"),
    ({"a.m": "n = str2num(input('', 's'));\n"}, "octave"),
    ({"a.m": "#!/usr/bin/env octave\nx = 1\n"}, "octave"),
    ({"a.pl": "print 1;\n"}, "perl"),
    ({"a.pl": "main :-\n  writeln(1).\n"}, "prolog"),
    ({"a.pl": "[b].\nmain :- go.\n", "b.pl": "% Reads\nread(X) :- x(X, '\\n'), !.\n"}, "prolog"),
    ({"a.pl": "% Reads\ndigits([D|T]) --> digit(D), digits(T).\n"}, "prolog"),
    ({"a.pl": "%seen = ();\nprint $a ? 1 :-1;\nsub go($x) { print ':-' }\n"}, "perl"),
]


@pytest.mark.parametrize(("word", "code"), CODES.items())
def test_a_language_is_known_by_its_codes(word: str, code: str) -> None:
    assert find_language(word, LANGUAGES).code == code


@pytest.mark.parametrize(("files", "code"), FILES)
def test_files_tell_their_language(files: dict[str, str], code: str, tmp_path: Path) -> None:
    assert detect(Submission("it", write(tmp_path, files)), LANGUAGES).code == code


def test_what_the_submission_says_wins(tmp_path: Path) -> None:
    files = write(tmp_path, {"a.py": "#!/usr/bin/python3\n"})
    assert detect(Submission("it", files, "pypy3"), LANGUAGES).code == "pypy3"


@pytest.mark.parametrize(
    ("files", "language", "message"),
    [
        (
            {"a.xyz": ""},
            None,
            r"it: in no language that is known here: a\.xyz",
        ),
        ({"a.PY": ""}, None, r"known here: a\.PY; did you mean \.py\?"),
        ({"a": ""}, None, "it: in no language"),
        ({}, None, "it: in no language that is known here: no file"),
        (
            {"a.c": "", "b.py": ""},
            None,
            "it: could be c or python3, 1 file each; name its language",
        ),
        ({"a.c": ""}, "pyton3", 'language: "pyton3" is none .*; did you mean python3'),
        ({"a.c": ""}, "\x1b[2J", r'language: "\\x1b\[2J" is none'),
    ],
)
def test_what_is_in_no_known_language_is_an_error_that_names_what_is_known(
    files: dict[str, str], language: str | None, message: str, tmp_path: Path
) -> None:
    with pytest.raises(SpecError, match=message):
        detect(Submission("it", write(tmp_path, files), language), LANGUAGES)


def test_a_fifo_among_the_files_holds_nobody_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.c")
    assert detect(Submission("it", (("a.c", tmp_path / "a.c"),)), LANGUAGES).code == "c"


SEARCHES = """
import resource
from sandbox.judge.language import load_languages
patterns = [one.content for one in load_languages().values() if one.content]
assert len(patterns) >= 2
resource.setrlimit(resource.RLIMIT_CPU, (10, 10))
for pattern in patterns:
    for first in (b"", b"end", b"a", b"a(", b":-", b"fgetl("):
        for piece in (b") ", b"a()", b" ", b"\\t", b"\\t ", b"%", b"a\\t", b"end", b";\\t", b":-"):
            pattern.search(first + piece * ((1 << 20) // len(piece)) + b"!")
"""


def test_no_content_takes_long_to_be_searched() -> None:
    # In a process of its own: nothing ends a search, and whoever waits for one waits for all of it.
    done = subprocess.run([sys.executable, "-c", SEARCHES], check=False)
    assert done.returncode == 0, "more than linear in what a contestant has written"


def test_content_tells_languages_of_one_extension_apart(tmp_path: Path) -> None:
    run = {"policy": "native", "command": ["x"]}
    perl = language_from_mapping("perl", {"name": "Perl", "extensions": [".pl"], "run": run})
    logic = {"name": "Prolog", "extensions": [".pl"], "content": r"^\s*:-", "run": run}
    languages = {"perl": perl, "prolog": language_from_mapping("prolog", logic)}
    files = write(tmp_path, {"a.pl": "% go\n:- initialization(main).\n", "b.pl": "print 1;\n"})
    assert detect(Submission("it", files[:1]), languages).code == "prolog"
    assert detect(Submission("it", files[1:]), languages).code == "perl"
    both = {**languages, "perl": perl._replace(content=languages["prolog"].content)}
    with pytest.raises(SpecError, match=r"b\.pl: \.pl is of perl, prolog, and the content tells"):
        detect(Submission("it", files[1:]), both)
