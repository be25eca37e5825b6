"""Syscall rules: what a policy says of some syscalls, and of their arguments."""

import errno
from collections.abc import Mapping
from typing import Any, NamedTuple

from sandbox.spec.constants import ARGUMENTS, CONSTANTS
from sandbox.spec.errors import SpecError
from sandbox.spec.fields import dotted, read_array, read_table, read_text, shown, suggestion

__all__ = ["ArgumentCheck", "SyscallRule", "rules_from_entry"]


class ArgumentCheck(NamedTuple):
    """A condition on one syscall argument: (argument & mask) == value, both 64 bits."""

    index: int
    mask: int
    value: int
    negated: bool = False  # True: != instead of ==


class SyscallRule(NamedTuple):
    """What happens to some syscalls, where all of `where` holds for their arguments."""

    names: tuple[str, ...]
    action: str  # "allow", "kill", "answer 0", or an errno name such as "EPERM" or "ENOSYS"
    where: tuple[ArgumentCheck, ...] = ()
    why: str = ""


_ACTIONS = ("allow", "kill", "answer", "errno")
_KEYS = (*_ACTIONS, "names", "where", "why")
_ALL_BITS = (1 << 64) - 1
_ERRNO_NAMES = frozenset(name for name in vars(errno) if name.startswith("E"))  # aliases too
_MOST_WAYS = 1024  # a few lines of one_of could ask for more rules than there is memory
_INDICES = ("0", "1", "2", "3", "4", "5")


def rules_from_entry(entry: Any, field: str) -> tuple[SyscallRule, ...]:
    """The rules of one [[syscalls]] entry of a policy file; `one_of` makes one for each value.

    Keys: exactly one of `allow` (names), `kill` (names), `errno` (with `names`) and `answer = 0`
    (with `names`: the call does nothing and says that it succeeded); `why`; and perhaps `where`, a
    table of argument (by name, or index 0 to 5) -> {equals | not_equals | one_of, mask}. Values are
    integers or names of constants. Raises SpecError naming the field.
    """
    table = read_table(entry, field, _KEYS)
    if "why" not in table:
        raise SpecError(f"{field}.why", "is missing; each entry explains itself")
    why = read_text(table["why"], f"{field}.why")
    actions = [key for key in _ACTIONS if key in table]
    if len(actions) != 1:
        raise SpecError(field, "takes exactly one of allow, kill, answer, errno (both with names)")
    action = actions[0]
    if (action in ("answer", "errno")) != ("names" in table):
        problem = "answer and errno take names, allow and kill are lists of names themselves"
        raise SpecError(field, problem)
    names = _names(table, "names" if "names" in table else action, field)
    if action == "errno":
        action = _errno(table["errno"], f"{field}.errno")
    elif action == "answer":
        action = _answer(table["answer"], f"{field}.answer")
    if "where" not in table:
        return (SyscallRule(names, action, (), why),)
    ways = _ways(table["where"], names, f"{field}.where")
    return tuple(SyscallRule(names, action, where, why) for where in ways)


def _errno(value: Any, field: str) -> str:
    name = read_text(value, field)
    if name not in _ERRNO_NAMES:
        raise SpecError(field, f"{shown(name)} is no errno{suggestion(name, _ERRNO_NAMES)}")
    return name


def _answer(value: Any, field: str) -> str:
    # A filter can give no other result without an error: seccomp(2), SECCOMP_RET_ERRNO.
    if type(value) is not int or value != 0:
        raise SpecError(field, "can be 0 only")
    return "answer 0"


def _names(table: Mapping[str, Any], key: str, field: str) -> tuple[str, ...]:
    names = read_array(table[key], f"{field}.{key}")
    if not names:
        raise SpecError(f"{field}.{key}", "is empty")
    return tuple(read_text(name, f"{field}.{key}[{n}]") for n, name in enumerate(names))


def _ways(value: Any, names: tuple[str, ...], field: str) -> list[tuple[ArgumentCheck, ...]]:
    """Every way to satisfy `where`: the product of what each argument may be."""
    table = read_table(value, field)
    if not table:
        raise SpecError(field, "is empty; leave it out, or name an argument")
    ways: list[tuple[ArgumentCheck, ...]] = [()]
    for argument, condition in table.items():
        place = dotted(field, argument)
        checks = _checks(condition, _index(argument, names, place), place)
        if len(ways) * len(checks) > _MOST_WAYS:
            raise SpecError(field, f"makes over {_MOST_WAYS} rules; use masks")
        ways = [(*way, check) for way in ways for check in checks]
    return ways


def _index(argument: str, names: tuple[str, ...], field: str) -> int:
    if argument in _INDICES:
        return int(argument)
    known = [ARGUMENTS.get(name, {}) for name in names]
    indices = {arguments.get(argument) for arguments in known}
    index = indices.pop()
    if indices or index is None:
        near = suggestion(argument, sorted({a for arguments in known for a in arguments}))
        raise SpecError(
            field, f"is no argument of {', '.join(names)}; write its index, 0 to 5{near}"
        )
    return index


def _checks(value: Any, index: int, field: str) -> list[ArgumentCheck]:
    table = read_table(value, field, ("mask", "equals", "not_equals", "one_of"))
    mask = _number(table["mask"], f"{field}.mask") if "mask" in table else _ALL_BITS
    tests = [key for key in ("equals", "not_equals", "one_of") if key in table]
    if len(tests) != 1:
        raise SpecError(field, "takes exactly one of equals, not_equals, one_of")
    test = tests[0]
    place = f"{field}.{test}"
    values = read_array(table[test], place) if test == "one_of" else [table[test]]
    if not values:
        raise SpecError(place, "is empty")
    numbers = [_number(value, place) for value in values]
    for number in numbers:
        if number & ~mask:
            raise SpecError(place, f"{number:#x} has bits outside the mask {mask:#x}")
    return [ArgumentCheck(index, mask, number, test == "not_equals") for number in numbers]


def _number(value: Any, field: str) -> int:
    if isinstance(value, str):
        if value not in CONSTANTS:
            raise SpecError(field, f"{shown(value)} is no constant{suggestion(value, CONSTANTS)}")
        return CONSTANTS[value]
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _ALL_BITS:
        raise SpecError(field, f"{shown(value)} is neither a constant nor a number of 64 bits")
    return value
