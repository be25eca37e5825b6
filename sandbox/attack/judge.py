"""Whether an attack was held, and by which wall: only what was foreseen counts."""

from __future__ import annotations

import errno
import re
import signal
from collections.abc import Iterator
from typing import NamedTuple

from sandbox.attack.attack import Attack
from sandbox.attack.script import THROUGH, Made, read_output
from sandbox.spec.policy import ArgumentCheck, Policy
from sandbox.spec.result import Result

__all__ = ["ESCAPED", "HELD", "NO_CONTROL", "ODD", "Outcome", "judge"]

HELD, ESCAPED, NO_CONTROL = "held", "ESCAPED", "no control here"
ODD = "unexplained"  # it did not get through, by nothing that was foreseen: counts as not held
_LOW = (1 << 32) - 1
_VIOLATION = re.compile(r"seccomp: (\w+)\(")


class Outcome(NamedTuple):
    """What came of one attack under one policy."""

    state: str
    how: str  # the errno or signal that it met, at which call, and the wall; or why not
    wall: str = ""


def judge(
    attack: Attack,
    steps: list[Made],
    policy: Policy,
    result: Result,
    output: bytes,
    collected: bytes | None = None,
) -> Outcome:
    """Judge by what the attack says of itself, by the verdict, and by what was collected."""
    if attack.artifact is not None and THROUGH in output:
        (told,) = result.artifacts.values()
        return Outcome(ESCAPED if collected else HELD, told, "supervisor")
    if THROUGH in output and result.verdict not in attack.verdicts:
        return Outcome(ESCAPED, f"every call succeeded; {_ending(result)}")
    if result.verdict == "violation":
        return _judge_violation(attack, steps, policy, result)
    stop = read_output(output)
    if stop is not None and 0 < stop.step <= len(steps):
        made = steps[stop.step - 1]
        said = errno.errorcode.get(stop.errno, "") if stop.errno else "yields nothing"
        if said in _filter_actions(policy, made):
            return Outcome(HELD, f"{made.call} {said}", "syscalls")
        for refusal in attack.refusals:
            if (refusal.call, refusal.errno) == (made.call, stop.errno):
                return Outcome(HELD, f"{made.call} {said}", refusal.wall)
        return Outcome(ODD, f"{made.call} {said}; {_ending(result)}")
    if result.verdict in attack.verdicts:
        return Outcome(HELD, f"{result.verdict}: {'; '.join(result.evidence)}", "quotas")
    return Outcome(ODD, _ending(result))


def _judge_violation(attack: Attack, steps: list[Made], policy: Policy, result: Result) -> Outcome:
    evidence = "; ".join(result.evidence)
    found = _VIOLATION.search(evidence)
    if found is None:  # no filter of ours lists it: another ABI, by SIGSYS
        is_foreign = attack.kind == "abi" and result.signal == signal.SIGSYS
        return Outcome(HELD if is_foreign else ODD, f"SIGSYS: {evidence}", "syscalls")
    killed = {made.call for made in steps if "kill" in _filter_actions(policy, made)}
    state = HELD if found[1] in killed else ODD
    return Outcome(state, f"{found[1]} SIGKILL", "syscalls")


def _ending(result: Result) -> str:
    how = f"exit code {result.exit_code}" if result.signal is None else f"signal {result.signal}"
    return f"{result.verdict}, {how} {'; '.join(result.evidence)}".rstrip()


def _filter_actions(policy: Policy, made: Made) -> set[str]:
    """What the policy says of a step: "allow", "kill", or the name of an errno."""
    return {action for arguments in made.arguments for action in _actions(policy, made, arguments)}


def _actions(policy: Policy, made: Made, arguments: tuple[int | None, ...]) -> Iterator[str]:
    rules = [rule for rule in policy.syscalls if made.call in rule.names]
    # The kernel reads some arguments whole and of others 32 bits, and so does the filter.
    for mask in (None, _LOW):
        for rule in sorted(rules, key=lambda rule: not rule.where):
            if all(_matches(check, arguments, mask) for check in rule.where):
                yield rule.action
                break
        else:
            yield policy.default_action


def _matches(check: ArgumentCheck, arguments: tuple[int | None, ...], mask: int | None) -> bool:
    value = arguments[check.index] if check.index < len(arguments) else 0
    if value is None:
        return check.negated
    if mask is not None:
        value &= mask
    return ((value & check.mask) == check.value) != check.negated
