"""A program in each language: known by its files, compiled in a job, run under its policy."""

from pathlib import Path

import pytest
from judge.building import LANGUAGES, build_in, needed, run_built, write
from judge.local import LocalRunner, run
from judge.programs import PROGRAMS, Sample

from sandbox.judge.building import Built
from sandbox.judge.problem import Submission
from sandbox.judge.working_directory import WorkingDirectories
from sandbox.spec.job import Input


def _id(sample: Sample) -> str:
    return f"{sample.code}-{'-'.join(sample.files)}"


@pytest.mark.parametrize("sample", PROGRAMS, ids=_id)
def test_a_program_is_detected_built_and_run(
    sample: Sample, tmp_path: Path, leftovers: None
) -> None:
    needed(sample.code)
    if sample.needs and not Path(sample.needs).exists():
        pytest.skip(f"there is no {sample.needs}")
    named = sample.code if sample.is_named else None
    submission = Submission("it", write(tmp_path / "it", sample.files), named, sample.entry_point)

    async def main(runner: LocalRunner) -> None:
        built = await build_in(runner, tmp_path / "cache", submission)
        assert isinstance(built, Built), built
        assert built.language.code == sample.code
        read_only = await WorkingDirectories(tmp_path).of(())
        for more in ({}, {"cwd": b"/work/a", "inputs": (Input(read_only, b"/work/a", False),)}):
            done = await run_built(runner, built, b"19 23\n", **more)
            result = done.result
            told = (done.stderr, result.evidence)
            assert (result.verdict, result.exit_code) == ("exited", 0), told
            assert done.stdout.split() == [b"42"]

    run(main)


def test_every_language_has_a_program_here_but_those_that_no_host_of_ours_has() -> None:
    assert {sample.code for sample in PROGRAMS} == LANGUAGES.keys() - {"python2"}
