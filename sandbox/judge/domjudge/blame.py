"""Whom a failure is put down to that is not the submission's: DOMjudge stops using it."""

from __future__ import annotations

from collections.abc import Mapping

from sandbox.judge.domjudge.tasks import Executable, TestCase

__all__ = ["Blamed"]


class Blamed(Exception):
    """Judging cannot go on, because of what `disabled` names."""

    def __init__(self, problem: str, disabled: Mapping[str, str], log: str = "") -> None:
        super().__init__(problem)
        self.disabled = disabled
        self.log = log

    @classmethod
    def script(cls, script: Executable, problem: str, log: str = "") -> Blamed:
        """Of the jury's scripts: every problem that uses it waits for the jury."""
        kind = f"{script.kind}_script"
        return cls(f"{kind} {script.id}: {problem}", {"kind": kind, f"{kind}_id": script.id}, log)

    @classmethod
    def test(cls, test: TestCase, problem: str) -> Blamed:
        """Of the test data."""
        return cls(f"testcase {test.id}: {problem}", {"kind": "testcase", "testcaseid": test.id})

    @classmethod
    def judgehost(cls, hostname: str, problem: str, log: str = "") -> Blamed:
        """We: other judgehosts take the work over."""
        return cls(f"{hostname}: {problem}", {"kind": "judgehost", "hostname": hostname}, log)
