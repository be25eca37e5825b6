"""Runs a filter on one call of each class, beside what its table says of it.

`python tests/supervisor/proof.py` counts the lines of each filter, named calls, classes of calls.
"""

import errno
import importlib
import importlib.util
import inspect
import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from supervisor.bpf import KILL_PROCESS, Call, run  # noqa: E402
from supervisor.classes import Word, arches, arguments, calls_numbered  # noqa: E402
from supervisor.filter_tables import POLICIES  # noqa: E402
from supervisor.oracle import ARCHES, Meaning, meaning, numbers  # noqa: E402

from sandbox.spec.policy import load_policy  # noqa: E402
from sandbox.supervisor import seccomp  # noqa: E402

__all__ = ["ALLOW", "ERRNO", "LOW_BITS", "NOTIFY", "OWN", "X32_BIT", "compiled", "decisions"]

ALLOW, NOTIFY, ERRNO = 0x7FFF0000, 0x7FC00000, 0x00050000
X32_BIT, LOW_BITS = 0x40000000, (1 << 32) - 1
_I386, _ARM = 0x40000003, 0x40000028  # AUDIT_ARCH_I386, AUDIT_ARCH_ARM
_MODULES = ("sandbox.supervisor.seccomp", "sandbox.supervisor.own_filters")


def _own_filters() -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Name and maker of each filter of a process of ours: NAME_filter(), which takes nothing."""
    for module in _MODULES:
        if importlib.util.find_spec(module):
            found = vars(importlib.import_module(module))
            for name in found["__all__"]:
                if name.endswith("_filter") and not inspect.signature(found[name]).parameters:
                    yield name.removesuffix("_filter"), found[name]


OWN = dict(_own_filters())


def compiled(name: str, arch: str, listener: bool) -> bytes:
    """The filter of a policy, or of a process of ours, for one architecture."""
    if name in POLICIES:
        policy = load_policy(name)
        return seccomp.compile_filter(policy, listener=listener, arch=ARCHES[arch]).program
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(seccomp, "ARCH", ARCHES[arch])  # these are made for this machine alone
        return OWN[name]()


def decisions(program: bytes, name: str, arch: str, kill: int) -> Iterator[tuple[Call, int, int]]:
    """A call of each class, what the program gives it, and what the table of `name` says.

    `kill`: what a filter of this kind returns where a rule kills.
    """
    table = meaning(name)
    own = {number: call for call, number in numbers(arch).items()}
    value = {"allow": ALLOW, "kill": kill, "answer 0": ERRNO}
    for audit_arch in sorted({*arches(program), *ARCHES.values(), _I386, _ARM}):
        is_foreign = audit_arch != ARCHES[arch]
        # The table itself tells x32 from the rest, by the border that is told here.
        for number in calls_numbered(program, audit_arch, [*own, X32_BIT]):
            is_x32 = arch == "x86_64" and number & LOW_BITS >= X32_BIT
            call_name = None if is_foreign or is_x32 else own.get(number)
            for registers in arguments(program, audit_arch, number, _words(table, call_name)):
                call = Call(audit_arch, number, registers)
                if is_foreign or is_x32:
                    expected = KILL_PROCESS
                else:
                    action = table.action(call_name or "", registers)
                    expected = value.get(action) or ERRNO | getattr(errno, action)
                yield call, run(program, call), expected


def _words(table: Meaning, call: str | None) -> dict[Word, set[int]]:
    """The words of a call that the table looks at, and the values that it looks for."""
    words: dict[Word, set[int]] = {}
    for case in table.cases.get(call or "", ()):
        for test, high in itertools.product(case.tests, (0, 4)):
            mask = test.mask >> 8 * high & LOW_BITS
            if mask:
                value = test.value >> 8 * high & LOW_BITS
                words.setdefault((16 + 8 * test.index + high, mask), set()).add(value)
    return words


def _count() -> None:
    print(f"{'filter':<12}{'arch':<10}{'lines':>6}{'named':>7}{'allowed':>9}{'classes':>9}  wrong")
    for name, arch in itertools.product((*POLICIES, *OWN), ARCHES):
        program = compiled(name, arch, False)
        known = {number: call for call, number in numbers(arch).items()}
        allowed, classes, wrong = set(), 0, 0
        for call, found, expected in decisions(program, name, arch, KILL_PROCESS):
            classes += 1
            wrong += found != expected
            if found == ALLOW and call.number in known:
                allowed.add(call.number)
        lines = len(program) // 8
        print(
            f"{name:<12}{arch:<10}{lines:>6}{len(known):>7}{len(allowed):>9}{classes:>9}  {wrong}"
        )


if __name__ == "__main__":
    _count()
