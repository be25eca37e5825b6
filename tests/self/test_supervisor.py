"""A supervisor that has locked itself, taken over: each attack meets what it must, and only then.

The control is the same attack in the same process before it locks itself, where it works.
"""

import errno
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from self.attack import KILLED, PATIENCE_SECONDS, TESTS, TOLD, Attack, indented, met, victim

from sandbox.supervisor.landlock import handled_accesses

KEYCTL = {"x86_64": 250, "aarch64": 219}[os.uname().machine]

GETFD, TARGET = 438, "os.pidfd_open({victim})"

ATTACKS = [
    Attack("exec", "os.execv('/bin/sh', ['sh', '-c', 'echo met 0 >&2'])", KILLED),
    Attack("fork", "os.fork() or os._exit(0)", KILLED),
    Attack("spawn", "os.posix_spawn('/bin/true', ['true'], dict())", KILLED),
    Attack("user namespace", "checked(libc.unshare(0x10000000))", KILLED),
    Attack("trace", "checked(libc.ptrace(16, {victim}, 0, 0))", KILLED),
    Attack("look into", "os.readlink('/proc/{victim}/ns/user')", errno.EACCES),
    Attack("take a file", f"checked(libc.syscall({GETFD}, {TARGET}, 0, 0))", errno.ENOSYS),
    Attack("keyring", f"checked(libc.syscall({KEYCTL}, 0, -3, 1))", KILLED),
    Attack("be another", "os.setuid(os.getuid())", KILLED),
    Attack("write", "os.open('{file}', os.O_WRONLY)", errno.EACCES),
    Attack("truncate", "os.open('{file}', os.O_RDONLY | os.O_TRUNC)", errno.EACCES),
    Attack("make", "os.open('{file}.new', os.O_WRONLY | os.O_CREAT)", errno.EACCES),
    Attack("make a directory", "os.mkdir('{file}.directory')", errno.EACCES),
    Attack("remove", "os.unlink('{file}')", errno.EACCES),
    Attack("move out", "os.rename('{state}/ours', '{file}.moved')", errno.EACCES),
    Attack("link in", "os.link('{file}', '{state}/link')", errno.EXDEV),
    Attack("a device", "os.open('/dev/null', os.O_WRONLY)", errno.EACCES),
    Attack("a new socket", "socket.create_connection(('127.0.0.1', {port}))", errno.EAFNOSUPPORT),
    Attack("connect", "ready.connect(('127.0.0.1', {port}))", errno.EACCES),
    Attack("bind", "ready.bind(('127.0.0.1', 0))", errno.EPERM),
    Attack("code that we write", "checked(mmap(0, 4096, 7, 0x22, -1, 0))", errno.EACCES),
    Attack("code in memory", "checked(mmap(0, 4096, 5, 0x22, -1, 0))", errno.EACCES),
    Attack("make it code", "checked(libc.mprotect(ctypes.c_void_p(page), 4096, 5))", errno.EACCES),
]  # fmt: skip
BY_LANDLOCK = {
    "look into", "write", "truncate", "make", "make a directory", "remove", "move out", "link in",
    "a device", "connect",
}  # fmt: skip

PROGRAM = """
import sys
sys.path.insert(0, {root!r})
{told}
mmap = libc.mmap
mmap.restype = ctypes.c_void_p
mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
page = mmap(0, 4096, 3, 0x22, -1, 0)
ready = socket.socket()
{attempt}
from sandbox.supervisor.confinement import Places, confine
{lock}
told()
"""
LOCK = "confine(Places((%r,)))"


@pytest.fixture
def places(tmp_path: Path) -> Iterator[dict[str, object]]:
    """What an attack is about."""
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "ours").touch()
    (tmp_path / "file").write_text("of the user\n")
    with victim() as pid, socket.create_server(("127.0.0.1", 0)) as listener:
        yield {
            "victim": pid,
            "file": tmp_path / "file",
            "state": tmp_path / "state",
            "port": listener.getsockname()[1],
        }


def program(body: str, lock: str, places: dict[str, object]) -> str:
    attempt = indented(body.format(**places))
    return PROGRAM.format(root=str(TESTS.parent), told=TOLD, attempt=attempt, lock=lock)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_an_attack_works_before_the_lock_and_not_behind_it(
    attack: Attack, places: dict[str, object]
) -> None:
    if attack.name in BY_LANDLOCK and handled_accesses() is None:
        pytest.skip("this kernel has no Landlock")
    assert met(program(attack.body, LOCK % str(places["state"]), places)) == attack.refusal
    assert met(program(attack.body, "", places)) == 0, "control: it must work"


@pytest.mark.parametrize(
    "body",
    [
        "open('/etc/passwd').read()",
        "os.unlink('{state}/ours')",
        "os.mkdir('{state}/directory')",
        "open('{state}/new', 'w').write('x'); os.rename('{state}/new', '{state}/newer')",
        "socket.socketpair()",
        "os.kill(os.getpid(), 0)",
        "import threading; t = threading.Thread(target=int); t.start(); t.join()",
        "import sqlite3; sqlite3.connect('{state}/db').execute('create table a(b)')",
        "import pyexpat, decimal, unicodedata",
    ],
)
def test_what_a_supervisor_does_works_behind_the_lock(body: str, places: dict[str, object]) -> None:
    assert met(program(body, LOCK % str(places["state"]), places)) == 0


def test_a_thread_that_comes_later_is_behind_the_lock_too(places: dict[str, object]) -> None:
    if handled_accesses() is None:
        pytest.skip("this kernel has no Landlock")
    body = (
        "import concurrent.futures\n"
        "with concurrent.futures.ThreadPoolExecutor() as pool:\n"
        "    pool.submit(os.open, '{file}', os.O_WRONLY).result()"
    )
    assert met(program(body, LOCK % str(places["state"]), places)) == errno.EACCES
    assert met(program(body, "", places)) == 0, "control: it must work"


def test_a_process_with_other_threads_is_not_locked_by_half(places: dict[str, object]) -> None:
    lock = (
        "import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
    )
    code = program("pass", lock + LOCK % str(places["state"]), places)
    done = subprocess.run(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, capture_output=True,
        timeout=PATIENCE_SECONDS, check=False,
    )  # fmt: skip
    assert b"HostError: a process with 2 threads cannot be locked as a whole" in done.stderr


@pytest.mark.parametrize(
    ("mistake", "missing"),
    [
        ("c.seccomp_load = lambda *_, **__: 0", b"Seccomp of thread"),
        ("c.landlock_restrict_self = lambda fd: None", b"landlock"),
    ],
)
def test_a_lock_that_does_not_stand_is_noticed(
    mistake: str, missing: bytes, places: dict[str, object]
) -> None:
    if missing == b"landlock" and handled_accesses() is None:
        pytest.skip("this kernel has no Landlock")
    lock = f"import sandbox.supervisor.confinement as c; {mistake}\nc." + LOCK[0:0]
    lock += f"confine(Places(({str(places['state'])!r},)))"
    done = subprocess.run(
        [sys.executable, "-c", program("pass", lock, places)], capture_output=True,
        timeout=PATIENCE_SECONDS, check=False,
    )  # fmt: skip
    assert b"has locked itself, and does not see it: " in done.stderr and missing in done.stderr


def test_its_memory_has_an_end(places: dict[str, object]) -> None:
    body = (
        "import resource\n"
        "most = resource.getrlimit(resource.RLIMIT_DATA)[0]\n"
        "checked(mmap(0, most if most > 0 else 1 << 40, 3, 0x4022, -1, 0))"
    )
    assert met(program(body, LOCK % str(places["state"]), places)) == errno.ENOMEM
