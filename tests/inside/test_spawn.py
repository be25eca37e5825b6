"""How the zygote calls the machine: its child executes it, and the caller comes back whole."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import sandbox
from sandbox.kernel.processes import CLONE_NEWUSER

PROGRAM = """
import os, socket, struct, sys
sys.path.insert(0, sys.argv[1])
from sandbox.inside.machine import SPAWN_AT, machine_image
from sandbox.inside.script import Script
from sandbox.kernel.processes import CAPABILITY_VERSION_3, CLONE_VFORK, CLONE_VM
from sandbox.zygote.spawn import Spawner, move_up

ours, theirs = (move_up(end.detach()) for end in socket.socketpair())
os.dup2(theirs, 4)
os.close(theirs)
spawner = Spawner(machine_image(), SPAWN_AT)
for flags in map(int, sys.argv[2:]):
    try:
        pid, pidfd = spawner.spawn(flags | CLONE_VM | CLONE_VFORK)
    except OSError as error:
        print(type(error).__name__, error.errno)
        continue
    script = Script(4, (0, 1, 2, 4))
    found = script.space(24)
    script.check("capget", script.data(struct.pack("<2I", CAPABILITY_VERSION_3, 0)), found)
    script.call("write", 4, found, 24, result=24)
    script.await_byte(4)
    os.write(ours, script.pack())
    print(*(hex(capabilities) for capabilities in struct.unpack("<6I", os.read(ours, 100))))
    os.write(ours, b"!")
    os.waitpid(pid, 0)
    os.close(pidfd)
"""
# chown, dac_override, fowner, fsetid, setgid, setuid, setpcap, sys_admin, sys_resource
KEPT = "0x12001db"


def spawned(*flags: int) -> list[str]:
    root = Path(sandbox.__file__).parents[1]
    command = [sys.executable, "-c", PROGRAM, str(root), *map(str, flags)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    return done.stdout.splitlines()


def test_a_child_executes_it_with_the_capabilities_that_it_is_to_keep() -> None:
    assert spawned(CLONE_NEWUSER, CLONE_NEWUSER) == [f"{KEPT} {KEPT} {KEPT} 0x0 0x0 0x0"] * 2


@pytest.mark.skipif(os.geteuid() == 0, reason="root has the capabilities that are missing here")
def test_why_there_is_no_child_is_told_and_the_next_is_made() -> None:
    """The child, before it has executed (EPERM); the kernel, which knows no such flag (EINVAL)."""
    refused, unknown, made = spawned(0, 1 << 40, CLONE_NEWUSER)
    assert refused == "ExecFailed 1"
    assert unknown == "OSError 22"
    assert made.startswith(KEPT)
