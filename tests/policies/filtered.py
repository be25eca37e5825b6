"""Runs calls and programs under a policy's filter alone: no namespace, mount or cgroup around."""

import ctypes
import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from sandbox.kernel.confinement import seccomp_load
from sandbox.kernel.processes import prctl
from sandbox.spec.policy import load_policy
from sandbox.supervisor.seccomp import ARCH, compile_filter

__all__ = ["ARCH", "errno_of", "filter_loader", "libc_syscall", "run_program"]

_PR_SET_NO_NEW_PRIVS = 38
_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def libc_syscall(number: int, *arguments: int) -> int:
    """One system call with plain numbers; its errno, or 0."""
    wide = (ctypes.c_long(value) for value in (number, *arguments))
    return ctypes.get_errno() if _libc.syscall(*wide) == -1 else 0


def filter_loader(policy: str | None) -> Callable[[], None]:
    """What loads the filter into the process that calls it; compiled before, in this one."""
    if policy is None:
        return lambda: None
    program = compile_filter(load_policy(policy), listener=False).program

    def load() -> None:
        prctl(_PR_SET_NO_NEW_PRIVS, 1)
        seccomp_load(program, listener=False)

    return load


def errno_of(attack: Callable[[], int], policy: str | None) -> int | str:
    """What `attack` returns in a process under the filter, or "kill" if it dies of the call."""
    load = filter_loader(policy)
    pid = os.fork()
    if pid == 0:
        load()
        os._exit(attack())
    status = os.waitpid(pid, 0)[1]
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGSYS
        return "kill"
    return os.WEXITSTATUS(status)


def run_program(
    policy: str | None,
    argv: list[str],
    *,
    cwd: Path,
    stdin: bytes = b"",
    environment: Mapping[str, str] = {},
) -> subprocess.CompletedProcess[bytes]:
    """Execute `argv` under the filter, with the policy's environment where `cwd` stands for it."""
    variables = {} if policy is None else load_policy(policy).environment
    shown = {os.fsdecode(name): os.fsdecode(value) for name, value in variables.items()}
    places = {"HOME": cwd, "TMPDIR": cwd, "GOCACHE": cwd / "cache", "GOPATH": cwd / "go"}
    return subprocess.run(
        argv,
        cwd=cwd,
        input=stdin,
        env={"PATH": "/usr/bin:/bin", **shown, **{k: str(v) for k, v in places.items()}}
        | environment,
        preexec_fn=filter_loader(policy),
        capture_output=True,
    )
