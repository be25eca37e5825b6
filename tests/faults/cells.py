"""Fault cells: one system call of a normal run, made to fail once with one errno.

A cell is good if what comes of it is the true result, a result that tells what it lacks, or an
error of ours; if nothing is left of it; and if the next job runs.
"""

import json
import os
import pwd
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from faults.errnos import code_of, errnos_of, name_of
from faults.subject import ANSWER_FD, SETTLE_SECONDS, prepare
from faults.test_kills import TESTS
from faults.tracer import Call, Hang, Tracer
from faults.where import Board

__all__ = ["SCENARIOS", "Cell", "Finding", "Stand", "cells_of", "kills_of", "stand"]

SCENARIOS = ("job", "terminal", "parked", "pipeline", "start")
VICTIMS = ("supervisor", "keeper", "zygote", "init", "stub", "collector", "lookout")
_CELL_SECONDS = 2 * SETTLE_SECONDS + 120
_REMOVAL = "cgroup/left.remove"
_NO_KEEPER = "the keeper died, so there is no new zygote or lookout"
_ERRORS = ("SetupError", "ZygoteError", "HostError", "RefusedError", "SpecError", "ExecError")


class Cell(NamedTuple):
    """A call of a scenario, and the errno that it fails with, or who is killed just before it."""

    scenario: str
    call: Call
    errno: str  # or "kill-" and a role

    @property
    def victim(self) -> str:
        """The role whose processes are killed, or ""."""
        return self.errno.removeprefix("kill-") if self.errno.startswith("kill-") else ""

    @property
    def is_last(self) -> bool:
        """Whether the keeper may end by it, after which this supervisor starts nothing anew."""
        return "keeper" in (self.victim, self.call.role)

    @property
    def name(self) -> str:
        """How it is asked for again: `python -m faults --cell NAME`."""
        role, step, number, count = self.call
        return f"{self.scenario}:{role}:{step}:{name_of(number)}:{count}:{self.errno}"


class Finding(NamedTuple):
    """What came of a cell."""

    cell: Cell
    outcome: str  # its class
    problem: str  # why that is not good, or ""
    message: str

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        role, step, number, count = self.cell.call
        return {
            "cell": self.cell.name, "scenario": self.cell.scenario, "role": role, "step": step,
            "call": name_of(number), "count": count, "errno": self.cell.errno,
            "outcome": self.outcome, "problem": self.problem, "message": self.message,
        }  # fmt: skip


def cells_of(scenario: str, calls: list[Call]) -> Iterator[Cell]:
    """Every cell of these calls."""
    for call in calls:
        for name in errnos_of(call):
            yield Cell(scenario, call, name)


def kills_of(scenario: str, alive: dict[Call, frozenset[str]]) -> Iterator[Cell]:
    """At each step of each process, the death of each that there is then."""
    for call, roles in alive.items():
        for role in sorted(roles & set(VICTIMS)):
            yield Cell(scenario, call, f"kill-{role}")


class Stand:
    """A traced supervisor, and another one where it does not survive."""

    def __init__(self, directory: Path, scenarios: tuple[str, ...], user: str | None) -> None:
        """`scenarios`: those that it will be asked for. `user`: where we are root, who runs it.

        For one that starts while an ordinary user traces it, newuidmap(1) has no rights: execve(2).
        Then it has one id for all jobs.
        """
        self._directory, self._scenarios = directory, scenarios
        self._user = None if user is None else pwd.getpwnam(user)
        self._process: subprocess.Popen[bytes] | None = None
        self._serial = 0
        self.starts = 0
        self._is_fresh = scenarios == ("start",)  # each run is a supervisor of its own

    def calls(self, scenario: str) -> list[Call]:
        """Those of a run without a fault."""
        told = self._ask(scenario, None, lambda: None)
        problem = _problem(told, None)
        assert not problem, f"a run without a fault: {problem}: {told}"
        return list(self._tracer.seen)

    def run(self, cell: Cell, tries: int = 3) -> Finding:
        """What comes of it; "not met": in no run such a call was made."""
        for _ in range(tries):
            told = self._ask(cell.scenario, cell.call, lambda: self._strike(cell))
            if cell.victim == "supervisor" and told["kind"] == "died":
                return Finding(cell, "ends", "", "")  # as all do that it had: `close` waits for it
            if self._tracer.hit is not None or told["kind"] in ("hang", "died"):
                problem = _problem(told, cell)
                if cell.is_last:
                    self.close()
                return Finding(cell, told["kind"], problem, str(told.get("message", "")))
            if problem := _problem(told, None):
                return Finding(cell, "not met", problem, str(told))
            if told["kind"] != "result":
                return Finding(cell, "not met", "a job without a fault has failed", str(told))
        return Finding(cell, "not met", "", "")

    def alive(self) -> dict[Call, frozenset[str]]:
        """The roles that there were at the first call of each step, in the run of `calls`."""
        return self._tracer.alive

    def _strike(self, cell: Cell) -> int | None:
        if not cell.victim:
            return code_of(cell.errno)
        self._tracer.kill_role(cell.victim)
        return None

    def close(self) -> None:
        """End it: in order, where it can."""
        if self._process is None:
            return
        self._process.stdin.close()
        try:
            self._tracer.run_to_end(_CELL_SECONDS)
        except Hang:
            self._tracer.kill()
        for stream in (self._process.stdin, self._process.stdout):
            stream.close()
        self._process.returncode = 0  # the tracer has reaped it
        self._process = None

    def _ask(
        self, scenario: str, call: Call | None, act: Callable[[], int | None]
    ) -> dict[str, Any]:
        if self._process is None:
            self._start()
        self._tracer.begin(call, act)
        self._process.stdin.write(json.dumps({"scenario": scenario}).encode() + b"\n")
        self._process.stdin.flush()
        try:
            answered = self._tracer.run_until_answer(_CELL_SECONDS)
        except Hang:
            told = {"kind": "hang", "message": self._words()}
            self._tracer.kill()
            self.close()
            return told
        if not answered:
            told = {"kind": "died", "message": self._words()}
            self.close()
            return told
        told = json.loads(self._process.stdout.readline())
        if self._is_fresh:
            try:
                self._tracer.run_to_end(_CELL_SECONDS)
            except Hang:
                told["left"] = {"processes": "they do not end"}
        if self._is_fresh or told["left"] or told["next"]["kind"] != "result":
            self.close()
        return told

    def _start(self) -> None:
        self._serial += 1
        self.starts += 1
        work = Path(tempfile.mkdtemp(dir=self._directory))
        work.chmod(0o755)
        prepare(work)
        board = Board(str(work / "board"), is_new=True)
        become: dict[str, Any] = {}
        if self._user is not None:
            uid, gid = self._user.pw_uid, self._user.pw_gid
            for path in (work, *work.rglob("*")):
                os.chown(path, uid, gid)
            become = {"user": uid, "group": gid, "extra_groups": []}
        self._errors = work / "errors"
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "faults.subject", board.path, work, *self._scenarios],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
                env=os.environ | {"PYTHONPATH": f"{TESTS.parent}:{TESTS}"}, **become,
            )  # fmt: skip
        # Before it is traced, for newuidmap(1) would have no rights then: execve(2).
        told = self._process.stdout.readline()
        assert told and json.loads(told)["kind"] == "ready", self._words()
        self._tracer = Tracer(board)
        self._tracer.attach(self._process.pid, ANSWER_FD)

    def _words(self) -> str:
        return self._errors.read_text(errors="replace")[-3000:]


def _problem(told: dict[str, Any], cell: Cell | None) -> str:
    """What is not good of it, or ""."""
    kind = told["kind"]
    if kind not in ("result", "told", *_ERRORS):
        return kind
    if (
        cell is not None
        and not cell.victim
        and cell.call.role in ("init", "stub")
        and kind == "SetupError"
    ):
        step = cell.call.step
        if step not in told["message"].lower() and step not in ("birth", "script", "serve"):
            return "the error does not name the step"
    left = told["left"]
    if cell is not None and cell.call.step.endswith(_REMOVAL) and left.keys() == {"cgroups"}:
        left = told["kept"]  # with the next job it is tried again
    if left:
        return f"left: {left}"
    is_told = cell is not None and cell.is_last and _NO_KEEPER in told["next"].get("message", "")
    if told["next"]["kind"] != "result" and not is_told:
        return f"the next job: {told['next']}"
    return ""


@contextmanager
def stand(*scenarios: str, user: str | None = None) -> Iterator[Stand]:
    """One in a directory of its own."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="faults-")))
        directory.chmod(0o755)
        found = Stand(directory, scenarios, user)
        stack.callback(found.close)
        yield found
