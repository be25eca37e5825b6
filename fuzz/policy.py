"""Policy files: whatever they say, a Policy or a SpecError; and its filter does what its rules say.

An input is text: a policy, and behind a line of "====" another that stands beside it as
`parent.toml`, to be extended. Where it is no TOML, an input is decisions instead: rules, from which
a policy is written.
"""

import contextlib
import errno
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyseccomp

from fuzz.bpf import check, decide
from fuzz.choices import Choices
from fuzz.driver import main
from sandbox.spec.constants import ARGUMENTS, CONSTANTS
from sandbox.spec.errors import SpecError
from sandbox.spec.policy import ArgumentCheck, Policy, load_policy, policy_from_mapping
from sandbox.spec.toml_file import parsed
from sandbox.supervisor.arguments import _NARROW
from sandbox.supervisor.compiler import compile_rules

__all__ = ["TOKENS", "target"]

_SEPARATOR = b"\n====\n"
_ARCHES = (0xC000003E, 0xC00000B7)  # AUDIT_ARCH_X86_64, AUDIT_ARCH_AARCH64
_ALL_BITS = (1 << 64) - 1
_ALLOW, _NOTIFY, _KILL, _ERRNO = 0x7FFF0000, 0x7FC00000, 0x80000000, 0x00050000
_NAMES = ("clone", "ioctl", "openat", "kill", "mmap", "read", "ptrace", "prctl", "nonsense")
_ACTIONS = ("allow", "kill", "answer 0", "EPERM", "ENOSYS")
_LIMITS = {
    "memory": "64MiB", "processes": 1, "cpus": 1, "wall": "1s", "disk": "1MiB", "output": 1,
    "fds": 9,
}  # fmt: skip
TOKENS = (
    b"\n[[syscalls]]\n", b"allow = [", b"kill = [", b'errno = "EPERM"\nnames = [',
    b"answer = 0\nnames = [", b'why = "w"\n', b"where = { ", b"flags = ", b"{ mask = ",
    b", equals = ", b"not_equals = ", b"one_of = [", b'extends = "parent"\n',
    b'extends = "strict"\n', b'default_action = "EPERM"\n', b'"clone"',
    b'"ioctl"', b'"openat"', b'"CLONE_THREAD"', b"\n[limits]\n", b'memory = "1MiB"\n', b" }", b"]",
    b'proc = "masked"\n', b'root = "writable"\n', b'etc = ["', b"../", b'optional_walls = ["time"]',
    b"\n[environment]\n", b'"\\u0000"', b'"\\uFFFF"', b"0xFFFFFFFFFFFFFFFF", b"a" * 300, _SEPARATOR,
)  # fmt: skip


def target(data: bytes) -> None:
    """Every refusal names its field in printable words; every filter is one that the kernel takes,
    and decides as the rules do."""
    policy = _from_text(data) or _from_choices(Choices(data))
    if policy is None:
        return
    for arch in _ARCHES:
        try:
            program = compile_rules(
                policy.syscalls, policy.default_action, arch=arch, listener=True,
                number_of=lambda name, arch=arch: _number(arch, name),
            )  # fmt: skip
        except SpecError as error:
            _require_told(error)
        else:
            _compare(policy, check(program), arch)


def _from_text(data: bytes) -> Policy | None:
    own, _, parent = data.partition(_SEPARATOR)
    try:
        if b"extends" not in own:  # then no file is needed
            document = parsed(own, Path("/nowhere/policy.toml"), "policy")
            return policy_from_mapping("policy", document, None)
        with tempfile.TemporaryDirectory(prefix="fuzz-") as directory:
            path = Path(directory) / "policy.toml"
            path.write_bytes(own)
            (Path(directory) / "parent.toml").write_bytes(parent)
            return load_policy(str(path))
    except SpecError as error:
        _require_told(error)
        return None


def _from_choices(choices: Choices) -> Policy | None:
    entries = [_entry(choices) for _ in range(1 + choices.below(4))]
    document = {
        "why": "w", "default_action": choices.one_of(["ENOSYS", "EPERM"]), "limits": _LIMITS,
        "syscalls": entries,
    }  # fmt: skip
    try:
        return policy_from_mapping("choices", document, None)
    except SpecError as error:
        _require_told(error)
        return None


def _entry(choices: Choices) -> dict[str, Any]:
    names = [choices.one_of(_NAMES) for _ in range(1 + choices.below(2))]
    action = choices.one_of(_ACTIONS)
    entry: dict[str, Any] = {"why": "w"}
    if action in ("allow", "kill"):
        entry[action] = names
    elif action == "answer 0":
        entry |= {"answer": 0, "names": names}
    else:
        entry |= {"errno": action, "names": names}
    if choices.below(4):
        known = [*ARGUMENTS.get(names[0], {}), "0", "1", "5"]
        entry["where"] = {
            choices.one_of(known): _condition(choices) for _ in range(1 + choices.below(2))
        }
    return entry


def _condition(choices: Choices) -> dict[str, Any]:
    mask = choices.one_of([_ALL_BITS, choices.integer(), choices.integer(32) << 32])
    test = choices.one_of(["equals", "not_equals", "one_of"])
    values = [choices.integer() & mask for _ in range(1 + choices.below(3))]
    if choices.below(8) == 0:
        values[0] = CONSTANTS[choices.one_of(sorted(CONSTANTS))]
    condition: dict[str, Any] = {test: values if test == "one_of" else values[0]}
    return condition if mask == _ALL_BITS else {"mask": mask, **condition}


def _number(arch: int, name: str) -> int | None:
    number = pyseccomp.resolve_syscall(arch, name)
    if number == -1:
        raise SpecError("syscalls", "is no system call")
    return number if number >= 0 else None


def _require_told(error: SpecError) -> None:
    assert error.field and str(error).isprintable(), repr(str(error))


def _compare(policy: Policy, lines: Sequence[tuple[int, int, int, int]], arch: int) -> None:
    """Ask the filter about calls that are just so, and just not, as the rules say."""
    for name in sorted({name for rule in policy.syscalls for name in rule.names}):
        number = _number(arch, name)
        if number is None:
            continue
        for arguments in _calls(policy, name):
            found = decide(lines, arch, number, arguments)
            expected = _expected(policy, name, arguments)
            assert found == expected, f"{name}{arguments}: {found:#x}, not {expected:#x}"
        assert decide(lines, 0x40000003, number, (0,) * 6) == _KILL  # of another ABI
    assert decide(lines, arch, 0x3FFFFFFF, (0,) * 6) == _word(policy.default_action)


def _calls(policy: Policy, name: str) -> Iterator[tuple[int, ...]]:
    yield (0,) * 6
    yield (_ALL_BITS,) * 6
    for rule in policy.syscalls:
        if name not in rule.names or not rule.where:
            continue
        met = [0] * 6
        for one in rule.where:
            met[one.index] = one.value ^ (one.mask & -one.mask if one.negated else 0)
        yield tuple(met)
        for one in rule.where:
            # Bits at both ends of the mask, of each half, and outside of it.
            for bit in (one.mask & -one.mask, 1 << max(one.mask.bit_length() - 1, 0), 1 << 32):
                changed = list(met)
                changed[one.index] ^= bit
                yield tuple(changed)


def _expected(policy: Policy, name: str, arguments: Sequence[int]) -> int:
    """Rules of one name with conditions agree, or were refused; the one without is the rest."""
    action = policy.default_action
    for rule in policy.syscalls:
        if name in rule.names and not rule.where:
            action = rule.action
    for rule in policy.syscalls:
        if (
            name in rule.names
            and rule.where
            and all(_holds(name, one, arguments) for one in rule.where)
        ):
            return _word(rule.action)
    return _word(action)


def _holds(name: str, one: ArgumentCheck, arguments: Sequence[int]) -> bool:
    width = 0xFFFFFFFF if one.index in _NARROW[name] else _ALL_BITS
    return (arguments[one.index] & one.mask & width == one.value & width) is not one.negated


def _word(action: str) -> int:
    with contextlib.suppress(KeyError):
        return {"allow": _ALLOW, "kill": _NOTIFY, "answer 0": _ERRNO}[action]
    return _ERRNO | int(getattr(errno, action))


if __name__ == "__main__":
    main("policy", target, TOKENS)
