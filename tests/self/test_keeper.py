"""Keeper, zygote and lookout, taken over: each attack meets what it must, and only then.

The code of an attack runs in that process, where its walls stand; the control runs where they do
not stand yet, or takes the wall away.
"""

import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from self.attack import KILLED, TESTS, TOLD, indented, met, victim

from sandbox.supervisor.landlock import handled_accesses

# Runs one job, and says how each child ended that it waited for.
RUNNER = """
import os, sys
from pathlib import Path
sys.path[:0] = [{root!r}, {tests!r}]
waitpid = os.waitpid
def told(pid, options):
    found = waitpid(pid, options)
    print("ended", os.WTERMSIG(found[1]) if os.WIFSIGNALED(found[1]) else 0, flush=True)
    return found
os.waitpid = told
from containment.walls import ALLOW_ALL, attack, mutated_zygote
with mutated_zygote({code!r}):
    attack("print('ran')", Path({output!r}), policy=ALLOW_ALL)
"""
# Where in each process the code runs: with its walls, and before them.
WHERE = {
    "zygote": (
        "import sandbox.zygote.main as m; real = m._serve\n"
        "m._serve = lambda *a: (told(), real(*a))",
        "import sandbox.keeper.keeper as k; real = k.serve\n"
        "k.serve = lambda **options: (told(), real(**options))",
    ),
    "lookout": (
        "import sandbox.keeper.lookout as l; real = l._answer\n"
        "l._answer = lambda *a: (told(), real(*a))[1]",
        "import sandbox.keeper.keeper as k; real = k.watch\n"
        "k.watch = lambda program: (told(), real(program))",
    ),
    "keeper": (
        "import sandbox.keeper.keeper as k; real = k.fork_sibling\n"
        "k.fork_sibling = lambda: (told(), real())[1]",
        "import sandbox.keeper.keeper as k; real = k._stay_apart\n"
        "k._stay_apart = lambda: (told(), real())",
    ),
}
NOT_APART = "import sandbox.keeper.keeper; sandbox.keeper.keeper._stay_apart = lambda: None"
CONNECT = "socket.create_connection(('127.0.0.1', {port}))"
SEND = "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', {port}))"
LOOK = "os.readlink('/proc/{victim}/ns/user')"
SIGNAL = "os.kill({victim}, 0)"
ABSTRACT = "s = socket.socket(socket.AF_UNIX); s.connect('\\0{name}')"


class Case(NamedTuple):
    """`without`: takes a wall away for the control, where it is not enough to be early."""

    process: str
    name: str
    body: str
    refusal: int
    without: str = ""


CASES = [
    Case("keeper", "look into another", LOOK, errno.EACCES),
    Case("keeper", "signal another", SIGNAL, errno.EPERM),
    Case("keeper", "connect", CONNECT, errno.EACCES),
    Case("keeper", "connect by name", ABSTRACT, errno.EPERM),
    Case("zygote", "look into another", LOOK, errno.EACCES, NOT_APART),
    Case("zygote", "signal another", SIGNAL, errno.EPERM, NOT_APART),
    Case("zygote", "send", SEND, errno.ENETUNREACH),
    Case("zygote", "find shared memory", "checked(libc.shmget({key}, 0, 0))", errno.ENOENT),
    Case("zygote", "read of the host", "os.open('{file}', os.O_RDONLY)", errno.ENOENT),
    Case("zygote", "write on the host", "os.open('{file}', os.O_WRONLY)", errno.ENOENT),
    Case("lookout", "look into another", LOOK, errno.EACCES, NOT_APART),
    Case("lookout", "signal another", SIGNAL, errno.ENOSYS, NOT_APART),
    Case("lookout", "write", "os.open('{file}', os.O_WRONLY)", errno.EACCES),
    Case("lookout", "make", "os.open('{file}.new', os.O_WRONLY | os.O_CREAT)", errno.EACCES),
    Case("lookout", "remove", "os.unlink('{file}')", errno.ENOSYS),
    Case("lookout", "socket", "socket.socket(socket.AF_UNIX)", errno.ENOSYS),
    Case("lookout", "fork", "os.fork() or os._exit(0)", KILLED),
    Case("lookout", "exec", "os.execv('/bin/sh', ['sh', '-c', 'echo met 0 >&2'])", KILLED),
    Case("lookout", "user namespace", "checked(libc.unshare(0x10000000))", KILLED),
    Case("lookout", "trace", "checked(libc.ptrace(16, {victim}, 0, 0))", KILLED, NOT_APART),
]
BY_LANDLOCK = {"look into another", "signal another", "connect", "connect by name"}


@pytest.fixture
def places(tmp_path: Path) -> Iterator[dict[str, object]]:
    """What an attack is about."""
    import ctypes

    (tmp_path / "file").touch()
    key = 0x5A18_0000 + os.getpid() % 0xFFFF
    libc = ctypes.CDLL(None)
    segment = libc.shmget(key, 4096, 0o1666)  # IPC_CREAT, for everybody
    name = f"sandbox-test-{os.getpid()}"
    with (
        victim() as pid,
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.socket(socket.AF_UNIX) as named,
    ):
        named.bind(f"\0{name}")
        named.listen()
        yield {
            "victim": pid,
            "file": tmp_path / "file",
            "port": listener.getsockname()[1],
            "key": key,
            "name": name,
            "output": tmp_path,
        }
    libc.shmctl(segment, 0, None)  # IPC_RMID


def run(case: Case, hook: str, places: dict[str, object], without: str = "") -> int:
    attempt = indented(case.body.format(**places))
    code = "\n".join((TOLD, attempt, hook, without))
    return met(
        RUNNER.format(
            root=str(TESTS.parent), tests=str(TESTS), code=code, output=str(places["output"])
        )
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.process}: {case.name}")
def test_an_attack_works_without_the_walls_of_a_process_and_not_with_them(
    case: Case, places: dict[str, object]
) -> None:
    scopes = (handled_accesses() or (0, 0, 0))[2]
    if case.name in BY_LANDLOCK and not scopes:
        pytest.skip("this kernel's Landlock has no scopes, ABI 6")
    behind, before = WHERE[case.process]
    assert run(case, behind, places) == case.refusal
    assert run(case, before, places, case.without) == 0, "control: it must work"
