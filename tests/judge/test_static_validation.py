"""Static validation: a program of the package's looks at the sources, in tests of its own."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from judge import real
from judge.building import needed
from judge.packages import package
from judge.real import judge_here
from judge.scripted import ended, judged, validated

from sandbox.judge.problem import Submission
from sandbox.judge.runner import Order
from sandbox.judge.verdict import Judgement
from sandbox.spec.errors import SpecError
from sandbox.spec.result import Completed

METADATA = "problem_format_version: 2025-09\nname: Made up\nuuid: a-b\nlimits: {time_limit: 1}\n"
SCORING = METADATA + "type: scoring\n"
# What it does is in the submission, behind "# ".
VALIDATOR = """\
import os, sys
from pathlib import Path
language, entry, feedback, *more = sys.argv[1:]
feedback = Path(feedback)
names = sorted(str(path.relative_to(".")) for path in Path(".").rglob("*") if path.is_file())
source = Path("made.py").read_text() if "made.py" in names else ""
exec(source.partition("\\n")[0].removeprefix("# ") or "sys.exit(42)")
"""
FILES = {
    "problem.yaml": METADATA,
    "data/sample/1.in": "sample/1\n", "data/sample/1.ans": "yes\n",
    "data/secret/1.in": "secret/1\n", "data/secret/1.ans": "yes\n",
    "data/secret/test_group.yaml":
        "static_validation_score: pass-fail\nstatic_validator_args: [a, b c]\n",
    "static_validator/look.py": VALIDATOR,
    "submissions/accepted/yes.py": "print('yes')\n",
}  # fmt: skip
STATIC = "secret/static validation"

pytestmark = pytest.mark.usefixtures("cache")


def look(tmp_path: Path, code: str, **files: str) -> Judgement:
    """What a submission comes to whose first line is that, and which is right otherwise."""
    directory = package(tmp_path / "p", {**FILES, **files})
    (judgement,) = judge_here(directory, f"# {code}\nprint('yes')\n")
    return judgement


def test_it_is_told_language_entry_point_feedback_and_arguments(tmp_path: Path) -> None:
    check = (
        "assert (language, entry, more) == ('python3', 'made.py', ['a', 'b c']), sys.argv;"
        "assert sys.argv[3].endswith('/') and not list(feedback.iterdir());"
        "assert names == ['made.py'] and sys.stdin.read() == '', names;"
        "(feedback / 'judgemessage.txt').write_text('short'); sys.exit(42)"
    )
    judgement = look(tmp_path, check)
    assert judgement.verdict == "AC", judgement
    assert [one.test for one in judgement.tests] == ["sample/1", STATIC, "secret/1"]
    assert judgement.tests[1].judge_message == "short" and judgement.tests[1].runs == ()


def test_what_it_rejects_is_wrong_and_need_not_be_run(tmp_path: Path) -> None:
    judgement = look(tmp_path, "sys.exit(43)")
    assert judgement.verdict == "WA" and judgement.why.startswith(STATIC)
    assert [one.verdict for one in judgement.tests] == ["AC", "WA", ""]


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("sys.exit(0)", "the static validator exited with 0, which is neither 42 nor 43"),
        ("raise ValueError", "the static validator exited with 1"),
        (
            "(feedback / 'score.txt').mkdir(); sys.exit(42)",
            "the static validator's score.txt: not collected",
        ),
    ],
)
def test_what_it_does_wrong_is_a_judge_error(tmp_path: Path, code: str, why: str) -> None:
    judgement = look(tmp_path, code)
    assert judgement.verdict == "JE" and why in judgement.why


def test_it_cannot_change_what_is_run(tmp_path: Path) -> None:
    code = (
        "\ntry: Path('made.py').write_text('print()')\nexcept OSError: sys.exit(42)\nsys.exit(44)"
    )
    check = VALIDATOR.partition("exec(")[0] + code
    assert look(tmp_path, "", **{"static_validator/look.py": check}).verdict == "AC"


def test_it_leaves_no_next_pass(tmp_path: Path) -> None:
    passes = METADATA + "type: multi-pass\n"
    files = {"problem.yaml": passes, "output_validator/v.py": "import sys\nsys.exit(42)\n"}
    judgement = look(tmp_path, "(feedback / 'nextpass.in').write_text(''); sys.exit(42)", **files)
    assert judgement.verdict == "AC", judgement


def test_it_sees_sources_binaries_and_what_is_included(tmp_path: Path) -> None:
    needed("c")
    wanted = ["main.c", "part/a.h", "part/word.h", "program"]
    check = (
        "import sys\nfrom pathlib import Path\n"
        "names = sorted(str(path) for path in Path('.').rglob('*') if path.is_file())\n"
        f"assert names == {wanted!r}, names\n"
        "assert Path('part/word.h').read_text() == '#define WORD \"yes\"\\n'\n"
        "assert sys.argv[1:3] == ['c', '']\n"
        "sys.exit(42)\n"
    )
    files = {
        **FILES,
        "problem.yaml": METADATA + "constants: {word: 'yes'}\n",
        "include/c/part/word.h": '#define WORD "{{word}}"\n',
        "static_validator/look.py": check,
        "submissions/accepted/yes/main.c":
            '#include <stdio.h>\n#include "part/word.h"\n#include "part/a.h"\n'
            "int main(void) { puts(WORD); return A; }\n",
        "submissions/accepted/yes/part/word.h": "#error not this one\n",
        "submissions/accepted/yes/part/a.h": "#define A 0\n",
    }  # fmt: skip
    assert verdict_of_example(tmp_path, files, "yes") == "AC"


def among(tmp_path: Path, validator: dict[str, str], **submitted: str | bytes) -> str:
    """What a submission comes to that is right, with these files beside it, two of Python."""
    files: dict[str, str | bytes] = {
        name: text for name, text in FILES.items() if name != "static_validator/look.py"
    }
    files |= {f"static_validator/{name}": text for name, text in validator.items()}
    for name, text in {"main.py": "print('yes')\n", "more.py": "", **submitted}.items():
        files[f"submissions/accepted/yes/{name}"] = text
    return verdict_of_example(tmp_path, files, "yes")


def test_what_it_includes_is_its_own(tmp_path: Path) -> None:
    needed("php")
    validator = {
        "check.php": '<?php require "helper.php"; exit(check());\n',
        "helper.php": "<?php function check() { return 43; }\n",
    }
    forged = {"helper.php": "<?php function check() { return 42; }\n"}
    assert among(tmp_path, validator) == "WA", "control"
    assert among(tmp_path / "forged", validator, **forged) == "WA"


def test_a_language_that_loads_what_is_submitted_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    erlang = needed("erlang")
    validator = {
        "check.erl": '-module(check).\n-export([main/0]).\nmain() -> string:trim("a "), halt(43).\n'
    }
    with pytest.raises(SpecError, match="Erlang loads modules from where it is started"):
        among(tmp_path / "refused", validator)
    trusting = erlang._replace(run=erlang.run._replace(loads_from_cwd=False))
    monkeypatch.setitem(real.LANGUAGES, "erlang", trusting)
    assert among(tmp_path, validator) == "WA", "control: it refuses"
    source = tmp_path / "string.erl"
    source.write_text("-module(string).\n-export([trim/1]).\ntrim(_) -> halt(42).\n")
    subprocess.run(["erlc", source], cwd=tmp_path, check=True)
    forged = {"string.beam": (tmp_path / "string.beam").read_bytes()}
    assert among(tmp_path / "forged", validator, **forged) == "AC", "control: and need not"


def test_no_source_hides_behind_what_is_made_of_it(tmp_path: Path) -> None:
    needed("c")
    files = {
        **FILES,
        "submissions/accepted/yes/main.c": '#include "program"\n',
        "submissions/accepted/yes/program": "int main(void) { return 0; }\n",
    }
    assert verdict_of_example(tmp_path, files, "yes") == "CE"


def verdict_of_example(tmp_path: Path, files: dict[str, str | bytes], name: str) -> str:
    tmp_path.mkdir(exist_ok=True)
    directory = package(tmp_path / "p", files)
    place = directory / "submissions" / "accepted" / name
    sources = [(str(path.relative_to(place)), path) for path in place.rglob("*") if path.is_file()]
    submission = Submission(f"accepted/{name}", tuple(sources))
    (judgement,) = judge_here(directory, submission)
    return judgement.verdict


POINTS = {
    **{name: text for name, text in FILES.items() if not name.startswith("data/secret")},
    "problem.yaml": SCORING,
    "data/secret/a/test_group.yaml":
        "max_score: 40\nscore_aggregation: sum\nstatic_validation_score: 10\n",
    "data/secret/a/1.in": "secret/a/1\n", "data/secret/a/1.ans": "yes\n",
    "data/secret/a/2.in": "secret/a/2\n", "data/secret/a/2.ans": "yes\n",
    "data/secret/b/test_group.yaml": "max_score: 60\nstatic_validation_score: pass-fail\n",
    "data/secret/b/1.in": "secret/b/1\n", "data/secret/b/1.ans": "yes\n",
}  # fmt: skip


@pytest.mark.parametrize(
    ("code", "verdict", "total", "groups"),
    [
        ("sys.exit(42)", "AC", 100, [40, 60]),
        ("sys.exit(43)", "WA", 30, [30, 0]),
        (
            "'secret/a' if not more else (feedback / 'score_multiplier.txt').write_text('0.5')"
            "; sys.exit(42)",
            "JE", None, [],
        ),
    ],
)  # fmt: skip
def test_points_are_what_the_groups_say(
    tmp_path: Path, code: str, verdict: str, total: float | None, groups: list[float]
) -> None:
    more = "max_score: 60\nstatic_validation_score: pass-fail\nstatic_validator_args: [b]\n"
    directory = package(tmp_path / "p", {**POINTS, "data/secret/b/test_group.yaml": more})
    (judgement,) = judge_here(directory, f"# {code}\nprint('yes')\n")
    assert (judgement.verdict, judgement.score) == (verdict, total), judgement
    if groups:
        scores = {one.group: one.score for one in judgement.groups}
        assert [scores["secret/a"], scores["secret/b"]] == groups


def test_it_gives_a_share_of_its_own_points(tmp_path: Path) -> None:
    files = {
        **POINTS,
        "data/secret/b/test_group.yaml": "max_score: 60\n",
        "static_validator/look.py": VALIDATOR,
    }
    code = "(feedback / 'score_multiplier.txt').write_text('0.5'); sys.exit(42)"
    directory = package(tmp_path / "p", files)
    (judgement,) = judge_here(directory, f"# {code}\nprint('yes')\n")
    assert (judgement.verdict, judgement.score) == ("AC", 95)


def test_it_is_run_once_for_each_group_that_asks_and_the_submission_is_not(tmp_path: Path) -> None:
    def play(order: Order) -> Completed:
        if order.job.command[-1] == b"b c":
            return validated(order, 42)
        return ended()

    directory = package(tmp_path / "p", FILES)
    judgement, runner = judged(directory, play, tmp_path / "s")
    assert judgement.verdict == "AC"
    assert runner.inputs == ["sample/1\n", "secret/1\n"] and len(runner.orders) == 3
