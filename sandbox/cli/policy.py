"""`sandbox policy`: which policies there are, what one says, whether a file is one."""

import argparse
import os

from sandbox.spec.policy import Policy, load_policy, policy_names

__all__ = ["add_parser"]


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `policy list`, `policy show NAME` and `policy check FILE`."""
    parser = commands.add_parser("policy", help="list, show or check policies")
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    actions.add_parser("list", help="the policies that come with sandbox").set_defaults(run=_list)
    show = actions.add_parser("show", help="all that a policy says, and why")
    show.add_argument("policy", metavar="NAME|FILE")
    show.set_defaults(run=_show)
    check = actions.add_parser("check", help="whether a file is a policy that can be enforced")
    check.add_argument("policy", metavar="FILE")
    check.set_defaults(run=_check)


def _list(_options: argparse.Namespace) -> int:
    for name in policy_names():
        print(f"{name:10}{load_policy(name).why}")
    return 0


def _show(options: argparse.Namespace) -> int:
    policy = load_policy(options.policy)
    print(f"{policy.name}: {policy.why}\n")
    for key, value in _settings(policy):
        print(f"  {key:24}{value}")
    print(f"\n  every other syscall     {policy.default_action}")
    for rule in policy.syscalls:
        checks = " and ".join(
            f"(arg{c.index} & {c.mask:#x}) {'!=' if c.negated else '=='} {c.value:#x}"
            for c in rule.where
        )
        print(f"\n  {rule.action}: {', '.join(rule.names)}{checks and f'  if {checks}'}")
        print(f"      {rule.why}")
    return 0


def _check(options: argparse.Namespace) -> int:
    from sandbox.cli.inprocess import check_policy

    policy = load_policy(options.policy)
    check_policy(policy)
    print(f"{options.policy}: policy {policy.name} is fine, {len(policy.syscalls)} syscall rules")
    return 0


def _settings(policy: Policy) -> list[tuple[str, object]]:
    """What is not a syscall rule, as words and values."""
    names = b" ".join(policy.etc)
    return [
        *((f"limits.{name}", value) for name, value in policy.limits.items()),
        *((f"env {os.fsdecode(k)}", os.fsdecode(v)) for k, v in policy.environment.items()),
        ("/proc", "only processes" if policy.proc == "pid" else "whole, masked"),
        ("own cgroup's files", "shown, read-only" if policy.cgroup_files else "not shown"),
        ("root", policy.root),
        ("of the host's /etc", os.fsdecode(names) or "nothing"),
        ("optional walls", ", ".join(sorted(policy.optional_walls)) or "none"),
    ]
