"""Making a host of a cell, and asking what is there."""

import json
import os
import pwd
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hosts.cell import ROOT, Cell

from sandbox.supervisor.identity import find_ranges

__all__ = ["CHECKOUT", "HERE", "missing", "ordinary_user", "visit"]

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]
_PATIENCE_SECONDS = 1500
# The script ends with 1 where it has something to do, and what it does may be repeated.
_ROUND = """
{doctor} > {file} || [ $? = 1 ]
sh {file} >&2
sh {file} >&2
"""
_EXAMINE = (sys.executable, "-B", str(HERE / "examine.py"), str(CHECKOUT))


def visit(cell: Cell) -> dict[str, Any]:
    """What examine.py prints in that host. AssertionError: it printed nothing."""
    with tempfile.TemporaryDirectory(prefix="hosts-", ignore_cleanup_errors=True) as directory:
        user = ordinary_user()
        Path(directory).chmod(0o1777)
        command = _command(cell, user, directory)
        environment = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/root" if cell.as_root else user.pw_dir,
            "LANG": "C.UTF-8",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": str(CHECKOUT),
        }
        with subprocess.Popen(
            command, env=environment, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, start_new_session=True,
        ) as process:  # fmt: skip
            try:
                stdout, stderr = process.communicate(timeout=_PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                stdout, stderr = process.communicate()
    text = stderr.decode(errors="replace")
    assert stdout.strip(), f"{cell.name}: exit code {process.returncode}: {text}"
    found: dict[str, Any] = json.loads(stdout)
    return found


def missing(cell: Cell) -> str:
    """What this host lacks to make that one, or ""."""
    if cell.by == ROOT and os.geteuid() != 0:
        return "only root can make it"
    if cell.guest and shutil.which("linux.uml") is None:
        return "no guest kernel; apt-get install user-mode-linux busybox-static uidmap"
    lacking = [name for name in cell.needs if shutil.which(name) is None]
    return f"not installed: {', '.join(lacking)}" if lacking else ""


def ordinary_user() -> pwd.struct_passwd:
    """Whom jobs are run by: us; for root the checkout's owner, or a user with ids for jobs."""
    if name := os.environ.get("HOSTS_USER"):
        return pwd.getpwnam(name)
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid())
    owner = HERE.stat().st_uid
    if owner:
        return pwd.getpwuid(owner)
    for account in pwd.getpwall():
        prepared = Path(f"/var/lib/sandbox/setup/{account.pw_uid}.json").exists()
        if account.pw_uid and prepared and find_ranges(account.pw_uid, account.pw_gid):
            return account
    raise AssertionError("no user of this host was prepared by `sandbox setup`")


def _command(cell: Cell, user: pwd.struct_passwd, directory: str) -> list[str]:
    values = {
        "python": sys.executable, "prefix": sys.prefix, "here": str(HERE), "scratch": directory,
        "checkout": str(CHECKOUT), "user": user.pw_name, "uid": str(user.pw_uid),
    }  # fmt: skip
    words = [word.format(**values) for word in cell.words]
    each = [word.format(**values) for word in cell.each]
    inner = [*words, *_EXAMINE, *each]
    ids = ["--reuid", user.pw_name, "--regid", str(user.pw_gid), "--init-groups"]
    drop = [] if cell.as_root or os.geteuid() != 0 else ["setpriv", *ids]
    if cell.by != ROOT:
        return [*drop, *inner]
    root_words = [word.format(**values) for word in cell.root_words]
    whole = shlex.join([*root_words, *drop, *inner])
    doctor = [*root_words, *drop, *each, sys.executable, "-B", "-m", "sandbox", "doctor", "--fix"]
    fixes = _ROUND.format(doctor=shlex.join(doctor), file=f"{directory}/fix") * cell.rounds
    prepare = cell.prepare
    for name, value in values.items():  # not format(): a shell has braces of its own
        prepare = prepare.replace(f"{{{name}}}", value)
    pids = ["--pid", "--fork", "--kill-child", "--mount-proc"] if cell.own_pids else []
    script = f"set -e\n{prepare}\n{fixes}exec {whole}"
    return ["unshare", "--mount", "--propagation", "private", *pids, "sh", "-c", script]
