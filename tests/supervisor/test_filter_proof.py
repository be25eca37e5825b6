"""Each policy's filter decides as libseccomp's own of the same rules does: run call by call."""

import errno
import functools
import itertools
import os
import struct
from collections.abc import Iterable, Iterator

import pyseccomp
import pytest
from supervisor.bpf import KILL_PROCESS, Call, run

from sandbox.spec.policy import ArgumentCheck, Policy, SyscallRule, load_policy, policy_names
from sandbox.supervisor.seccomp import compile_filter

pytestmark = pytest.mark.usefixtures("nothing_kept")

ALLOW, NOTIFY = 0x7FFF0000, 0x7FC00000
KILL_BY_RULE = 0x7FF07777  # SECCOMP_RET_TRACE stands for it: libseccomp takes no notifying default
X86_64, AARCH64, I386, ARM = 0xC000003E, 0xC00000B7, 0x40000003, 0x40000028
ALL_BITS, LOW_BITS, X32_BIT = (1 << 64) - 1, (1 << 32) - 1, 1 << 30
NUMBERS = range(1024)
BOUNDARIES = (1024, 2047, 4096, X32_BIT - 1, X32_BIT, (1 << 31) - 1, 1 << 31, LOW_BITS - 1)
ARCHES = pytest.mark.parametrize("arch", [X86_64, AARCH64], ids=["x86_64", "aarch64"])


def word(action: str) -> int:
    plain = {"allow": ALLOW, "kill": KILL_BY_RULE, "answer 0": pyseccomp.ERRNO(0)}
    return plain[action] if action in plain else pyseccomp.ERRNO(getattr(errno, action))


def by_libseccomp(arch: int, default: str, rules: Iterable[SyscallRule]) -> bytes:
    filter_ = pyseccomp.SyscallFilter(word(default))
    filter_.set_attr(pyseccomp.Attr.ACT_BADARCH, KILL_PROCESS)
    if not filter_.exist_arch(arch):
        filter_.add_arch(arch)
        filter_.remove_arch(pyseccomp.system_arch())
    for rule in rules:
        for name in rule.names:
            # It refuses a rule that changes nothing, and has numbers below 0 for foreign calls.
            if word(rule.action) != word(default) and number_of(name, arch) >= 0:
                for checks in itertools.product(*(ways(name, check) for check in rule.where)):
                    filter_.add_rule(word(rule.action), name, *checks)
    with os.fdopen(os.memfd_create("filter"), "w+b") as file:
        filter_.export_bpf(file)
        file.seek(0)
        return file.read()


def ways(name: str, check: ArgumentCheck) -> list[pyseccomp.Arg]:
    """The check in what libseccomp has: it has no masked unequal, which is that some bit differs.

    All arguments with conditions in these policies are ints to the kernel, but for two pointers.
    """
    width = ALL_BITS if name == "prlimit64" and check.index in (2, 3) else LOW_BITS
    mask, value = check.mask & width, check.value & width
    if not check.negated:
        return [pyseccomp.Arg(check.index, pyseccomp.MASKED_EQ, mask, value)]
    bits = [1 << bit for bit in range(64) if mask >> bit & 1]
    return [pyseccomp.Arg(check.index, pyseccomp.MASKED_EQ, bit, ~value & bit) for bit in bits]


def number_of(name: str, arch: int) -> int:
    return pyseccomp.resolve_syscall(arch, name)


class Reference:
    """What libseccomp makes of a policy: one filter of the rules without conditions, and one for
    each syscall with conditions, since what happens if none is met is the filter's default."""

    def __init__(self, policy: Policy, arch: int) -> None:
        checked = {name for rule in policy.syscalls if rule.where for name in rule.names}
        plain, conditions, otherwise = [], {}, dict.fromkeys(checked, policy.default_action)
        for rule in policy.syscalls:
            for name in rule.names:
                one = SyscallRule((name,), rule.action, rule.where)
                if name not in checked:
                    plain.append(one)
                elif rule.where:
                    conditions.setdefault(name, []).append(one)
                else:
                    otherwise[name] = rule.action
        self.checks: dict[int, list[ArgumentCheck]] = {
            number_of(name, arch): [check for rule in rules for check in rule.where]
            for name, rules in conditions.items()
            if number_of(name, arch) >= 0
        }
        self._whole = by_libseccomp(arch, policy.default_action, plain)
        self._each = {
            number_of(name, arch): by_libseccomp(arch, otherwise[name], rules)
            for name, rules in conditions.items()
        }

    def outcome(self, call: Call) -> int:
        return run(self._each.get(call.number, self._whole), call)


def arguments(checks: list[ArgumentCheck]) -> Iterator[tuple[int, ...]]:
    """Each value compared with, alone and combined; and each with any one bit of 64 flipped."""
    values: list[set[int]] = [{0, ALL_BITS} for _ in range(6)]
    for check in checks:
        values[check.index] |= {check.value, ~check.mask & ALL_BITS | check.value}
        values[check.index] |= {check.mask, LOW_BITS ^ ALL_BITS | check.value, check.value << 32}
        values[check.index] |= {check.value - 1 & ALL_BITS, check.value + 1 & ALL_BITS}
    indices = sorted({check.index for check in checks})
    for chosen in itertools.product(*(sorted(values[index]) for index in indices)):
        for rest in (0, ALL_BITS):
            registers = [rest] * 6
            for index, value in zip(indices, chosen, strict=True):
                registers[index] = value
            yield tuple(registers)
        for index, bit in itertools.product(indices, range(64)):
            flipped = registers.copy()
            flipped[index] ^= 1 << bit
            yield tuple(flipped)


def calls(arch: int, checks: dict[int, list[ArgumentCheck]]) -> Iterator[Call]:
    for number in (*NUMBERS, *BOUNDARIES):
        yield Call(arch, number)
        yield Call(arch, number, (ALL_BITS,) * 6)
    for number, its_checks in checks.items():
        for registers in arguments(its_checks):
            yield Call(arch, number, registers)
        for beside in {number - 1, number + 1} - checks.keys():  # may land among those checks
            for check in its_checks:
                yield Call(arch, beside, (check.value,) * 6)
    for number in NUMBERS:
        yield Call(arch, X32_BIT | number)
        yield Call(arch, -2 - number)  # -1 has a test of its own
    foreign = {X86_64, AARCH64, I386, ARM, 0} | {arch ^ 1 << bit for bit in range(32)}
    for other, number in itertools.product(sorted(foreign - {arch}), NUMBERS[::16]):
        yield Call(other, number)
    for number in NUMBERS:
        yield Call(I386, number)


@functools.cache
def expectations(name: str, arch: int) -> list[tuple[Call, int]]:
    reference = Reference(load_policy(name), arch)
    return [(call, reference.outcome(call)) for call in calls(arch, reference.checks)]


def first_difference(program: bytes, name: str, arch: int, kill: int) -> Call | None:
    """The first call that the program decides otherwise than libseccomp's filter."""
    for call, expected in expectations(name, arch):
        if run(program, call) != (kill if expected == KILL_BY_RULE else expected):
            return call
    return None


def mutants(program: bytes) -> Iterator[tuple[int, bytes]]:
    """The program with one constant off by its first or last bit, or with one decision reversed."""
    lines = list(struct.iter_unpack("=HBBI", program))
    for at, (code, yes, no, k) in enumerate(lines):
        changes = [(code, yes, no, k ^ 1), (code, yes, no, k ^ 1 << 31), (code, no, yes, k)]
        for line in changes if yes != no else changes[:2]:
            changed = [*lines[:at], line, *lines[at + 1 :]]
            yield at, b"".join(struct.pack("=HBBI", *one) for one in changed)


@pytest.mark.parametrize("listener", [False, True])
@ARCHES
@pytest.mark.parametrize("name", policy_names())
def test_a_policys_filter_decides_as_libseccomps_own(name: str, arch: int, listener: bool) -> None:
    program = compile_filter(load_policy(name), listener=listener, arch=arch).program
    kill = NOTIFY if listener else KILL_PROCESS
    assert first_difference(program, name, arch, kill) is None


@ARCHES
def test_no_instruction_can_be_changed_unseen(arch: int) -> None:
    program = compile_filter(load_policy("strict"), listener=True, arch=arch).program
    unseen = []
    for at, changed in mutants(program):
        try:
            seen = first_difference(changed, "strict", arch, NOTIFY) is not None
        except (IndexError, ValueError):
            seen = True
        if not seen:
            unseen.append(at)
    assert unseen == []


def test_minus_one_kills_as_every_number_that_is_none_does() -> None:
    # Here we differ: libseccomp gives it the default action, for tracers that cancel a call so.
    program = compile_filter(load_policy("native"), listener=True, arch=X86_64).program
    assert run(program, Call(X86_64, -1)) == KILL_PROCESS
