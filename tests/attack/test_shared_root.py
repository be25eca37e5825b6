"""Jobs of one policy share the mounted root, and with it the kernel's inodes: what that tells."""

import errno
from pathlib import Path

import pyseccomp
import pytest
import trio
from supervisor.bpf import Call, run

import sandbox
from sandbox.spec.policy import load_policy, policy_names
from sandbox.supervisor.seccomp import ARCH, compile_filter

ALLOW = 0x7FFF0000
WATCHES = """
extends = "native"
why = "the control: a policy that lets jobs watch files"
[[syscalls]]
allow = ["inotify_init1", "inotify_add_watch"]
why = "watching"
"""
SPY = """
import ctypes, os, select, sys
libc = ctypes.CDLL(None, use_errno=True)
fd = libc.inotify_init1(0)
if fd < 0 or libc.inotify_add_watch(fd, b"/usr/bin", 0x20) < 0:  # IN_OPEN
    print(ctypes.get_errno())
    sys.exit()
print("watches", flush=True)
seen = b""
while b"sha256sum" not in seen and select.select([fd], [], [], 30)[0]:
    seen += os.read(fd, 65536)
print(b"sha256sum" in seen)
"""


def spied(policy: str) -> str:
    """What a job saw that watches, while another one executes sha256sum."""
    output = ""
    watches = trio.Event()

    async def sink(_stream: str, data: bytes) -> None:
        nonlocal output
        output += data.decode()
        watches.set()

    async def main() -> None:
        async with sandbox.Supervisor() as supervisor, trio.open_nursery() as nursery:

            async def spy() -> None:
                await supervisor.run(["python3", "-c", SPY], policy=policy, sink=sink)
                watches.set()

            nursery.start_soon(spy)
            await watches.wait()
            await supervisor.run(["sha256sum", "/dev/null"], policy=policy)

    trio.run(main)
    return output


def test_a_job_does_not_see_which_files_other_jobs_open(tmp_path: Path, leftovers: None) -> None:
    policy = tmp_path / "watches.toml"
    policy.write_text(WATCHES)
    assert spied(str(policy)) == "watches\nTrue\n", "control: who may watch sees it"
    assert spied("default") == f"{errno.ENOSYS}\n"


@pytest.mark.parametrize("policy", policy_names())
def test_no_policy_lets_a_job_watch_files(policy: str) -> None:
    program = compile_filter(load_policy(policy), listener=True).program

    def answer(call: str, *arguments: int) -> int:
        number = pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, call)
        return run(program, Call(ARCH, number, (*arguments, *[0] * (6 - len(arguments)))))

    for call in ("inotify_init", "inotify_init1", "inotify_add_watch", "fanotify_init"):
        assert answer(call) != ALLOW
    assert answer("fcntl", 3, 0x402) != ALLOW  # F_NOTIFY
    assert policy == "strict" or answer("fcntl", 3, 3) == ALLOW  # F_GETFL
