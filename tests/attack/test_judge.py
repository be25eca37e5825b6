"""What counts as held: what was foreseen and nothing else."""

import errno
import signal
import struct
from typing import Any

import pytest

from sandbox.attack.attack import BARE, Attack, by
from sandbox.attack.judge import ESCAPED, HELD, ODD, judge
from sandbox.attack.script import THROUGH, AttackScript
from sandbox.attack.targets import Targets
from sandbox.boundary.report import Kind, Report
from sandbox.spec.policy import load_policy
from sandbox.supervisor.lifecycle import not_started

STRICT, DEFAULT = load_policy("strict"), load_policy("default")


def write(script: AttackScript, _: Targets | None) -> None:
    script.call("socket", 2, 1, 0)
    script.call("setpriority", 0, 0, 1)
    script.call("mount", 0, 0, 0, 0, 0)


def attack(**settings: Any) -> Attack:
    return Attack("name", "kind", "Does.", BARE, write, **settings)


def outcome(
    made: Attack, output: bytes = b"", policy: Any = DEFAULT, collected: Any = None, **result: Any
) -> str:
    script = AttackScript()
    write(script, None)
    ended = not_started(artifacts={}, host={}, walls={}, grades={}, identity={})
    ended = ended._replace(**{"verdict": "exited", "exit_code": 1, **result})
    return judge(made, script.made, policy, ended, output, collected).state


def stopped(step: int, code: int) -> bytes:
    return Report(Kind.FAILED, step, code).pack()


def test_who_gets_through_has_escaped() -> None:
    assert outcome(attack(), THROUGH) == ESCAPED
    assert outcome(attack(), stopped(1, errno.EPERM) + THROUGH) == ESCAPED, "one process is enough"
    assert outcome(attack(verdicts=("memory",)), THROUGH) == ESCAPED
    assert outcome(attack(), THROUGH, verdict="memory") == ESCAPED, "it was not to be ended by that"


def test_the_errno_must_be_the_policys_for_that_call() -> None:
    assert outcome(attack(), stopped(1, errno.EAFNOSUPPORT)) == HELD
    assert outcome(attack(), stopped(1, errno.EPERM)) == ODD
    assert outcome(attack(), stopped(1, errno.EPERM), STRICT) == HELD
    assert outcome(attack(), stopped(1, errno.EAFNOSUPPORT), STRICT) == ODD
    assert outcome(attack(), stopped(2, errno.EAFNOSUPPORT)) == ODD, "another call's"


def test_an_argument_decides_what_the_policy_says() -> None:
    assert outcome(attack(), stopped(2, errno.EPERM)) == ODD, "default allows it for oneself"
    assert outcome(attack(), stopped(2, errno.EPERM), STRICT) == HELD


def test_another_walls_errno_must_be_foreseen_for_that_call() -> None:
    foreseen = attack(refusals=by("view", setpriority=errno.EACCES))
    assert outcome(foreseen, stopped(2, errno.EACCES)) == HELD
    assert outcome(foreseen, stopped(2, errno.ENOENT)) == ODD
    assert outcome(foreseen, stopped(1, errno.EACCES)) == ODD
    nothing = attack(refusals=by("view", setpriority=0))
    assert outcome(nothing, stopped(2, 0)) == HELD
    assert outcome(attack(), stopped(2, 0)) == ODD


@pytest.mark.parametrize("verdict", ["wall_time", "signaled", "exited", "cpu_time"])
def test_that_it_ended_somehow_is_not_that_it_was_held(verdict: str) -> None:
    assert outcome(attack(), verdict=verdict, signal=signal.SIGSEGV) == ODD
    assert outcome(attack(verdicts=("memory",)), verdict=verdict) == ODD


def test_a_limit_that_was_to_end_it_holds_it() -> None:
    memory = {"verdict": "memory", "signal": 9, "evidence": ("oom_kill=1",)}
    assert outcome(attack(verdicts=("memory",)), **memory) == HELD
    assert outcome(attack(), **memory) == ODD


def test_a_killed_call_must_be_one_of_its_own_that_the_policy_kills_for() -> None:
    def violated(call: str) -> dict[str, Any]:
        return {"verdict": "violation", "evidence": (f"seccomp: {call}(0) by pid 2",)}

    assert outcome(attack(), **violated("mount")) == HELD
    assert outcome(attack(), **violated("ptrace")) == ODD
    assert outcome(attack(), **violated("socket")) == ODD


def test_a_foreign_abi_dies_of_sigsys() -> None:
    dead = {"verdict": "violation", "signal": signal.SIGSYS, "evidence": ("syscall not known",)}
    assert outcome(attack()._replace(kind="abi"), **dead) == HELD
    assert outcome(attack(), **dead) == ODD


def test_an_artifact_that_was_collected_is_an_escape() -> None:
    left = attack(artifact=b"file")
    told = {"artifacts": {"/work/file": "not collected"}, "exit_code": 0}
    assert outcome(left, THROUGH, collected=None, **told) == HELD
    assert outcome(left, THROUGH, collected=b"secret", **told) == ESCAPED
    assert outcome(left, stopped(1, errno.EAFNOSUPPORT), **told) == HELD


def test_garbage_on_stdout_is_no_answer() -> None:
    assert outcome(attack(), b"x" * 40) == ODD
    assert outcome(attack(), struct.pack("<4i", Kind.FAILED, 77, errno.EPERM, 0)) == ODD
