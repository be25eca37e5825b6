"""A supervisor to be traced: runs a scenario a command, and tells what came of it and what is left.

Started by cells.py: `python -m faults.subject BOARD DIRECTORY`. Commands come on stdin, a line of
JSON each; answers go to ANSWER_FD.
"""

import contextlib
import fcntl
import json
import os
import re
import stat
import struct
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import trio
from containment.walls import mutated_zygote
from faults.test_kills import TESTS, descendants
from faults.where import Board, tell
from supervisor.piped import AROUND, Piped, job, run_piped
from supervisor.resident import ROOMY, Outcome, Resident, resident

from sandbox.spec.errors import SandboxError
from sandbox.spec.job import Artifact, Input, Job
from sandbox.spec.policy import load_policy
from sandbox.supervisor.cgroup import find_backend
from sandbox.supervisor.identity import runtime_directory
from sandbox.supervisor.pool import Budget

__all__ = ["ANSWER_FD", "SETTLE_SECONDS", "leased", "prepare"]

ANSWER_FD = 1
SETTLE_SECONDS = 45  # longer than the supervisor itself waits for anything
_OURS_SECONDS = 10
_GETLK = 36  # F_OFD_GETLK, fcntl(2)
_SHOWS_ITSELF = b"cat /proc/self/status /proc/self/mountinfo; ls -l /proc/self/ns; echo end"
_LEAVES = b"; echo kept > /work/kept"
_EMPTY = re.compile(r"^Cap(Inh|Prm|Eff|Bnd|Amb):\t0{16}$", re.MULTILINE)
_NAMESPACE = re.compile(r"(\w+):\[(\d+)\]")
_MOUNT = re.compile(r"^\d+ \d+ \S+ \S+ (\S+ \S+) ", re.MULTILINE)


@contextmanager
def told_children(board: Path) -> Iterator[None]:
    """Keepers started in here, and all that they fork, tell where they are."""
    code = (
        f"sys.path.insert(0, {str(TESTS)!r}); import faults.where as w; "
        f"w.tell({str(board)!r}, 'keeper')"
    )
    with mutated_zygote(code):
        yield


class Subject:
    """Scenarios on one resident supervisor."""

    def __init__(self, here: Resident, board: Board, directory: Path) -> None:
        self._here, self._board = here, board
        self._kept = directory / "kept"
        self._job = Job(
            (b"/bin/sh", b"-c", _SHOWS_ITSELF + b"; cat /work/copied /bound/file" + _LEAVES),
            "default",
            inputs=(
                Input(directory / "copied", b"/work/copied", copied=True),
                Input(directory / "bound", b"/bound", copied=False),
            ),
            artifacts=(Artifact(b"/work/kept", self._kept),),
            limits={"fds": 77, "disk_bytes": 3 << 20},
        )
        self._namespaces = {str(link.readlink()) for link in Path("/proc/self/ns").iterdir()}
        self._mounts: set[str] = set()  # of all payloads, in runs without a fault
        self._before: dict[str, Any] = {}

    async def scenario(self, name: str) -> dict[str, Any]:
        """Run it; what came of it."""
        run: Callable[[], Awaitable[Callable[[], dict[str, Any]]]] = {
            "job": self._run_job,
            "terminal": self._run_terminal,
            "parked": self._run_parked,
            "pipeline": self._run_pipeline,
        }[name]
        self._kept.unlink(missing_ok=True)
        self._board.is_counted = True
        try:
            tell = await run()
            await self._destroyed()
        finally:
            self._board.is_counted = False
        return tell()

    async def _destroyed(self) -> None:
        """Wait until what is being destroyed is gone, without a system call of our own."""
        with trio.move_on_after(SETTLE_SECONDS):
            endings = self._here.supervisor._endings
            while any("_destroy" in task.name for task in endings.child_tasks):
                await trio.sleep(0.005)

    async def _run_job(self) -> Callable[[], dict[str, Any]]:
        outcome = await self._here.run(self._job)
        return lambda: self._tell(outcome, self._job)

    async def _run_terminal(self) -> Callable[[], dict[str, Any]]:
        asked = self._with_terminal()
        outcome = await self._here.run(asked)
        return lambda: self._tell(outcome, asked)

    async def _run_parked(self) -> Callable[[], dict[str, Any]]:
        """A job that finds a parked sandbox, and the refill after it."""
        asked = self._without_copies()
        outcome = await self._here.run(asked)
        with trio.move_on_after(SETTLE_SECONDS):
            await self._here.pool.filled()
        return lambda: self._tell(outcome, asked)

    def _with_terminal(self) -> Job:
        command = (b"/bin/sh", b"-c", _SHOWS_ITSELF)
        return self._job._replace(tty=True, inputs=(), artifacts=(), command=command)

    def _without_copies(self) -> Job:
        command = (b"/bin/sh", b"-c", _SHOWS_ITSELF + b"; cat /bound/file" + _LEAVES)
        return self._job._replace(inputs=self._job.inputs[1:], command=command)

    async def _run_pipeline(self) -> Callable[[], dict[str, Any]]:
        """Two that wait for each other: somebody looks at what their threads wait for."""
        limits = {"wall_seconds": 5.0}
        pair = [Piped(job("os.read(0, 1)", limits=limits)) for _ in range(2)]
        outcomes = await run_piped(self._here, pair, AROUND)
        return lambda: _tell_pair(outcomes)

    def _tell(self, outcome: Outcome, asked: Job) -> dict[str, Any]:
        text = (outcome.stdout + outcome.stderr).decode(errors="replace").replace("\r\n", "\n")
        if problem := self._unlocked(text):
            return {"kind": "UNLOCKED", "message": problem}
        if outcome.error is not None:
            return {"kind": type(outcome.error).__name__, "message": str(outcome.error)}
        result = outcome.must_end()
        message = f"{result.verdict} {result.exit_code} {result.signal} {result.evidence}"
        if (result.verdict, result.exit_code) != ("exited", 0):
            return {"kind": "wrong", "message": message}
        expected = ["Name:", "end\n"]
        for item in asked.inputs:
            expected.append("copied\n" if item.copied else "bound\n")
        if missing := [part for part in expected if part not in text]:
            return {"kind": "wrong", "message": f"stdout lacks {missing}: {text[-200:]!r}"}
        for state in result.artifacts.values():
            if state.startswith("not collected"):
                return {"kind": "told", "message": state}
            if state != "collected 5 bytes" or self._kept.read_bytes() != b"kept\n":
                return {"kind": "wrong", "message": state}
        if not self._before:
            self._mounts.update(_MOUNT.findall(text))
        return {"kind": "result", "message": message}

    def _unlocked(self, text: str) -> str:
        """What is missing in what a payload saw of itself; "" also where it said nothing yet."""
        if "\nSeccomp_filters:" not in text or "-> " not in text or "end\n" not in text:
            return ""
        if not _is_locked(text):
            return "a filter, no_new_privs or the empty capabilities"
        if {f"{name}:[{number}]" for name, number in _NAMESPACE.findall(text)} & self._namespaces:
            return "a namespace of the host's"
        mounts = set(_MOUNT.findall(text))
        if self._before and not mounts <= self._mounts:
            return f"mounts: {sorted(mounts - self._mounts)}"
        return ""

    async def settle(self) -> dict[str, str]:
        """Wait until nothing is left of the last job; what is."""
        begun = time.monotonic()
        lookout = self._here.ground.lookout
        if lookout._socket is None:  # else the next job starts it
            with contextlib.suppress(SandboxError):
                lookout._start()
        while left := self._left():
            # What is only ours is closed by then, or never.
            is_ours = left.keys() <= {"fds", "cgroups"}
            patience = _OURS_SECONDS if is_ours else SETTLE_SECONDS
            if time.monotonic() - begun > patience:
                break
            await trio.sleep(0.005)
        return left

    async def begin(self, scenarios: list[str]) -> None:
        """Each scenario once, so that all that is made once is there, and remember the state."""
        for name in scenarios:
            for _ in range(2):
                told = await self.scenario(name)
                assert told["kind"] == "result", told
                await self.settle()
            assert (await self.still_works(name))["kind"] == "result"
        await self.settle()
        self._before = self._state()

    async def still_works(self, scenario: str) -> dict[str, Any]:
        """The next job of the same template, of which nothing is made to fail."""
        asked = self._with_terminal() if scenario == "terminal" else self._job
        if scenario == "parked":
            asked = self._without_copies()
        self._kept.unlink(missing_ok=True)
        return self._tell(await self._here.run(asked), asked)

    def _state(self) -> dict[str, Any]:
        return {
            "fds": _fds(),
            "mounts": Path("/proc/self/mountinfo").read_text(),
            "files": sorted(path.name for path in runtime_directory(os.getuid()).iterdir()),
            "parked": len(self._here.idle),
            "processes": sorted(
                name for name in descendants(os.getpid()).values() if not _is_inside(name)
            ),
        }

    def _left(self) -> dict[str, str]:
        now, left = self._state(), {}
        for name, value in now.items():
            if self._before and value != self._before[name]:
                left[name] = _difference(self._before[name], value)
        parked = len(self._here.idle)
        inside = [name for name in descendants(os.getpid()).values() if _is_inside(name)]
        if len(inside) != 2 * parked:
            left["sandboxes"] = " ".join(inside)
        cgroups = {path.name for path in self._here.cgroups()}
        if len(cgroups) != parked:
            left["cgroups"] = " ".join(sorted(cgroups))
        if (held := _leases()) and not parked:
            left["lease"] = held
        return left


def _tell_pair(outcomes: list[Outcome]) -> dict[str, Any]:
    for outcome in outcomes:
        if outcome.error is not None:
            return {"kind": type(outcome.error).__name__, "message": str(outcome.error)}
    results = [outcome.must_end() for outcome in outcomes]
    verdicts = {result.verdict for result in results}
    # Where nobody could look, they meet their limit.
    kind = "result" if verdicts == {"idle"} else "told" if verdicts == {"wall_time"} else "wrong"
    return {"kind": kind, "message": "; ".join(results[0].evidence)}


def _is_inside(name: str) -> bool:
    return name in ("init", "machine", "3") or name.startswith("stub-")


def _fds() -> list[str]:
    found = []
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
        try:
            link = os.readlink(f"/proc/self/fd/{name}")  # noqa: PTH115
        except OSError:
            continue  # the listing's own
        found.append(re.sub(r"\d+", "N", link))
    return sorted(found)


def _difference(before: Any, now: Any) -> str:
    if isinstance(before, list):
        gone, new = list(before), list(now)
        for item in now:
            if item in gone:
                gone.remove(item)
                new.remove(item)
        return f"gone {gone}, new {new}"
    return f"{before!r} became {now!r}"[:500]


def _leases() -> str:
    """The ids that we ourselves hold; others of this user may hold some, too. proc_pid_fdinfo(5)"""
    found = []
    for fd in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the listing's own
            if fd.readlink().name == "leases":
                text = Path(f"/proc/self/fdinfo/{fd.name}").read_text()
                found += [line for line in text.splitlines() if line.startswith("lock:")]
    return "; ".join(found)


def leased() -> str:
    """Which id of this user somebody holds, or ""."""
    path = runtime_directory(os.getuid()) / "leases"
    if not path.exists():
        return ""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        asked = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, _, start, *_ = struct.unpack("hhqqi4x", fcntl.fcntl(fd, _GETLK, asked))
        return "" if kind == fcntl.F_UNLCK else f"id {start} is leased"
    finally:
        os.close(fd)


def prepare(directory: Path) -> None:
    """The host's files of the scenarios."""
    (directory / "copied").write_text("copied\n")
    (directory / "bound").mkdir()
    (directory / "bound" / "file").write_text("bound\n")
    for path in (directory, directory / "bound"):
        path.chmod(path.stat().st_mode | stat.S_IRGRP | stat.S_IROTH | stat.S_IXGRP | stat.S_IXOTH)


async def serve(board: Board, directory: Path, scenarios: list[str]) -> None:
    """Answer commands until stdin ends."""
    budget: Budget | None = ROOMY if "parked" in scenarios else None
    async with resident(budget, patience=float("inf")) as here:
        subject = Subject(here, board, directory)
        await subject.begin(scenarios)
        _answer({"kind": "ready"})
        while line := sys.stdin.readline():
            name = json.loads(line)["scenario"]
            told = await _guarded(lambda name=name: subject.scenario(name))
            told["left"] = await subject.settle()
            told["next"] = await _guarded(lambda name=name: subject.still_works(name))
            told["kept"] = await subject.settle()
            _answer(told)


def start_once(board: Board, directory: Path) -> dict[str, Any]:
    """A supervisor for one job: how it takes its ground, and how it gives it back."""
    output = directory / "output"
    output.touch()
    backend = find_backend(os.getuid())  # later we may be locked
    bases = backend.path.split()
    backend.close()
    before = _state_of_start()
    try:
        told = _run_one(board, output)
    except SandboxError as error:
        told = {"kind": type(error).__name__, "message": str(error)}
    except Exception as error:
        told = {"kind": f"raw {type(error).__name__}", "message": traceback.format_exc()}
    seen = output.read_text()
    if "\nNoNewPrivs" in seen and not _is_locked(seen):
        told["kind"] = "UNLOCKED"
    end = time.monotonic() + SETTLE_SECONDS
    while (
        (left := _left_of_start(before, bases)) and time.monotonic() < end and left.keys() - {"fds"}
    ):
        time.sleep(0.01)  # an init that was half made ends by itself
    return told | {"left": left, "next": {"kind": "result"}}


def _run_one(board: Board, output: Path) -> dict[str, Any]:
    # All that is imported on the way, which is not looked at.
    from sandbox.cli.inprocess import run_job
    from sandbox.supervisor import ahead, compiler, privileges  # noqa: F401

    asked = Job((b"/usr/bin/cat", b"/proc/self/status"), "native")
    policy = load_policy(asked.policy)
    with output.open("wb") as file:
        board.is_counted = True
        try:
            fd = file.fileno()
            result = run_job(asked, policy, stdin_fd=None, stdout_fd=fd, stderr_fd=fd)
        finally:
            board.is_counted = False
    message = f"{result.verdict} {result.exit_code} {result.identity['why']}"
    is_good = (result.verdict, result.exit_code) == ("exited", 0)
    return {"kind": "result" if is_good else "wrong", "message": message}


def _is_locked(seen: str) -> bool:
    has_filter = "\nSeccomp:\t2\n" in seen and "\nNoNewPrivs:\t1\n" in seen
    return has_filter and len(_EMPTY.findall(seen)) == 5


def _state_of_start() -> tuple[list[str], str]:
    return _fds(), Path("/proc/self/mountinfo").read_text()


def _left_of_start(before: tuple[list[str], str], bases: list[str]) -> dict[str, str]:
    """What a supervisor that has ended left in its process and on the host."""
    left = {}
    for name, old, new in zip(("fds", "mounts"), before, _state_of_start(), strict=True):
        if old != new:
            left[name] = _difference(old, new)
    if names := list(descendants(os.getpid()).values()):
        left["processes"] = " ".join(names)
    if held := _leases():
        left["lease"] = held
    if runs := {p for base in bases for p in Path(base).glob(f"sandbox-run-{os.getpid()}-*")}:
        left["cgroups"] = " ".join(map(str, runs))
    return left


async def _guarded(run: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
    try:
        return await run()
    except SandboxError as error:  # before there was a job
        return {"kind": type(error).__name__, "message": str(error)}
    except Exception as error:
        return {"kind": f"raw {type(error).__name__}", "message": traceback.format_exc()}


def _answer(told: dict[str, Any]) -> None:
    os.write(ANSWER_FD, json.dumps(told).encode() + b"\n")


if __name__ == "__main__":
    path, where, *names = sys.argv[1:]
    with told_children(Path(path)):
        tell(path, "supervisor")
        if names == ["start"]:
            _answer({"kind": "ready"})
            sys.stdin.readline()
            _answer(start_once(Board(path), Path(where)))
        else:
            trio.run(serve, Board(path), Path(where), names)
