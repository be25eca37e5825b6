"""Signals that a limit may have sent, or the job itself: what is claimed is what was counted."""

import signal

import pytest

from sandbox.spec.limits import Limits
from sandbox.spec.policy import load_policy
from sandbox.supervisor.cgroup import Usage
from sandbox.supervisor.verdict import Scratch, decide


def verdict_of(number: int, *, cpu_seconds: float = 0.0, is_whole: bool = True) -> tuple[str, str]:
    limits = Limits(**{**load_policy("default").limits, "cpu_seconds": 2.0})
    usage = Usage(cpu_seconds, None, None, None, 0, 0, 1, 0, None, is_whole)
    verdict, evidence = decide(
        None, (), exit_code=None, signal_number=number, wall_seconds=1.0, usage=usage,
        scratch=Scratch(), is_output_over=False, limits=limits,
    )  # fmt: skip
    return verdict, " | ".join(evidence)


@pytest.mark.parametrize(
    ("cpu_seconds", "is_whole", "expected"),
    [(0.0, True, "signaled"), (2.5, True, "cpu_time"), (0.0, False, "cpu_time")],
    ids=["sent by itself", "over the limit", "nobody counted"],
)
def test_sigxcpu_is_the_limits_only_where_the_time_was_used(
    cpu_seconds: float, is_whole: bool, expected: str
) -> None:
    verdict, _ = verdict_of(signal.SIGXCPU, cpu_seconds=cpu_seconds, is_whole=is_whole)
    assert verdict == expected


def test_sigsys_is_a_violation_that_claims_no_more_than_the_signal() -> None:
    verdict, evidence = verdict_of(signal.SIGSYS)
    assert verdict == "violation"
    assert "as the filter sends it" in evidence


@pytest.mark.parametrize("number", [signal.SIGXFSZ, signal.SIGKILL, signal.SIGRTMAX])
def test_other_signals_are_signals(number: int) -> None:
    assert verdict_of(number)[0] == "signaled"
