"""What was found in a host, in the few words that the document has and the tests compare."""

import re
import sys
from typing import Any, NamedTuple

from hosts.visit import CHECKOUT, ordinary_user

__all__ = ["Found", "summary"]

_SHOWN = ("memory", "processes", "cpus")


class Found(NamedTuple):
    """One row of the document."""

    kernel: str
    place: str  # the version of cgroup, and what container it takes itself for
    default: str  # "runs", or what was said
    degraded: str  # the same of a job with --allow-degraded; "" where default jobs run
    walls: dict[str, str]  # the state of each that is not up
    grades: dict[str, str]  # of the limits that the kernel may hold; empty where nothing ran
    verdicts: dict[str, str]  # of a job over its memory, and of one over its processes
    fixes: list[str]  # all that the doctor tells


def summary(examined: dict[str, Any]) -> Found:
    """Of what examine.py printed. AssertionError: the doctor and the jobs do not agree."""
    doctor, jobs = examined["doctor"], examined["jobs"]
    assert "failed" not in doctor, doctor["failed"]
    host = doctor["host"]
    default = _outcome(jobs["default"])
    degraded = _outcome(jobs["degraded"]) if "degraded" in jobs else ""
    assert doctor["ok"] == (default == "runs"), f"doctor: ok is {doctor['ok']}, the job: {default}"
    rows = [*doctor["walls"].values(), *doctor["limits"].values()]
    if not any(row["state"] == "missing" for row in doctor["walls"].values()):
        rows.append(doctor["job"])
    fixes = [line for row in rows for line in row["fix"].splitlines()]
    walls = {n: row["state"] for n, row in doctor["walls"].items() if row["state"] != "up"}
    for job in jobs.values():  # no wall is lost of which the doctor said nothing
        lost = {name for name, state in (job["walls"] or {}).items() if state != "up"}
        assert lost <= set(walls), f"the Result lacks {lost}, the doctor: {walls}"
    grades = (jobs["default"]["grades"] or jobs.get("degraded", {}).get("grades")) or {}
    return Found(
        kernel=examined["kernel"],
        place=f"cgroup {host['cgroups']}, {host['container'] or 'no container'}",
        default=default,
        degraded=degraded,
        walls=walls,
        grades={name: grades[name] for name in _SHOWN if name in grades},
        verdicts={n: jobs[n]["verdict"] for n in ("memory", "processes") if n in jobs},
        fixes=[*dict.fromkeys(map(_plain, fixes))],
    )


def _outcome(job: dict[str, Any]) -> str:
    if job["verdict"] == "exited" and job["exit_code"] == 0:
        return "runs"
    return _plain(job["said"]).removeprefix("sandbox: ") or f"exit code {job['exit_code']}"


def _plain(text: str) -> str:
    """Without what is this machine's own: its user, its paths."""
    user = ordinary_user()
    text = re.sub(rf"env PYTHONPATH={CHECKOUT} \S+ -P -m sandbox", "sandbox", text)
    text = text.replace(sys.executable, "python3")
    text = re.sub(rf"\b{user.pw_name}\b", "alice", text)
    text = re.sub(rf"\b{user.pw_uid}\b", "1000", text)
    return re.sub(r"(/proc/|echo |!= )\d+\b", r"\1N", text)  # a process, and when it began
