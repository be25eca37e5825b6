"""Whether a package's validators take its data for what it is: a check of the package's author.

Judging does not need it, so it is done where a package is verified, and only there.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import trio

from sandbox.judge.building import Built
from sandbox.judge.feedback import LastWords, last_lines, validator_job
from sandbox.judge.here import Here
from sandbox.judge.preparation import build_package_program
from sandbox.judge.problem import Problem, ProblemLimits, Program, Test, ValidationCase
from sandbox.judge.runner import Order
from sandbox.judge.trial import Settings, Trials
from sandbox.judge.validation import ACCEPTED, ending
from sandbox.spec.errors import HostError, SandboxError, SpecError
from sandbox.spec.fields import printable
from sandbox.spec.job import Input

__all__ = ["DataCheck", "Fault", "check_data"]

# The package's limits of validation are for output validators only, so what the format calls
# typical of systems is the least that an input validator gets.
_LEAST_SECONDS, _LEAST_MEMORY_BYTES, _LEAST_OUTPUT_BYTES = 60.0, 2048 << 20, 8 << 20
_IDLE_SECONDS = 10.0  # its input is all there: who waits, waits for ever
_MOST_MESSAGES = 1000  # there may be a hundred thousand tests, and each validator talks
_WORK = "/work"
_GRAMMARS = {".ctd": "checktestdata", ".viva": "VIVA"}  # which describe inputs, and are no programs


class Fault(NamedTuple):
    """One file of the data that a validator did not take for what it is."""

    test: str  # "secret/03": below data/, no suffix; "": of the validator itself
    validator: str
    why: str
    message: str = ""  # what the validator has said: its end, bounded, lines that can be printed


class DataCheck(NamedTuple):
    """What came of showing the data to the validators."""

    inputs: int  # how many there are
    outputs: int
    validators: tuple[str, ...]  # of inputs, those that were run
    not_run: tuple[str, ...]  # which validator, and why
    faults: tuple[Fault, ...]

    def lines(self) -> Iterator[str]:
        """For people."""
        if self.validators or self.outputs:
            faults = len({fault.test for fault in self.faults if fault.test})
            end = f"{faults} NOT as they should be" if faults else "as they should be"
            inputs = f"inputs: {self.inputs}, by {', '.join(self.validators) or 'nothing'}"
            outputs = f"; outputs: {self.outputs}" if self.outputs else ""
            yield printable(f"data ({inputs}{outputs}): {end}")
        for fault in self.faults:
            said = fault.message.splitlines()
            # The last line: there tracebacks and assertions have what they are about.
            words = f": {said[-1]}" if said else ""
            where = f"data/{fault.test}: " if fault.test else ""
            yield printable(f"  {where}{fault.validator} {fault.why}{words}")

    def document(self) -> dict[str, Any]:
        """For programs."""
        return {**self._asdict(), "faults": [fault._asdict() for fault in self.faults]}


class _Validator(NamedTuple):
    program: Program
    built: Built


class _Answer(NamedTuple):
    """Of one input validator, of one input."""

    accepted: bool | None  # None: it could not be run
    why: str
    message: str


async def check_data(here: Here, problem: Problem) -> DataCheck:
    """Show every input to every input validator, and the outputs of `validation_cases` to the
    output validator: as many at once as there are cores.

    Raises SpecError: the output validator cannot be built, or a file of a test has the name of one
    of an input validator's.
    """
    programs = [one for one in problem.input_validators if not _grammar(one)]
    not_run = [
        f"{one.name}: there is nothing here that reads {_GRAMMARS[_grammar(one)]} files"
        for one in problem.input_validators
        if _grammar(one)
    ]
    if not problem.input_validators:
        not_run.append("input_validators: there is none, so nothing says which inputs are valid")
    cases = [ValidationCase(test) for test in problem.data.tests()]
    tested = {case.test.name for case in cases}
    # A sample with an output of its own is a test too.
    cases += [case for case in problem.validation_cases if case.test.name not in tested]
    inputs = [case for case in cases if case.test.input is not None]
    outputs = [case for case in problem.validation_cases if case.output is not None]
    for case in inputs:
        for program in programs:
            _check_names(program, case.test)
    with contextlib.ExitStack() as held:
        validators, faults = [], []
        for program in programs:
            try:
                validators.append(_Validator(program, await _build(here, problem, program, held)))
            except SpecError as error:  # which keeps nobody from being judged
                why, _, said = error.problem.partition("\n")
                faults.append(Fault("", program.name, f"does not compile: {why}", said))
            except HostError as error:  # this host lacks its language
                not_run.append(f"{program.name}: {error}")
        judge = problem.output_validator if outputs else None
        output_validator = None if judge is None else await _build(here, problem, judge, held)
        check = _Check(
            here, problem, validators, output_validator, is_complete=not (not_run or faults)
        )
        await check.run(inputs, outputs)
    names = tuple(program.name for program, _ in validators)
    faults += check.faults()
    return DataCheck(len(inputs), len(outputs), names, tuple(not_run), tuple(faults))


class _Check:
    def __init__(
        self,
        here: Here,
        problem: Problem,
        validators: Sequence[_Validator],
        output_validator: Built | None,
        *,
        is_complete: bool,
    ) -> None:
        self._here = here
        self._problem = problem
        self._trials = Trials(problem, output_validator, {}, here, Settings())
        self._validators = validators
        self._is_complete = is_complete  # every input validator is among those
        self._limits = _limits_of(problem.limits)
        self._faults: dict[tuple[str, int], Fault] = {}

    def faults(self) -> tuple[Fault, ...]:
        """In the order of tests and of validators, whichever was done first."""
        return tuple(fault for _, fault in sorted(self._faults.items()))

    async def run(
        self, inputs: Sequence[ValidationCase], outputs: Sequence[ValidationCase]
    ) -> None:
        work = iter([
            *((self._check_input, case) for case in inputs),
            *((self._check_output, case) for case in outputs),
        ])  # fmt: skip

        async def take() -> None:
            for check, case in work:
                await check(case)

        async with trio.open_nursery() as nursery:
            for _ in range(self._here.cores.count):
                nursery.start_soon(take)

    async def _check_input(self, case: ValidationCase) -> None:
        test, refusals = case.test, 0
        for number, (program, built) in enumerate(self._validators):
            answer = await self._ask(program, built, test)
            refusals += answer.accepted is False
            if answer.accepted is None or (case.accepts_input and not answer.accepted):
                self._tell(number, Fault(test.name, program.name, answer.why, answer.message))
            elif refusals and not case.accepts_input:
                return
        # What was not run might have refused it.
        if not case.accepts_input and self._is_complete:
            why = "accept this invalid input, and one should refuse it"
            self._tell(-1, Fault(test.name, "all input validators", why))

    async def _ask(self, program: Program, built: Built, test: Test) -> _Answer:
        flags = test.input_validator_flags
        if test.input_validator_flags_by_name is not None:
            flags = _flags_by_name(program, test)
        # Its arguments come behind the flags: "Input validators" of the format.
        words = (word.encode() for word in (*flags, *test.arguments))
        beside = [(name, path, False) for name, path in program.files]
        beside += [(name, path, True) for name, path in test.files]
        inputs = [
            Input(path, f"{_WORK}/{name}".encode(), copied=copied) for name, path, copied in beside
        ]
        said = LastWords("stdout", "stderr")  # validators use either
        async with self._here.cores.one() as core:
            job = validator_job(
                (*built.command, *words), built.policy, built, inputs, [], self._limits, core
            )
            job = job._replace(
                cwd=_WORK.encode(), limits={**job.limits, "idle_seconds": _IDLE_SECONDS}
            )
            try:
                done = await self._here.runner.run(Order(job, test.input, said.add))
            except SandboxError as error:
                return _Answer(None, f"was not run: {error}", "")
        if done.result.verdict == "exited" and done.result.exit_code == ACCEPTED:
            return _Answer(True, "", "")
        return _Answer(False, f"refuses it: it {ending(done.result)}", last_lines(said.text()))

    async def _check_output(self, case: ValidationCase) -> None:
        test, program = case.test, self._problem.output_validator
        assert case.output is not None
        name = "the default output validator" if program is None else program.name
        number = len(self._validators)
        try:
            output = await trio.to_thread.run_sync(case.output.read_bytes)
        except OSError as error:
            self._tell(number, Fault(test.name, name, f"was not run: {error}"))
            return
        async with self._here.cores.one():
            outcome = await self._trials.check(test, output)
        message = outcome.judge_message.strip()
        if outcome.verdict == "JE":
            self._tell(number, Fault(test.name, name, f"is no judge of it: {outcome.why}", message))
        elif (outcome.verdict == "AC") != case.accepts_output:
            did = "refuses" if case.accepts_output else "accepts"
            kind = "valid" if case.accepts_output else "invalid"
            self._tell(number, Fault(test.name, name, f"{did} this {kind} output", message))

    def _tell(self, number: int, fault: Fault) -> None:
        if len(self._faults) >= _MOST_MESSAGES:
            fault = fault._replace(message="")
        self._faults[fault.test, number] = fault


def _limits_of(limits: ProblemLimits) -> ProblemLimits:
    return limits._replace(
        validation_seconds=max(_LEAST_SECONDS, limits.validation_seconds),
        validation_memory_bytes=max(_LEAST_MEMORY_BYTES, limits.validation_memory_bytes),
        validation_output_bytes=max(_LEAST_OUTPUT_BYTES, limits.validation_output_bytes),
    )


async def _build(
    here: Here, problem: Problem, program: Program, held: contextlib.ExitStack
) -> Built:
    async with here.cores.one():
        built = await build_package_program(
            program, problem, here, held, constants=problem.constants
        )
    assert built is not None
    return built


def _grammar(program: Program) -> str:
    """The ending of a description of inputs, or nothing: it is a program."""
    if program.is_static or program.build or program.run or len(program.files) != 1:
        return ""
    suffix = PurePosixPath(program.files[0][0]).suffix
    return suffix if suffix in _GRAMMARS else ""


def _flags_by_name(program: Program, test: Test) -> tuple[str, ...]:
    table, name = test.input_validator_flags_by_name, PurePosixPath(program.name)
    assert table is not None
    return table.get(name.name) or table.get(name.stem) or ()


def _check_names(program: Program, test: Test) -> None:
    """Both are in the validator's working directory."""
    both = {name for name, _ in program.files} & {name for name, _ in test.files}
    if both:
        where = f"data/{test.name}.files/{min(both)}"
        raise SpecError(where, f"has the name of a file of {program.name}")
