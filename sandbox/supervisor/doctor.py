"""`sandbox doctor`: what this host can do for jobs, wall by wall, and the fix for each gap."""

import contextlib
import json as json_format
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from sandbox.spec.errors import SandboxError
from sandbox.spec.job import Job
from sandbox.spec.policy import limits_for, load_policy
from sandbox.supervisor import cgroup
from sandbox.supervisor.attempts import Attempts, attempt
from sandbox.supervisor.diagnosis import Row, limit_rows, split_fix, wall_rows
from sandbox.supervisor.host import facts
from sandbox.supervisor.identity import plan_base_map
from sandbox.supervisor.planner import grades_of
from sandbox.supervisor.privileges import choose_root_map

__all__ = ["Examination", "Trial", "examine", "main", "report", "try_job"]

_PACKAGES = Path(__file__).resolve().parents[2]
_TRIAL_SECONDS = 60
_STATE_WIDTH, _NAME_WIDTH = 9, 11


class Trial(NamedTuple):
    """What became of one default job, run as any caller would run it."""

    ran: bool
    said: str  # the runner's last words
    grades: Mapping[str, str]


class Examination(NamedTuple):
    """All that was found. `host`: facts; the keys of the rest are those of a Result."""

    host: Mapping[str, Any]
    walls: Mapping[str, Row]
    limits: Mapping[str, Row]
    job: Row

    @property
    def ok(self) -> bool:
        """Whether default jobs can run."""
        return self.job.state == "up"


def main(json: bool) -> int:
    """Examine this host as the user who asks, and print it; 0 where default jobs can run, else 1.

    As root: what jobs of root's runner, which drops to an id that owns nothing, would have.
    """
    found = examine(try_job())
    if json:
        document = {"ok": found.ok, **found._asdict()}
        document |= {
            part: {name: row._asdict() for name, row in rows.items()}
            for part, rows in (("walls", found.walls), ("limits", found.limits))
        }
        document["job"] = found.job._asdict()
        print(json_format.dumps(document, indent=1))
    else:
        print(report(found))
    return 0 if found.ok else 1


def examine(trial: Trial) -> Examination:
    """Ask the kernel, try each namespace in a child, and look for a cgroup subtree."""
    host = facts()
    attempts: Attempts | None = None
    problem = ""
    is_root = os.geteuid() == 0
    try:
        base = choose_root_map() if is_root else plan_base_map(os.getuid(), os.getgid())
        attempts = attempt(base)
    except SandboxError as error:
        problem = str(error)
    quotas, limits = _root_quotas(trial) if is_root else _quotas()
    return Examination(
        host=host._asdict(),
        walls=wall_rows(host, attempts, problem, quotas),
        limits=limits,
        job=Row("up" if trial.ran else "missing", *split_fix(trial.said)),
    )


def try_job() -> Trial:
    """Run `true` under the default policy and limits, by a runner of its own."""
    command = [sys.executable, "-m", "sandbox", "run", "--json", "--", "true"]
    path = os.pathsep.join(filter(None, (os.fspath(_PACKAGES), os.environ.get("PYTHONPATH"))))
    try:
        with _out_of_the_way():
            done = subprocess.run(
                command,
                env={**os.environ, "PYTHONPATH": path},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_TRIAL_SECONDS,
            )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Trial(False, f"the runner did not end: {error}", {})
    said = os.fsdecode(done.stderr).strip()
    try:
        result = json_format.loads(done.stdout)
    except ValueError:
        last = said.rpartition("\nsandbox: ")[2]  # a zygote may have spoken before
        return Trial(False, last.removeprefix("sandbox: "), {})
    ran = done.returncode == 0 and result["verdict"] == "exited"
    return Trial(ran, "ran to its end" if ran else said, result["grades"])


@contextlib.contextmanager
def _out_of_the_way() -> Iterator[None]:
    """Leave our cgroup for one below it: a runner has no use for one that others are in."""
    backend = None
    with contextlib.suppress(SandboxError):  # which the trial will meet too
        if os.geteuid() != 0:
            backend = cgroup.find_backend(os.geteuid())
    try:
        yield
    finally:
        if backend is not None:
            backend.close()


def report(found: Examination) -> str:
    """The examination as a table for people."""
    host = found.host
    root = ", as root, whose runner drops for good" if os.geteuid() == 0 else ""
    place = f", in {host['container']}" if host["container"] else ""
    lines = [
        f"Linux {host['kernel']} on {host['machine']}, {host['cores']} cores, "
        f"cgroup {host['cgroups']}{place}; uid {os.geteuid()}{root}",
        "",
        "walls",
    ]
    for name, row in found.walls.items():
        lines += _lines(name, row)
    if found.limits:
        lines += ["", "limits"]
    for name, row in found.limits.items():
        lines += _lines(name, row)
    lines += ["", "a default job"]
    lines += _lines("true", found.job)
    lines += ["", "default jobs can run" if found.ok else "default jobs cannot run here"]
    return "\n".join(lines)


def _quotas() -> tuple[Row, dict[str, Row]]:
    try:
        backend = cgroup.find_backend(os.geteuid())
    except SandboxError as error:
        return Row("missing", *split_fix(str(error))), {}
    try:
        policy = load_policy("default")
        # All of them set, so that each shows who would enforce it.
        limits = limits_for(Job((b"true",)), policy)._replace(
            cpu_seconds=1.0, idle_seconds=1.0, core=0
        )
        rows = limit_rows(grades_of(limits, backend), backend.gaps)
        weak = [n for n in ("memory", "processes") if rows[n].state != "kernel"]
        first, *more = backend.path.split()
        others = f" and {len(more)} more" if more else ""
        detail = f"cgroup v{backend.version}: {backend.how}, {first}{others}"
        if weak:
            return Row("missing", f"{detail}; not for {', '.join(weak)}", rows[weak[0]].fix), rows
        return Row("up", detail), rows
    finally:
        backend.close()


def _root_quotas(trial: Trial) -> tuple[Row, dict[str, Row]]:
    # Root's subtree is claimed by the runner that will use it; the trial's did.
    if not trial.grades:
        return Row("missing", *split_fix(trial.said)), {}
    unset = {n: "not set by the default policy" for n, g in trial.grades.items() if g == "none"}
    row = Row("up", "claimed by each runner, for the id that it drops to")
    return row, limit_rows(trial.grades, unset)


def _lines(name: str, row: Row) -> list[str]:
    lines = [f"  {name:{_NAME_WIDTH}} {row.state:{_STATE_WIDTH}} {row.detail}"]
    if row.fix:
        indent = " " * (_NAME_WIDTH + _STATE_WIDTH + 4)
        lines.append(textwrap.indent(f"fix: {row.fix}".rstrip(), indent))
    return lines
