"""Syscall rules to BPF, as short as we can make it.

Each syscall has an action of its own for arguments that no rule matched, which libseccomp has only
for a filter as a whole, and the tree over the numbers loads several times as fast as one comparison
a syscall. The tests hold every policy's filter to what libseccomp makes of the same rules.
"""

import errno
import itertools
from collections.abc import Callable, Iterable
from typing import NamedTuple

from sandbox.spec.errors import SpecError
from sandbox.spec.policy import SyscallRule
from sandbox.supervisor.arguments import Cube, calls_of, cubes_of, intersection
from sandbox.supervisor.bpf import (
    ALL_BITS,
    ARCH_AT,
    ARGUMENTS_AT,
    MOST_INSTRUCTIONS,
    NUMBER_AT,
    Program,
)

__all__ = ["compile_rules"]

_KILL_PROCESS, _NOTIFY, _ALLOW, _ERRNO = 0x80000000, 0x7FC00000, 0x7FFF0000, 0x00050000

_X86_64 = 0xC000003E  # AUDIT_ARCH_X86_64
_X32_BIT = 0x40000000  # asm/unistd.h: x32 calls bear the arch of x86_64 and this bit
_MOST_CUBES = 512  # of one syscall; every pair of them is compared

_Word = tuple[int, int]  # offset in struct seccomp_data, mask
_Words = list[tuple[_Word, int]]  # and the value that each must have


class _Case(NamedTuple):
    action: int
    words: _Words
    without: list[_Words]  # none of these may be all as they say


def compile_rules(
    rules: Iterable[SyscallRule],
    default_action: str,
    *,
    arch: int,
    listener: bool,
    number_of: Callable[[str], int | None],
) -> bytes:
    """The filter of the rules, for one ABI (AUDIT_ARCH_*): calls by any other kill the process.

    `number_of` gives a syscall's number there, None if it has none. Raises SpecError: what it
    raises, an unknown errno, rules that contradict each other, checks that cannot be compiled.
    """
    kill = _NOTIFY if listener else _KILL_PROCESS
    by_name: dict[str, list[SyscallRule]] = {}
    for rule in rules:
        for name in rule.names:
            by_name.setdefault(name, []).append(rule)
    numbers = {name: number_of(name) for name in by_name}
    program = Program()
    otherwise = _action("default_action", default_action, kill)
    default, foreign = program.give(otherwise), program.give(_KILL_PROCESS)
    places = {
        number: _leaf(program, name, by_name[name], otherwise, kill)
        for name, number in numbers.items()
        if number is not None
    }
    # Above it are negative numbers too.
    beyond = (_X32_BIT, foreign) if arch == _X86_64 else None
    own = program.look(NUMBER_AT, ALL_BITS, places, default, beyond)
    program.look(ARCH_AT, ALL_BITS, {arch: own}, foreign)
    if len(program) > MOST_INSTRUCTIONS:
        raise SpecError(
            "syscalls",
            f"compiles to {len(program)} instructions, the kernel takes {MOST_INSTRUCTIONS}",
        )
    return program.to_bytes()


def _leaf(program: Program, name: str, rules: list[SyscallRule], otherwise: int, kill: int) -> int:
    field = f"syscalls.{name}"
    plain = {_action(field, rule.action, kill) for rule in rules if not rule.where}
    if len(plain) > 1:
        raise SpecError(field, "two rules without conditions give it different actions")
    if plain:
        otherwise = plain.pop()
    cubes = [
        (_action(field, rule.action, kill), cube)
        for rule in rules
        if rule.where
        for cube in cubes_of(name, rule.where)
    ]
    if len(cubes) > _MOST_CUBES:
        raise SpecError(field, "its rules have too many conditions to be compiled")
    for (one, here), (other, there) in itertools.combinations(cubes, 2):
        if one != other and intersection(here, there) is not None:
            raise SpecError(field, "two rules match the same arguments and give different actions")
    cases = [
        _Case(action, _words(calls.cube), [_words(cube) for cube in calls.without])
        for rule in rules
        if rule.where
        and (action := _action(field, rule.action, kill)) != otherwise
        and (calls := calls_of(name, rule.where)) is not None
    ]
    return _decide(program, cases, program.give(otherwise))


def _decide(program: Program, cases: list[_Case], otherwise: int) -> int:
    """The place that gives a call the action of a case it meets: of any, for they agree."""
    for action, words, without in cases:
        if not words and not without:
            return program.give(action)
    first_words: dict[_Word, dict[int, list[_Case]]] = {}
    for action, words, without in cases:
        if words:
            (word, value), *rest = words
            rests = first_words.setdefault(word, {}).setdefault(value, [])
            rests.append(_Case(action, rest, without))
    place = otherwise
    for (offset, mask), values in first_words.items():
        met = {value: _decide(program, rest, place) for value, rest in values.items()}
        place = program.look(offset, mask, met, place)
    for action, words, without in cases:
        if not words:
            place = _decide_without(program, without, program.give(action), place)
    return place


def _decide_without(program: Program, without: list[_Words], place: int, otherwise: int) -> int:
    """The place that leads to `otherwise` where one of `without` is all as it says."""
    for words in without:
        excluded, included = otherwise, place
        for (offset, mask), value in reversed(words):
            excluded = program.look(offset, mask, {value: excluded}, included)
        place = excluded
    return place


def _words(cube: Cube) -> _Words:
    """A cube in the words that BPF can load; both of our architectures are little-endian."""
    return [
        ((ARGUMENTS_AT + 8 * index + at, mask >> 8 * at & ALL_BITS), value >> 8 * at & ALL_BITS)
        for index, (mask, value) in sorted(cube.items())
        for at in (0, 4)
        if mask >> 8 * at & ALL_BITS
    ]


def _action(field: str, action: str, kill: int) -> int:
    if action == "allow":
        return _ALLOW
    if action == "kill":
        return kill
    if action == "answer 0":
        return _ERRNO
    code = getattr(errno, action, None)
    if not isinstance(code, int):
        raise SpecError(field, f'"{action}" is no action: allow, kill, or the name of an errno')
    return _ERRNO | code
