"""`sandbox policy`: which policies there are, what one says, whether a file is one."""

import os
from collections.abc import Iterator, Sequence

from sandbox.spec.errors import SpecError
from sandbox.spec.fields import printable, suggestion
from sandbox.spec.policy import ArgumentCheck, Policy, load_policy, policy_names
from sandbox.spec.quantities import format_seconds, format_size

__all__ = ["run"]

_HELP = """\
Usage: sandbox policy list             the policies that come with sandbox
       sandbox policy show NAME|FILE   all that a policy says, and why
       sandbox policy check NAME|FILE  whether it can be enforced here"""


def run(words: Sequence[str]) -> int:
    """List, show or check; the exit code. Raises SandboxError."""
    actions = {"list": 0, "show": 1, "check": 1}
    match list(words):
        case ["--help"]:
            print(_HELP)
        case ["list"]:
            for name in policy_names():
                print(f"{name:10}{load_policy(name).why}")
        case ["show", name]:
            print("\n".join(map(printable, _lines(load_policy(name)))))
        case ["check", name]:
            _check(name)
        case [action, *_] if action in actions:
            raise SpecError(f"policy {action}", f"takes {actions[action] or 'no'} name")
        case [action, *_]:
            raise SpecError("policy", f"no action {action}{suggestion(action, actions)}")
        case _:
            raise SpecError("policy", "takes an action: list, show or check")
    return 0


def _check(name: str) -> None:
    from sandbox.cli.inprocess import check_policy

    policy = load_policy(name)
    try:
        check_policy(policy)
    except SpecError as error:
        raise SpecError(f"{name}: {error.field}", error.problem) from error
    syscalls = {name for rule in policy.syscalls for name in rule.names}
    print(f"{printable(name)}: a policy; it decides {len(syscalls)} system calls")


def _lines(policy: Policy) -> Iterator[str]:
    yield f"{policy.name}: {policy.why}"
    yield ""
    for name, value in policy.limits.items():
        yield f"  limits.{name:25}{_quantity(name, value)}"
    for key, variable in policy.environment.items():
        yield f"  environment.{os.fsdecode(key):20}{os.fsdecode(variable)}"
    for setting, words in _settings(policy):
        yield f"  {setting:32}{words}"
    for rule in policy.syscalls:
        condition = " and ".join(map(_condition, rule.where))
        yield ""
        yield f"  {rule.action}: {', '.join(rule.names)}{condition and f'  if {condition}'}"
        yield f"      {rule.why}"


def _quantity(name: str, value: object) -> object:
    if name.endswith("_bytes") and isinstance(value, int):
        return format_size(value)
    if name.endswith("_seconds") and isinstance(value, float):
        return format_seconds(value)
    return "none" if value is None else value


def _settings(policy: Policy) -> list[tuple[str, str]]:
    return [
        ("any other system call", policy.default_action),
        ("/proc", "processes only" if policy.proc == "pid" else "all of it, masked"),
        ("its own cgroup's files", "shown, read-only" if policy.cgroup_files else "not shown"),
        ("root", policy.root),
        ("of the host's /etc", os.fsdecode(b" ".join(policy.etc)) or "nothing"),
        ("walls that may be absent", " ".join(sorted(policy.optional_walls)) or "none"),
    ]


def _condition(check: ArgumentCheck) -> str:
    mask = "" if check.mask == (1 << 64) - 1 else f" & {check.mask:#x}"
    return f"argument {check.index}{mask} {'!=' if check.negated else '=='} {check.value:#x}"
