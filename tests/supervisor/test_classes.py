"""The classes of calls are complete: no value between two neighbours is treated otherwise."""

import pyseccomp
from hypothesis import given
from hypothesis import strategies as st
from supervisor.bpf import Call, run
from supervisor.classes import _least, arguments, calls_numbered
from supervisor.oracle import ARCHES, numbers

from sandbox.supervisor.bpf import ALL_BITS, ARGUMENTS_AT, NUMBER_AT, Program

BITS = 8


@given(st.integers(0, (1 << BITS) - 1), st.integers(0, (1 << BITS) - 1))
def test_the_least_value_under_a_mask_is_the_least(mask: int, border: int) -> None:
    values = [value for value in range(border, 1 << BITS) if value & ~mask == 0]
    assert _least(mask, border) == min(values, default=None)


@given(
    st.integers(1, (1 << BITS) - 1),
    st.dictionaries(st.integers(0, (1 << BITS) - 1), st.integers(0, 3), min_size=1),
)
def test_each_outcome_of_a_decision_has_its_class(mask: int, values: dict[int, int]) -> None:
    program = Program()
    places = {value & mask: program.give(to) for value, to in values.items()}
    program.look(ARGUMENTS_AT, mask, places, program.give(7))
    found = program.to_bytes()
    every = {run(found, Call(0, 0, (value,))) for value in range(1 << BITS)}
    assert {run(found, Call(0, 0, one)) for one in arguments(found, 0, 0, {})} == every


@given(st.dictionaries(st.integers(0, 300), st.integers(0, 3), min_size=1))
def test_each_number_that_differs_has_its_class(values: dict[int, int]) -> None:
    program = Program()
    places = {value: program.give(to) for value, to in values.items()}
    program.look(NUMBER_AT, ALL_BITS, places, program.give(7))
    found = program.to_bytes()
    classes = sorted(calls_numbered(found, 0, ()))
    for number in range(310):
        its = max(one for one in classes if one <= number)
        assert run(found, Call(0, number)) == run(found, Call(0, its))


def test_the_kept_numbers_are_those_that_libseccomp_knows() -> None:
    for arch, audit_arch in ARCHES.items():
        for name, number in numbers(arch).items():
            # -1: it does not know newer calls, nor some that are long dead.
            assert pyseccomp.resolve_syscall(audit_arch, name) in (number, -1), (arch, name)
        known = [pyseccomp.resolve_syscall(audit_arch, name) for name in numbers(arch)]
        assert sum(number >= 0 for number in known) > 300
