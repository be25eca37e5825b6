"""`sandbox doctor`: what this host can do for jobs, wall by wall, and the fix for each gap."""

import json as json_format
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from signal import Signals
from typing import Any, NamedTuple

from sandbox.spec.errors import SandboxError
from sandbox.spec.job import Job
from sandbox.spec.policy import limits_for, load_policy
from sandbox.supervisor import cgroup
from sandbox.supervisor.attempts import Attempts, attempt
from sandbox.supervisor.diagnosis import Row, limit_rows, wall_rows
from sandbox.supervisor.fix import Fix, as_script, split_fix
from sandbox.supervisor.host import facts
from sandbox.supervisor.identity import Identities, plan_base_map, runtime_directory
from sandbox.supervisor.planner import grades_of
from sandbox.supervisor.privileges import check_rights, choose_root_map
from sandbox.supervisor.quota_gaps import quota_fix

__all__ = ["Examination", "Trial", "document", "examine", "main", "report", "try_job"]

_PACKAGES = Path(__file__).resolve().parents[2]
_TRIAL_SECONDS = 120  # of emulated hosts, too
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

    def fixes(self) -> list[Fix]:
        """Each fix once; the job's own only where no missing wall explains what became of it."""
        rows = [*self.walls.values(), *self.limits.values()]
        if not any(row.state == "missing" for row in self.walls.values()):
            rows.append(self.job)
        return [*dict.fromkeys(fix for row in rows for fix in row.fixes)]


def main(json: bool, fix: bool = False) -> int:
    """Examine this host as the user who asks, and print it; 0 where default jobs can run, else 1.

    As root: what jobs of root's runner, which drops to an id that owns nothing, would have.
    `fix`: print the commands that close each gap, for a root shell, instead; 0 where there is none.
    """
    found = examine(try_job)
    fixes = found.fixes()
    if json:
        print(json_format.dumps(_fix_documents(fixes) if fix else document(found), indent=1))
    elif not fix:
        print(report(found))
    elif fixes:
        print(as_script(fixes, os.geteuid()))
    return 0 if (not fixes if fix else found.ok) else 1


def document(found: Examination) -> dict[str, Any]:
    """The examination for programs; `fix` is a fix for people, `fixes` the same as data."""
    rows = {
        part: {name: _row_document(row) for name, row in rows.items()}
        for part, rows in (("walls", found.walls), ("limits", found.limits))
    }
    return {"ok": found.ok, "host": found.host, **rows, "job": _row_document(found.job)}


def _fix_documents(fixes: Sequence[Fix]) -> list[dict[str, Any]]:
    """Each with its keys: why, commands, costs, advice."""
    return [fix._asdict() for fix in fixes]


def examine(try_job: Callable[[], Trial]) -> Examination:
    """Ask the kernel, try each namespace in a child, look for a cgroup subtree, run a job."""
    host = facts()
    attempts: Attempts | None = None
    problem = ""
    is_root = os.geteuid() == 0
    try:
        if is_root:
            check_rights()
        base = choose_root_map() if is_root else plan_base_map(os.getuid(), os.getgid())
        attempts = attempt(base)
        if attempts.base.ranges is not None and not is_root:  # root has /run
            Identities(attempts.base.ranges, runtime_directory(base.uid)).lease().release()
    except SandboxError as error:
        problem = str(error)
    if is_root:
        trial = try_job()
        quotas, limits = _root_quotas(trial)
    else:
        quotas, limits, trial = _quotas(try_job)
    return Examination(
        host=host._asdict(),
        walls=wall_rows(host, attempts, problem, quotas),
        limits=limits,
        job=_row_of("up" if trial.ran else "missing", trial.said),
    )


def try_job() -> Trial:
    """Run `true` under the default policy and limits, by a runner of its own."""
    command = [sys.executable, "-m", "sandbox", "run", "--json", "--", "true"]
    path = os.pathsep.join(filter(None, (os.fspath(_PACKAGES), os.environ.get("PYTHONPATH"))))
    try:
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
    if done.returncode < 0:
        return Trial(False, f"the runner was killed by {Signals(-done.returncode).name}", {})
    try:
        result = json_format.loads(done.stdout)
    except ValueError:
        last = said.rpartition("\nsandbox: ")[2]  # a zygote may have spoken before
        return Trial(False, last.removeprefix("sandbox: "), {})
    ran = done.returncode == 0 and result["verdict"] == "exited"
    return Trial(ran, "ran to its end" if ran else said, result["grades"])


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


def _quotas(try_job: Callable[[], Trial]) -> tuple[Row, dict[str, Row], Trial]:
    try:
        backend = cgroup.find_backend(os.geteuid())
    except SandboxError as error:
        fix = quota_fix(str(error), os.geteuid(), os.getppid())
        return Row("missing", split_fix(str(error))[0], (fix,)), {}, try_job()
    try:
        # While we are out of its way: beside us in a cgroup v2 of its own, a runner could not
        # limit its jobs, as it can where it was started in our place.
        return *_limits(backend), try_job()
    finally:
        backend.close()


def _limits(backend: cgroup.Backend) -> tuple[Row, dict[str, Row]]:
    policy = load_policy("default")
    # All of them set, so that each shows who would enforce it.
    limits = limits_for(Job((b"true",)), policy)._replace(cpu_seconds=1.0, idle_seconds=1.0, core=0)
    rows = limit_rows(grades_of(limits, backend), backend.gaps, os.geteuid())
    weak = [n for n in ("memory", "processes") if rows[n].state != "kernel"]
    first, *more = backend.path.split()
    others = f" and {len(more)} more" if more else ""
    detail = f"cgroup v{backend.version}: {backend.how}, {first}{others}"
    detail += "".join(f"; {what}: {instead}" for what, instead in backend.stand_ins.items())
    if weak:
        return Row("missing", f"{detail}; not for {', '.join(weak)}", rows[weak[0]].fixes), rows
    return Row("up", detail), rows


def _root_quotas(trial: Trial) -> tuple[Row, dict[str, Row]]:
    # Root's subtree is claimed by the runner that will use it; the trial's did.
    if not trial.grades:
        return _row_of("missing", trial.said), {}
    unset = {n: "not set by the default policy" for n, g in trial.grades.items() if g == "none"}
    row = Row("up", "claimed by each runner, for the id that it drops to")
    return row, limit_rows(trial.grades, unset, os.geteuid())


def _row_of(state: str, said: str) -> Row:
    detail, told = split_fix(said)
    return Row(state, detail, (Fix(detail, advice=told),) if told else ())


def _row_document(row: Row) -> dict[str, Any]:
    return {**row._asdict(), "fix": row.fix, "fixes": _fix_documents(row.fixes)}


def _lines(name: str, row: Row) -> list[str]:
    lines = [f"  {name:{_NAME_WIDTH}} {row.state:{_STATE_WIDTH}} {row.detail}"]
    indent = " " * (_NAME_WIDTH + _STATE_WIDTH + 4)
    lines += [f"{indent}fix: {line}" for line in row.fix.splitlines()]
    return lines
