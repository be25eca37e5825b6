"""The control of syscalls.py: the same calls where nothing holds them, and what is then seen.

`python -m fuzz.syscall_control`, as an ordinary user: in namespaces that are thrown away, without
filter and sandbox. A look that saw nothing here would see nothing of an escape.
"""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from fuzz.syscall_host import Canary, differences, facts
from fuzz.syscall_shapes import HEAVY, table
from fuzz.syscalls import build
from sandbox.kernel.mounts import mount
from sandbox.kernel.processes import unshare

__all__ = ["main"]

_ROUNDS = 8
_MILLISECONDS = 500
_PATIENCE_SECONDS = 60
_CLONE_NEW = 0x7E020000  # every namespace but time
# What would take away the tmpfs over the places of the host that everybody may write.
_VIEW = frozenset({"chroot", "mount", "move_mount", "pivot_root", "setns", "umount2"})
_KINDS = {
    "files": "/tmp/", "ipc": "System V", "names": "/kernel/hostname", "processes": "process",
}  # fmt: skip


def main() -> int:
    """Make calls until each kind of harm was seen, and print what was seen; 1: not all."""
    seen: set[str] = set()
    with tempfile.TemporaryDirectory(dir="/var/tmp") as directory:
        Path(directory).chmod(0o755)
        program = build(Path(directory))
        for number in range(_ROUNDS):
            seen |= _apart(number, program)
            if seen == set(_KINDS):
                break
    print(f"seen: {' '.join(sorted(seen))}; not seen: {' '.join(sorted(set(_KINDS) - seen))}")
    return 0 if seen == set(_KINDS) else 1


def _apart(number: int, program: Path) -> set[str]:
    """A round in namespaces of its own: it leaves them in no state for another."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        code = 0
        try:
            code = _in_namespaces(number, program)
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return {kind for at, kind in enumerate(_KINDS) if code > 0 and code >> at & 1}


def _in_namespaces(number: int, program: Path) -> int:
    uid, gid = os.getuid(), os.getgid()
    os.setsid()  # signals to a group or session heed no pid namespace
    unshare(_CLONE_NEW)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
    Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    init = os.fork()
    if init:
        return max(0, os.waitstatus_to_exitcode(os.waitpid(init, 0)[1]))
    # Pid 1 of the namespaces: from inside only signals reach it that it has handlers for.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.setsid()
    mount(b"proc", b"/proc", b"proc")
    for place in (b"/tmp", b"/dev/shm"):
        mount(b"tmpfs", place, b"tmpfs")
    canary = Canary().__enter__()  # it goes with the namespaces
    before = facts()
    calls = table(HEAVY | _VIEW, foreign=False)
    command = [program, str(number), str(_MILLISECONDS), "2", "3", calls, canary.names]
    subprocess.run(
        command, cwd="/tmp", start_new_session=True, timeout=_PATIENCE_SECONDS,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    seen = 0
    for one in [*canary.changes(), *differences(before, facts())]:
        print(f"round {number}: {one[:300]}", flush=True)
        seen |= sum(1 << at for at, word in enumerate(_KINDS.values()) if word in one)
    return seen


if __name__ == "__main__":
    sys.exit(main())
