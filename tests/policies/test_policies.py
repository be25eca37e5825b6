"""Each policy's filter, interpreted for every syscall and held against its rules."""

import errno
import itertools
from collections.abc import Iterator
from functools import cache

import pytest
from supervisor.bpf import KILL_PROCESS, Call, run

from sandbox.spec.policy import ArgumentCheck, Policy, SyscallRule, load_policy, policy_names
from sandbox.supervisor.seccomp import ARCH, compile_filter, syscall_name

NAMES = ("compile", "default", "jvm", "native", "node", "python", "shell", "strict")
ALLOW, NOTIFY = 0x7FFF0000, 0x7FC00000
ALL_BITS, HIGH = (1 << 64) - 1, 1 << 32
I386, X32_BIT = 0x40000003, 0x40000000


@cache
def policy(name: str) -> Policy:
    return load_policy(name)


@cache
def program(name: str, listener: bool = False) -> bytes:
    return compile_filter(policy(name), listener=listener).program


def word(action: str) -> int:
    plain = {"allow": ALLOW, "kill": KILL_PROCESS, "answer 0": 0x50000}
    return plain.get(action) or 0x50000 | getattr(errno, action)


def read(number: int, check: ArgumentCheck) -> int:
    """The bits that the kernel reads: arguments with conditions are ints, but for two pointers."""
    is_pointer = syscall_name(number) == "prlimit64" and check.index in (2, 3)
    return ALL_BITS if is_pointer else 0xFFFFFFFF


def rules_for(name: str, syscall: str) -> list[SyscallRule]:
    return [rule for rule in policy(name).syscalls if syscall in rule.names]


def edges(checks: list[ArgumentCheck]) -> Iterator[tuple[int, ...]]:
    """Arguments on and beside each value that a check compares with, with and without high bits."""
    values: dict[int, set[int]] = {index: {0} for index in range(6)}
    for check in checks:
        bits = [1 << n for n in range(64) if check.mask >> n & 1]
        values[check.index] |= {check.value, ~check.mask & ALL_BITS | check.value}
        values[check.index] |= {check.value ^ bit for bit in (*bits[:2], *bits[-2:])}
        values[check.index] |= {value ^ HIGH for value in values[check.index]}
    return itertools.product(*values.values())


def test_these_policies_exist() -> None:
    assert sorted(policy_names()) == list(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_call_meets_the_action_of_its_rules(name: str) -> None:
    for number in range(600):
        rules = rules_for(name, syscall_name(number))
        plain = [rule.action for rule in rules if not rule.where]
        otherwise = word(plain[0] if plain else policy(name).default_action)
        for arguments in edges([check for rule in rules for check in rule.where]):
            matching = [
                rule.action
                for rule in rules
                if rule.where
                and all(
                    ((arguments[c.index] ^ c.value) & c.mask & read(number, c) == 0) != c.negated
                    for c in rule.where
                )
            ]
            expected = word(matching[0]) if matching else otherwise
            found = run(program(name), Call(ARCH, number, arguments))
            assert found == expected, (syscall_name(number), [hex(a) for a in arguments])


@pytest.mark.parametrize("name", NAMES)
def test_foreign_calls_kill(name: str) -> None:
    for number in range(600):
        assert run(program(name), Call(I386, number)) == KILL_PROCESS
        assert run(program(name), Call(ARCH, X32_BIT | number)) == KILL_PROCESS


@pytest.mark.parametrize("name", NAMES)
def test_with_a_listener_only_kills_differ(name: str) -> None:
    for number in range(600):
        call = Call(ARCH, number, (0, 0x5412))  # TIOCSTI, where it is an ioctl
        alone, heard = run(program(name), call), run(program(name, True), call)
        assert heard == (NOTIFY if alone == KILL_PROCESS else alone), syscall_name(number)


@pytest.mark.parametrize("name", NAMES)
def test_no_clone_makes_a_namespace(name: str) -> None:
    clone = next(n for n in range(600) if syscall_name(n) == "clone")
    for bit in (17, 25, 26, 27, 28, 29, 30):  # CLONE_NEWNS, NEWCGROUP … NEWNET
        for others in (0, 17, 0x3D0F00, 0x4111, HIGH):
            found = run(program(name), Call(ARCH, clone, (others | 1 << bit,)))
            assert found == word("EPERM"), hex(others | 1 << bit)


@pytest.mark.parametrize("name", NAMES)
def test_every_rule_says_why(name: str) -> None:
    assert policy(name).why
    assert all(rule.why for rule in policy(name).syscalls)
