"""What is run when, and what counts of it; every job is played."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
from judge.packages import cases, package
from judge.scripted import Play, ended, judged, validated

from sandbox.judge import preparation
from sandbox.judge.problem import Submission
from sandbox.judge.runner import Order
from sandbox.judge.trial import Settings
from sandbox.judge.verdict import Judgement
from sandbox.spec.errors import RefusedError, SpecError
from sandbox.spec.result import Completed

THREE = cases("sample/1", "secret/1", "secret/2")
NAMES = ["sample/1", "secret/1", "secret/2"]
MADE_ANSWERS = {
    "data/secret/1.in": "secret/1",
    "data/secret/2.in": "secret/2",
    "submissions/accepted/model.py": "print('42')\n",
}


@pytest.fixture
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many this host has: nothing is run on them."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})


def name_of(order: Order) -> str:
    assert isinstance(order.stdin, Path)
    return order.stdin.read_text()


def answering(**outputs: str) -> Play:
    """ "yes" to every test but those: "sample_1" stands for sample/1."""
    return lambda order: ended(outputs.get(name_of(order).replace("/", "_"), "yes\n").encode())


def verdicts(judgement: Judgement) -> list[str]:
    return [outcome.verdict for outcome in judgement.tests]


def test_every_test_is_run_in_order_while_all_are_accepted(tmp_path: Path) -> None:
    judgement, runner = judged(package(tmp_path / "p", THREE), answering(), tmp_path / "s")
    assert judgement.verdict == "AC" and verdicts(judgement) == ["AC"] * 3
    assert runner.inputs == NAMES
    assert (judgement.language, judgement.time_limit_seconds) == ("python3", 1.0)


def test_what_comes_after_the_first_failure_is_not_run(tmp_path: Path) -> None:
    judgement, runner = judged(
        package(tmp_path / "p", THREE), answering(secret_1="no\n"), tmp_path / "s"
    )
    assert judgement.verdict == "WA" and verdicts(judgement) == ["AC", "WA", ""]
    assert runner.inputs == NAMES[:2]
    assert judgement.tests[2].why.startswith("not run")


def test_all_tests_are_run_where_that_is_asked_for(tmp_path: Path) -> None:
    judgement, runner = judged(
        package(tmp_path / "p", THREE), answering(sample_1="no\n"), tmp_path / "s", is_lazy=False
    )
    assert judgement.verdict == "WA" and verdicts(judgement) == ["WA", "AC", "AC"]
    assert runner.inputs == NAMES


def test_progress_is_told_of_each_test(tmp_path: Path) -> None:
    told = []
    judged(
        package(tmp_path / "p", THREE),
        answering(secret_2="no\n"),
        tmp_path / "s",
        progress=lambda submission, outcome: told.append((outcome.test, outcome.verdict)),
    )
    assert told == list(zip(NAMES, ["AC", "AC", "WA"], strict=True))


def test_a_test_that_cannot_matter_any_more_is_cancelled(tmp_path: Path, two_cores: None) -> None:
    events = []

    async def play(order: Order) -> Completed:
        name = name_of(order)
        if name == "sample/1":
            await second.wait()
            return ended(b"no\n")
        second.set()
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            events.append(f"{name} cancelled")
            raise
        raise AssertionError("not reached")

    second = trio.Event()
    judgement, runner = judged(package(tmp_path / "p", THREE), play, tmp_path / "s", jobs=2)
    assert judgement.verdict == "WA" and verdicts(judgement) == ["WA", "", ""]
    assert events == ["secret/1 cancelled"]
    assert sorted(runner.inputs) == NAMES[:2]


def test_a_later_failure_that_is_seen_first_decides_nothing(
    tmp_path: Path, two_cores: None
) -> None:
    async def play(order: Order) -> Completed:
        if name_of(order) == "sample/1":
            await failed.wait()
            return ended(verdict="cpu_time", cpu_seconds=2.0)
        return ended(b"no\n")

    failed = trio.Event()
    judgement, runner = judged(
        package(tmp_path / "p", THREE),
        play,
        tmp_path / "s",
        jobs=2,
        progress=lambda submission, outcome: failed.set(),
    )
    assert judgement.verdict == "TLE" and verdicts(judgement) == ["TLE", "", ""]
    assert sorted(runner.inputs) == NAMES[:2], "the third cannot matter"


def test_never_more_runs_at_once_than_there_are_cores(tmp_path: Path, two_cores: None) -> None:
    running: set[str] = set()
    most = 0

    async def play(order: Order) -> Completed:
        nonlocal most
        running.add(name_of(order))
        most = max(most, len(running))
        for _ in range(5):  # time enough for a third one to begin
            await trio.lowlevel.checkpoint()
        running.remove(name_of(order))
        return ended()

    many = cases(*(f"secret/{number}" for number in range(9)))
    judgement, runner = judged(package(tmp_path / "p", many), play, tmp_path / "s", jobs=2)
    assert judgement.verdict == "AC" and len(runner.orders) == 9
    assert most == 2


def test_cores_are_never_shared(tmp_path: Path, two_cores: None) -> None:
    used: set[int] = set()

    async def play(order: Order) -> Completed:
        core = order.job.limits["core"]
        assert core not in used
        used.add(core)
        await trio.lowlevel.checkpoint()
        used.remove(core)
        return ended()

    many = cases(*(f"secret/{number}" for number in range(9)))
    judgement, _ = judged(package(tmp_path / "p", many), play, tmp_path / "s", jobs=2)
    assert judgement.verdict == "AC"


def test_a_failure_of_ours_is_never_the_submissions(tmp_path: Path) -> None:
    def play(order: Order) -> Completed:
        raise RefusedError("busy: 64 of 64 places taken")

    judgement, _ = judged(package(tmp_path / "p", THREE), play, tmp_path / "s")
    assert judgement.verdict == "JE"
    assert "busy: 64 of 64 places taken" in judgement.tests[0].why


LANGUAGES = {"problem.yaml": "problem_format_version: 2023-07-draft\nname: a\nuuid: a-b\n"}


def test_a_language_that_the_package_does_not_allow_is_a_compile_error(tmp_path: Path) -> None:
    only_c = {"problem.yaml": LANGUAGES["problem.yaml"] + "languages: [c]\n"}
    judgement, runner = judged(
        package(tmp_path / "p", {**THREE, **only_c}), answering(), tmp_path / "s"
    )
    assert (judgement.verdict, judgement.tests) == ("CE", ())
    assert judgement.why == "Python 3 is not allowed for this problem"
    assert not runner.orders


def test_too_much_source_is_a_compile_error(tmp_path: Path) -> None:
    small = {"problem.yaml": "name: a\nlimits:\n  code: 1\n"}
    directory = package(tmp_path / "p", {**THREE, **small})
    source = "# " + "x" * 1022
    judgement, _ = judged(directory, answering(), tmp_path / "s", source=source)
    assert judgement.verdict == "AC", "the control: it is not over the limit"
    judgement, runner = judged(directory, answering(), tmp_path / "s", source=source + "x")
    assert judgement.verdict == "CE" and not runner.orders
    assert judgement.why == "1025 bytes of source, over the limit of 1024"


def test_what_is_in_no_language_that_is_known_is_no_program(tmp_path: Path) -> None:
    judgement, runner = judged(
        package(tmp_path / "p", THREE), answering(), tmp_path / "s", name="made.xyz"
    )
    assert judgement.verdict == "CE" and not runner.orders
    assert "made.xyz" in judgement.why


def test_a_missing_answer_is_what_an_accepted_submission_writes(tmp_path: Path) -> None:
    directory = package(tmp_path / "p", MADE_ANSWERS)
    judgement, runner = judged(directory, lambda order: ended(b"42\n"), tmp_path / "s")
    assert judgement.verdict == "AC"
    # Each test twice: by the model, to have an answer, and by the submission.
    assert runner.inputs == ["secret/1", "secret/2"] * 2
    turns = iter([b"42\n", b"42\n", b"42\n", b"43\n"])
    judgement, _ = judged(directory, lambda order: ended(next(turns)), tmp_path / "s")
    assert verdicts(judgement) == ["AC", "WA"]


def test_a_model_that_fails_makes_no_answer(tmp_path: Path) -> None:
    def play(order: Order) -> Completed:
        return ended(exit_code=1 if name_of(order) == "secret/2" else 0)

    with pytest.raises(SpecError) as caught:
        judged(package(tmp_path / "p", MADE_ANSWERS), play, tmp_path / "s")
    assert "submissions/accepted/model.py" in str(caught.value)
    assert "secret/2: exit code 1" in str(caught.value)


def test_answers_that_are_made_do_not_fill_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparation, "_MOST_ANSWER_BYTES", 6)
    directory = package(tmp_path / "p", MADE_ANSWERS)
    judgement, _ = judged(directory, lambda order: ended(b"42\n"), tmp_path / "s")
    assert judgement.verdict == "AC", "the control: they are not over it"
    with pytest.raises(SpecError, match="answers of over 6 in sum, up to that of secret/2"):
        judged(directory, lambda order: ended(b"142\n"), tmp_path / "s")


def test_a_model_in_a_language_that_is_not_known_makes_no_answer(tmp_path: Path) -> None:
    unknown = {**MADE_ANSWERS, "submissions/accepted/model.py": None}
    directory = package(tmp_path / "p", {**unknown, "submissions/accepted/model.xyz": "x"})
    with pytest.raises(SpecError, match=r"data/secret/1\.ans: is missing, and no accepted"):
        judged(directory, answering(), tmp_path / "s")


def test_what_is_no_submission_is_no_model(tmp_path: Path) -> None:
    directory = package(tmp_path / "p", {**MADE_ANSWERS, "submissions/accepted/a.out": "x"})
    judgement, _ = judged(directory, lambda order: ended(b"42\n"), tmp_path / "s")
    assert judgement.verdict == "AC"


GRADED = {
    **cases("secret/1", "secret/2"),
    "problem.yaml": "name: a\ntype: scoring\n",
    "graders/grade.py": "",
    "data/testdata.yaml": "grading: custom\ngrader_flags: one two\non_reject: continue\n",
    "data/secret/testdata.yaml": "grading: default\ngrader_flags: ignore_sample\n",
}


def graded(tmp_path: Path, grade: Callable[[Order], Completed]) -> tuple[Judgement, list[Order]]:
    """The grader's jobs are those whose stdin is no file."""
    asked = []

    def play(order: Order) -> Completed:
        if isinstance(order.stdin, Path):
            return ended(b"yes\n" if name_of(order) == "secret/1" else b"no\n")
        asked.append(order)
        return grade(order)

    files = {**GRADED, "data/secret/testdata.yaml": "on_reject: continue\n"}
    judgement, _ = judged(package(tmp_path / "p", files), play, tmp_path / "s")
    return judgement, asked


def test_a_grader_of_the_package_has_the_last_word(tmp_path: Path) -> None:
    judgement, asked = graded(tmp_path, lambda order: ended(b"AC 12.5\n"))
    assert (judgement.verdict, judgement.score) == ("AC", 12.5)
    inner = asked[0]
    assert inner.stdin == b"AC 1\nWA 0\n"
    assert inner.job.command[-2:] == (b"one", b"two")


@pytest.mark.parametrize(
    ("ends", "told"),
    [
        (ended(b"AC\n"), "a verdict and a score were due"),
        (ended(b"AC 1\n", exit_code=3), "the grader exited with 3"),
        (ended(b"AC 1\n", verdict="cpu_time"), "the grader did not end by itself"),
    ],
    ids=["no score", "exit code", "time"],
)
def test_a_grader_that_fails_is_a_judge_error(tmp_path: Path, ends: Completed, told: str) -> None:
    judgement, _ = graded(tmp_path, lambda order: ends)
    assert judgement.verdict == "JE"
    assert told in judgement.why


ANSWERS = {
    "problem.yaml": "problem_format_version: 2025-09\nname: a\nuuid: a-b\ntype: submit-answer\n",
    "data/secret/1.in": "1",
    "data/secret/1.ans": "one\n",
    "data/secret/2.ans": "two\n",
}


def outputs(directory: Path, **files: str) -> Submission:
    directory.mkdir()
    pairs = []
    for stem, text in files.items():
        path = directory / f"{stem}.out"
        path.write_text(text)
        pairs.append((path.name, path))
    return Submission("outputs", tuple(pairs))


def test_outputs_are_judged_as_they_are(tmp_path: Path) -> None:
    directory = package(tmp_path / "p", ANSWERS)
    given = outputs(tmp_path / "o", **{"1": "one", "2": "three"})
    judgement, runner = judged(directory, answering(), tmp_path / "s", submission=given)
    assert judgement.verdict == "WA" and verdicts(judgement) == ["AC", "WA"]
    assert not runner.orders
    some = outputs(tmp_path / "some", **{"1": "one"})
    judgement, _ = judged(directory, answering(), tmp_path / "s", submission=some)
    assert judgement.tests[1].why == "there is no output for this test"


PASSES = {
    **cases("secret/1", "secret/2"),
    "problem.yaml": "problem_format_version: 2023-07-draft\nname: a\nuuid: a-b\n"
    "type: multi-pass\nlimits:\n  validation_passes: 2\n",
    "output_validator/validate.py": "",
}


@pytest.mark.parametrize("is_run", [True, False])
def test_what_was_told_is_not_kept_for_many_tests(is_run: bool, tmp_path: Path) -> None:
    told: list[str] = []
    answers = outputs(tmp_path / "o", **{"1": "other", "2": "three"})
    judgement, _ = judged(
        package(tmp_path / "p", PASSES if is_run else ANSWERS),
        lambda order: (
            ended()
            if isinstance(order.stdin, Path)
            else validated(order, 43, judgemessage="one", teammessage="t1")
        ),
        tmp_path / "s",
        submission=None if is_run else answers,
        settings=Settings(keeps_words=False),
        progress=lambda submission, outcome: told.append(outcome.judge_message),
    )
    assert all(told) and told and judgement.tests[0].verdict, "control"
    assert [one.judge_message + one.team_message for one in judgement.tests] == ["", ""]


def test_messages_of_all_passes_are_told_in_order(tmp_path: Path) -> None:
    def play(order: Order) -> Completed:
        if isinstance(order.stdin, Path):
            return ended(b"second\n" if "again" in order.stdin.read_text() else b"first\n")
        if order.stdin == b"second\n":
            return validated(order, 43, judgemessage="two")
        return validated(order, 42, nextpass="again", judgemessage="one")

    judgement, _ = judged(package(tmp_path / "p", PASSES), play, tmp_path / "s")
    assert judgement.verdict == "WA" and judgement.tests[0].why == "two"
    assert judgement.tests[0].judge_message == "one\ntwo"
