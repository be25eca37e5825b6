"""Calibration: what programs it runs, what it says of a host, what it warns of."""

from __future__ import annotations

import json
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from judge.fakes import LIMITS, FakeRunner, completed, noisy, result
from judge.local import run as run_locally

from sandbox.cli.judge import run as judge_command
from sandbox.judge import calibrate as command
from sandbox.judge import speed
from sandbox.judge.build_cache import BuildCache
from sandbox.judge.cores import Cores
from sandbox.judge.execution import measured
from sandbox.judge.here import Here
from sandbox.judge.language import load_languages
from sandbox.judge.margins import Margins, Slow, is_to_exceed, slow_of, slowest_of
from sandbox.judge.problem import Expectation, Submission
from sandbox.judge.runner import Runner
from sandbox.judge.speed import KINDS, Reference, Sample, Series, Speeds, measure_speeds
from sandbox.judge.verdict import Judgement, Outcome
from sandbox.judge.verdict import TestRun as Run  # pytest takes a Test for one of its own
from sandbox.spec.errors import HostError, SpecError

DIRECTORY = Path(speed.__file__).parent / "calibration"
PROGRAMS = tomllib.loads((DIRECTORY / "programs.toml").read_text())
LITTLE = {"integer": ["1000"], "memory": ["4096", "3000"], "float": ["5000"]}
# What the work comes to, whoever does it.
EXPECTED = {"integer": "156356065", "memory": "24", "float": "326.494474", "empty": ""}


def runs(*seconds: float, noise: tuple[str, ...] = ()) -> Series:
    return Series(tuple(Run(cpu, cpu, None, 0, noise) for cpu in seconds))


def test_the_reference_has_every_program_and_no_other() -> None:
    reference = speed.read_reference()
    assert reference.seconds.keys() == PROGRAMS.keys()
    assert all(tuple(kinds) == KINDS for kinds in reference.seconds.values())
    for program in PROGRAMS.values():
        assert [program[kind][0] for kind in LITTLE] == list(LITTLE)


@pytest.mark.parametrize("code", ["c", "cpp", "java", "python3", "go", "rust", "javascript"])
def test_programs_do_the_same_work_in_every_language(code: str, tmp_path: Path) -> None:
    source = DIRECTORY / PROGRAMS[code]["source"]
    out = str(tmp_path / "work")
    build, run = {
        "c": (["gcc", "-O2", "-o", out, source], [out]),
        "cpp": (["g++", "-O2", "-o", out, source], [out]),
        "java": (["javac", "-d", tmp_path, source], ["java", "-cp", str(tmp_path), "Work"]),
        "python3": (None, ["python3", str(source)]),
        "go": (["go", "build", "-o", out, source], [out]),
        "rust": (["/usr/bin/rustc", "-o", out, source], [out]),
        "javascript": (None, ["node", str(source)]),
    }[code]
    if shutil.which(str((build or run)[0])) is None:
        pytest.skip(f"no {(build or run)[0]}")
    if build is not None:
        subprocess.run(build, check=True, env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)})
    for kind in KINDS:
        words = [kind, *LITTLE[kind]] if kind in LITTLE else []
        done = subprocess.run([*run, *words], check=True, capture_output=True, text=True)
        assert done.stdout.strip() == EXPECTED[kind]


@pytest.fixture
def little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BuildCache]:
    """A directory of two programs that have little to do; and a cache to build them in."""
    shutil.copy(DIRECTORY / "work.py", tmp_path)
    words = "".join(f"{kind} = {json.dumps([kind, *LITTLE[kind]])}\n" for kind in LITTLE)
    table = f'[python3]\nsource = "work.py"\n{words}[kotlin]\nsource = "work.py"\n{words}'
    (tmp_path / "programs.toml").write_text(table)
    monkeypatch.setattr(speed, "_DIRECTORY", tmp_path)
    with BuildCache.open(tmp_path / "cache") as cache:
        yield cache


async def speeds_of(runner: Runner, cache: BuildCache, rounds: int) -> Speeds:
    languages = load_languages()
    missing = languages["kotlin"]._replace(tools={"kotlinc": ("no-such-compiler",)})
    languages |= {"kotlin": missing}
    here = Here(runner, languages, cache, Cores(), Path())
    return await measure_speeds(here, rounds=rounds, told=lambda _: None)


def test_every_program_runs_once_a_round_and_what_is_not_here_is_left_out(
    little: BuildCache,
) -> None:
    found = run_locally(speeds_of, little, 2)
    assert [(one.language, one.kind, len(one.series.runs)) for one in found.samples] == [
        ("python3", kind, 2) for kind in KINDS
    ]
    assert all(one.series.median_seconds > 0 for one in found.samples)
    assert list(found.left_out) == ["kotlin"] and "no-such-compiler" in found.left_out["kotlin"]


def test_a_program_that_fails_is_an_error_of_the_host(little: BuildCache) -> None:
    runner = FakeRunner([completed(), completed("memory")])
    with pytest.raises(HostError, match="the integer program in python3 failed: memory limit"):
        trio.run(speeds_of, runner, little, 1)


def test_a_series_has_a_median_a_spread_and_its_noise() -> None:
    series = runs(1.0, 1.2, 1.1)
    assert (series.median_seconds, round(series.spread, 3), series.noise) == (1.1, 0.182, "")
    disturbed = Series((series.runs[0], measured(result(host=noisy()), 0, neighbours=0)))
    assert disturbed.noise == "1 of 2 runs: the hypervisor took 0.5 s"
    assert runs(0.0, 0.0).spread == 0.0


def test_a_host_is_told_against_the_reference() -> None:
    speeds = Speeds(
        (Sample("c", "integer", runs(0.4, 0.6, 0.5)), Sample("d", "empty", runs(0.1))), {"go": "no"}
    )
    lines = list(command._host_lines(speeds, Reference("R", {"c": {"integer": 0.25}}), "CPU", 2))
    assert lines[:2] == ["CPU, 2 cores", "the reference is R"]
    assert lines[3].split() == ["c", "integer", "0.500", "s", "40%", "2.00"]
    assert lines[5:] == ["left out: go: no", "integer: 2.00 times the reference's time"]


def test_what_is_told_of_one_host_is_a_reference_for_others(tmp_path: Path) -> None:
    speeds = Speeds((Sample("c", "integer", runs(0.4, 0.6, 0.5)),), {})
    told = command._document(speeds, Reference("R", {}), "CPU", 2)
    (tmp_path / "told").write_text(json.dumps(told))
    assert speed.read_reference(tmp_path / "told") == Reference("CPU", {"c": {"integer": 0.5}})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "No such file or directory"),
        ("", "is not what `sandbox judge calibrate --json` prints"),
        ("[]", "is not what"),
        ('{"cpu": "a", "samples": [{"language": "c"}]}', "is not what"),
        ("[" * 100_000, "is not what"),
        (
            '{"cpu": "a", "samples": [{"language": "c", "program": "x", "median_seconds": NaN}]}',
            "is not what",
        ),
    ],
)
def test_what_is_no_reference_is_said_so(text: str | None, told: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "file").write_text(text)
    with pytest.raises(SpecError, match=told) as raised:
        judge_command(["calibrate", "--reference", str(tmp_path / "file")])
    assert str(tmp_path / "file") in str(raised.value)


def test_a_problem_has_no_reference() -> None:
    with pytest.raises(SpecError, match="--reference: is for a host"):
        judge_command(["calibrate", "--reference", "file", "problem"])


def test_a_host_that_does_something_else_is_measured_in_vain(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    async def measure(here: Here, *, rounds: int, told) -> Speeds:
        return Speeds((quiet, loud), {})

    monkeypatch.setattr(command, "measure_speeds", measure)
    quiet = Sample("c", "integer", Series((*runs(0.5, 0.5).runs, *runs(0.5, noise=("x",)).runs)))
    loud = Sample("go", "empty", Series((*runs(0.1, 0.1, noise=("load 9",)).runs, *runs(0.1).runs)))
    assert judge_command(["calibrate"]) == 1
    told = "warning: 1 of 2 programs were disturbed in most of their runs, as empty in go (2 of 3"
    assert told in capfd.readouterr().out
    loud = quiet
    assert judge_command(["calibrate"]) == 0, "control"


def margins(*seconds: float, own: float | None = None, slow: tuple[Slow, ...] = ()) -> Margins:
    judged = [
        Judgement("a.c", "c", "AC", None, "", (
            Outcome("secret/1", "AC", "", runs=(Run(cpu / 10, 0, None, 0),)),
            Outcome("secret/2", "AC", "", runs=(Run(9, 0, None, 0), Run(cpu, 0, None, 0))),
        ), ())
        for cpu in seconds
    ]  # fmt: skip
    slowest = slowest_of(judged)
    assert slowest is not None and slowest.test == "secret/2"
    limits = LIMITS._replace(time_seconds=own)
    return Margins(limits, 1.0 if own is None else own, (slowest,), slow, {})


@pytest.mark.parametrize(
    ("found", "warnings"),
    [
        (margins(0.40, 0.41, 0.42), []),
        (margins(0.001, 0.002, 0.003), []),  # far below a step of the resolution
        (margins(0.40, 0.41, 0.49), ["a.c on secret/2 varies by 22%"]),
        (margins(0.49, 0.51, 0.50), ["the suggested limit depends on the run: 1 s to 2 s"]),
        (
            margins(0.4, own=0.5)._replace(suggested_seconds=1.0),
            ["limit of 0.5 s is"],
        ),
        (margins(0.4, slow=(Slow("b", "c", "TLE", 1.6, True, True),)), []),
        (
            margins(0.4, slow=(Slow("b", "c", "TLE", 1.4, True, False),)),
            ["b takes 1.400 s"],
        ),
        (
            margins(0.4, slow=(Slow("b", "c", "WA", 0.4, False, False),)),
            ["b is to exceed"],
        ),
    ],
)
def test_it_warns_where_a_limit_is_not_to_be_trusted(found: Margins, warnings: list[str]) -> None:
    said = list(found.warnings())
    assert len(said) == len(warnings)
    assert all(words in line for words, line in zip(warnings, said, strict=True))


@pytest.mark.parametrize(
    ("verdict", "seconds", "over", "margin"),
    [
        ("AC", 0.9, False, False),
        ("TLE", 1.2, True, False),
        ("TLE", 1.5, True, True),
        ("TLE", 0.01, True, True),  # it slept until the wall-clock guard came
    ],
)
def test_what_is_to_exceed_is_held_against_limit_and_margin(
    verdict: str, seconds: float, over: bool, margin: bool
) -> None:
    outcome = Outcome("secret/1", verdict, "", runs=(Run(3 * seconds, 0, None, 0),))
    judgement = Judgement("s", "c", verdict, None, "", (outcome,), (), time_multiplier=3.0)
    found = slow_of(judgement, 1.0, 1.5)
    assert (found.is_over_limit, found.is_over_margin) == (over, margin)
    assert found.seconds == pytest.approx(seconds)


def test_which_submissions_are_to_exceed() -> None:
    def of(**fields) -> bool:
        return is_to_exceed(Submission("s", (), expectations=(Expectation(**fields),)))

    tle = frozenset({"TLE"})
    assert of(required=tle) and of(verdicts=tle) and of(time_bound="upper")
    assert not of() and not of(time_bound="lower") and not of(verdicts=tle | {"WA"})


def test_a_problem_is_calibrated_by_one_command(capfd: pytest.CaptureFixture[str]) -> None:
    package = Path(__file__).parents[2] / "examples" / "problems" / "legacy" / "case"
    code = judge_command(["calibrate", "--json", str(package)])
    (found,) = json.loads(capfd.readouterr().out)
    assert code == (1 if found["warnings"] else 0)
    assert {one["submission"] for one in found["accepted"]} >= {"accepted/shout.c"}
    assert all(len(one["runs"]) == 3 for one in found["accepted"])
    assert [one["submission"] for one in found["to_exceed"]] == [
        "time_limit_exceeded/waits_for_more.py"
    ]
    assert found["suggested_seconds"] == found["package_seconds"] == 1.0


def test_the_document_goes_to_stdout_only() -> None:
    with pytest.raises(SpecError, match="--json: goes to stdout"):
        judge_command(["calibrate", "--json=file"])
