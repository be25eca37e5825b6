"""Controls: the very same attack without a sandbox, to show that it works on this host."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import struct
import subprocess
from pathlib import Path

from sandbox.attack.attack import USERNS, Attack
from sandbox.attack.image import script_image
from sandbox.attack.script import ANY, THROUGH, AttackScript, Made, read_output
from sandbox.attack.targets import LEAKED_FD, Targets, write_program

__all__ = ["run_control"]

_SECONDS = 20  # no attack takes one
# CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET}, <linux/sched.h>
_NAMESPACES = 0x20000 | 0x2000000 | 0x4000000 | 0x8000000 | 0x10000000 | 0x20000000 | 0x40000000
_MS_REC, _MS_PRIVATE = 1 << 14, 1 << 18
_PR_SET_PDEATHSIG, _SIGKILL, _SIGCHLD = 1, 9, 17


def run_control(attack: Attack, program: Path, steps: list[Made], targets: Targets) -> str:
    """Run a program the way that the attack's control says; "" if it works, else why not."""
    started = _launcher(program, targets) if attack.control == USERNS else program
    directory = targets.directory / "control"
    directory.mkdir(exist_ok=True)
    output = _run(started, directory)
    if THROUGH in output:
        if attack.artifact is None or program.name != attack.name:
            return ""
        # As who would collect it with the rights of this user, and follows links.
        found = directory / os.fsdecode(attack.artifact)
        return "" if found.read_bytes() == targets.token else "what is found there is another"
    stop = read_output(output)
    if stop is None:
        alone = ", or there are no namespaces for this user" if attack.control == USERNS else ""
        return f"it was killed{alone}"
    reason = os.strerror(stop.errno) if stop.errno else "it yields nothing"
    return f"{steps[stop.step - 1].call}: {reason}"


def _run(program: Path, directory: Path) -> bytes:
    """What it writes until it ends; what it leaves behind is killed."""
    with subprocess.Popen(
        [program],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={},
        cwd=directory,
        pass_fds=(LEAKED_FD,),
        start_new_session=True,
    ) as process:
        pidfd = os.pidfd_open(process.pid)
        select.select([pidfd], [], [], _SECONDS)
        os.close(pidfd)
        # Until it is waited for, nobody else can have its number, which is its process group's.
        os.killpg(process.pid, signal.SIGKILL)
        try:
            return process.communicate(timeout=_SECONDS)[0]
        except subprocess.TimeoutExpired as error:  # somebody else holds its stdout
            return error.stdout or b""


def _launcher(program: Path, targets: Targets) -> Path:
    """A program that makes the namespaces, and starts the attack as process 2 in them."""
    path = targets.directory / "launcher"
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    script = AttackScript()
    script.report_fd = 2  # its steps are not the attack's
    arguments = script.memory(struct.pack("<8Q", 0, 0, 0, 0, _SIGCHLD, 0, 0, 0))
    script.call("unshare", _NAMESPACES)
    for name, text in (
        (b"setgroups", b"deny"),
        (b"uid_map", b"0 %d 1" % os.getuid()),
        (b"gid_map", b"0 %d 1" % os.getgid()),
    ):
        fd = script.open_path(b"/proc/self/" + name, os.O_WRONLY)
        script.call("write", fd, script.data(text), len(text))
        script.close(fd)
    script.call("mount", 0, b"/", 0, _MS_REC | _MS_PRIVATE, 0)
    init, payload = script.label(), script.label()
    script.fork(arguments, 64, init, ANY)
    script.call("wait4", -1, 0, 0, 0)
    script.call("exit_group", 0)
    script.place(init, range(3))
    script.call("prctl", _PR_SET_PDEATHSIG, _SIGKILL)
    script.call("mount", b"proc", b"/proc", b"proc", 0, 0)
    script.fork(arguments, 64, payload, 2)
    script.call("wait4", -1, 0, 0, 0)
    script.call("exit_group", 0)
    script.place(payload, range(3))
    argv = script.memory(bytes(16))
    script.point(argv, script.data(os.fsencode(program) + b"\0"))
    script.call("execve", os.fsencode(program), argv, argv + 8)
    write_program(path, script_image(script.pack()))
    return path
