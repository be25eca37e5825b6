"""Each filter does what the kept tables say, proven for every call that there can be.

The tables come from the policies by an oracle that shares no line with our compiler, and from the
kernel's own list of system calls. test_filter_proof.py asks libseccomp as well.
"""

import errno
import itertools
import struct
from collections.abc import Iterator

import pytest
from supervisor.bpf import KILL_PROCESS, Call, run
from supervisor.filter_tables import KEPT, POLICIES, TABLES, text
from supervisor.oracle import ARCHES, meaning, numbers
from supervisor.proof import (
    ALLOW,
    ERRNO,
    LOW_BITS,
    NOTIFY,
    OWN,
    X32_BIT,
    compiled,
    decisions,
)

from sandbox.spec.policy import policy_names

pytestmark = pytest.mark.usefixtures("nothing_kept")

NEWEST = max(max(numbers(arch).values()) for arch in ARCHES)
LOADS, TESTS, ALU, JUMP, RETURN = {0x20}, {0x15, 0x35}, {0x54}, 0x05, 0x06
FILTERS = [
    pytest.param(name, arch, listener, id=f"{name}-{arch}{'-listener' if listener else ''}")
    for name in (*POLICIES, *OWN)
    for arch in ARCHES
    for listener in ((False, True) if name in POLICIES else (False,))
]


def differences(program: bytes, name: str, arch: str, kill: int) -> Iterator[tuple[Call, int, int]]:
    """Calls that the program decides otherwise than the table: of each class of calls, one."""
    return (one for one in decisions(program, name, arch, kill) if one[1] != one[2])


@pytest.mark.parametrize(("name", "arch", "listener"), FILTERS)
def test_a_filter_decides_every_call_as_its_table_says(
    name: str, arch: str, listener: bool
) -> None:
    program = compiled(name, arch, listener)
    kill = NOTIFY if listener else KILL_PROCESS
    assert list(differences(program, name, arch, kill)) == []


def test_the_kept_tables_are_what_the_policies_say() -> None:
    assert KEPT.read_text() == text(), "python tests/supervisor/filter_tables.py writes them anew"


def test_every_policy_and_every_filter_of_ours_is_in_the_tables() -> None:
    assert policy_names() == POLICIES
    assert set(OWN) <= set(TABLES)


@pytest.mark.parametrize(
    ("name", "arch"), [("init", "x86_64"), ("init", "aarch64"), ("collector", "x86_64")]
)
def test_no_changed_instruction_passes_for_the_table(name: str, arch: str) -> None:
    program = compiled(name, arch, name in POLICIES)
    kill = NOTIFY if name in POLICIES else KILL_PROCESS
    lines = list(struct.iter_unpack("=HBBI", program))
    unseen = []
    for at, (code, yes, no, k) in enumerate(lines):
        changes = [(code, yes, no, k ^ 1), (code, yes, no, k ^ 1 << 31), (code, no, yes, k)]
        for line in changes if yes != no else changes[:2]:
            changed = b"".join(
                struct.pack("=HBBI", *one) for one in [*lines[:at], line, *lines[at + 1 :]]
            )
            try:
                seen = next(differences(changed, name, arch, kill), None) is not None
            except (AssertionError, IndexError, ValueError):
                seen = True  # no filter at all, or it looks at something else
            if not seen:
                unseen.append((at, line))
    assert unseen == []


@pytest.mark.parametrize(("name", "arch", "listener"), FILTERS)
def test_a_number_that_is_no_call_gets_the_default(name: str, arch: str, listener: bool) -> None:
    program = compiled(name, arch, listener)
    default = meaning(name).default
    kill = NOTIFY if listener else KILL_PROCESS
    actions = {"kill": kill, "allow": ALLOW}
    otherwise = actions.get(default) or ERRNO | getattr(errno, default)
    beyond = [NEWEST + 1, NEWEST + 2, 512, 547, 548, 1023, 4096, 0xFFFF, X32_BIT - 1]
    for number in beyond:
        assert run(program, Call(ARCHES[arch], number)) == otherwise, number
    # Bit 30 is x32 on x86-64 and nothing on aarch64; bit 31 is a negative number on both.
    foreign = KILL_PROCESS if arch == "x86_64" else otherwise
    read = numbers(arch)["read"]
    for number in (X32_BIT, X32_BIT | read, X32_BIT | 512, 1 << 31, 1 << 31 | read, -1, -2):
        assert run(program, Call(ARCHES[arch], number)) == foreign, number


@pytest.mark.parametrize(("name", "arch", "listener"), FILTERS)
def test_the_high_half_of_a_register_changes_nothing_the_kernel_does_not_read(
    name: str, arch: str, listener: bool
) -> None:
    program, table = compiled(name, arch, listener), meaning(name)
    for call in table.cases.keys() & numbers(arch).keys():
        narrow = {test.index for case in table.cases[call] for test in case.tests
                  if test.mask <= LOW_BITS}  # fmt: skip
        number = numbers(arch)[call]
        for case, high in itertools.product(table.cases[call], (1, 0x80000000, LOW_BITS)):
            registers = [0] * 6
            for test in case.tests:
                registers[test.index] = test.value
            plain = run(program, Call(ARCHES[arch], number, tuple(registers)))
            for index in narrow:
                registers[index] |= high << 32
            assert run(program, Call(ARCHES[arch], number, tuple(registers))) == plain, call


@pytest.mark.parametrize(("name", "arch", "listener"), FILTERS)
def test_a_filter_is_a_program_without_faults(name: str, arch: str, listener: bool) -> None:
    lines = list(struct.iter_unpack("=HBBI", compiled(name, arch, listener)))
    assert len(lines) < 4096  # BPF_MAXINSNS
    reached = {0}
    for at, (code, yes, no, k) in enumerate(lines):  # jumps go forward only
        assert at in reached, f"instruction {at} is never reached"
        if code == RETURN:
            assert k in {ALLOW, NOTIFY, KILL_PROCESS} or k & ~0xFFF == ERRNO, hex(k)
            continue
        if code in LOADS:
            assert k % 4 == 0 and (k < 8 or 16 <= k < 64), "outside of what tells of a call"
        after = {at + 1 + yes, at + 1 + no} if code in TESTS else {at + 1}
        if code == JUMP:
            after = {at + 1 + k}
        assert code in LOADS | TESTS | ALU | {JUMP}, hex(code)
        assert max(after) < len(lines), f"from {at} out of the program"
        assert code not in TESTS or len(after) == 2, f"the test at {at} decides nothing"
        reached |= after
