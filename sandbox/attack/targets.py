"""What attacks aim at: things of this user's, made for the occasion, outside of every sandbox."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from sandbox.attack.image import script_image
from sandbox.attack.numbers import NUMBERS
from sandbox.attack.script import AttackScript
from sandbox.inside.script import SCRIPT_AT
from sandbox.spec.errors import HostError

__all__ = ["LEAKED_FD", "Targets", "leak_directory", "make_targets", "write_program"]

LEAKED_FD = 1000  # open on the secret's directory in whoever starts sandboxes, and inheritable
_TEMPORARY = "/var/tmp"
_USER_KEYRING = -4  # KEY_SPEC_USER_KEYRING, keyctl(2)
_KEYCTL_UNLINK, _KEYCTL_SETPERM = 9, 5
_IPC_CREAT, _IPC_RMID = 0o1000, 0
_PR_SET_PTRACER = 0x59616D61
_SEGMENT_BYTES = 4096
_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


class Targets(NamedTuple):
    """Where they are. Paths are the same inside and outside, as far as they exist."""

    token: bytes  # what is secret, and what names are made of
    directory: Path  # holds all of them; nothing of it is shown to jobs but `programs`
    programs: Path  # the attacks, and a file that jobs may read: a read-only input
    uid: int
    victim_pid: int
    victim_address: int  # of the token in its memory
    tcp_port: int
    udp_port: int
    ipc_key: int  # of a shared memory segment, a semaphore and a message queue
    segment: int  # the number of that segment

    @property
    def secret(self) -> bytes:
        """A file with the token in it, which everybody may read and write."""
        return os.fsencode(self.directory / "secret")

    @property
    def input(self) -> bytes:
        """The same, in the job's view: to be read only."""
        return os.fsencode(self.programs / "input")

    @property
    def fifo(self) -> bytes:
        """A FIFO beside it, which somebody reads from."""
        return os.fsencode(self.programs / "fifo")

    @property
    def socket(self) -> bytes:
        """A socket that somebody listens on."""
        return os.fsencode(self.directory / "socket")

    @property
    def abstract(self) -> bytes:
        """The name of an abstract one."""
        return b"\0sandbox-attack-" + self.token

    @property
    def shared(self) -> bytes:
        """A file in the host's /dev/shm."""
        return b"/dev/shm/sandbox-attack-" + self.token

    @property
    def queue(self) -> bytes:
        """The name of a POSIX message queue, as the kernel takes it."""
        return b"sandbox-attack-" + self.token

    @property
    def key(self) -> bytes:
        """The description of a key in the user's keyring."""
        return b"sandbox-attack-" + self.token

    def restore(self) -> None:
        """Undo what controls did to files."""
        for path in self._files():
            path.write_bytes(self.token)
            path.chmod(0o666)

    def damage(self) -> list[str]:
        """What is not as it was: something has got out, whatever the attacks say."""
        found = []
        for path in self._files():
            try:
                content = path.read_bytes()
            except OSError as error:
                content = str(error).encode()
            if content != self.token:
                found.append(f"{path} is {content[:40]!r}")
        try:
            os.kill(self.victim_pid, 0)
        except OSError as error:
            found.append(f"the victim: {error}")
        return found

    def _files(self) -> list[Path]:
        return [Path(os.fsdecode(path)) for path in (self.secret, self.input, self.shared)]


@contextlib.contextmanager
def leak_directory(owner: tuple[int, int] | None) -> Iterator[Path]:
    """The directory of the targets, and LEAKED_FD on it, to be leaked to what is started here.

    `owner`: whom it is to belong to, where that is not this process yet. Raises HostError.
    """
    try:
        # Not in /tmp: what is shown there lies in the sandbox's own, for Landlock too.
        directory = Path(tempfile.mkdtemp(prefix="sandbox-attack-", dir=_TEMPORARY))
    except OSError as error:
        raise HostError(f"{_TEMPORARY}: {error.strerror}; fix: chmod 1777 {_TEMPORARY}") from error
    directory.chmod(0o755)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if owner is not None:
        os.chown(directory, *owner)
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.dup2(fd, LEAKED_FD, inheritable=True)
        os.close(fd)
        yield directory
    finally:
        os.close(LEAKED_FD)
        shutil.rmtree(directory, ignore_errors=True)


@contextlib.contextmanager
def make_targets(directory: Path) -> Iterator[Targets]:
    """Make them in there, and take them away again. Raises OSError."""
    token = secrets.token_hex(8).encode()
    programs = directory / "programs"
    with contextlib.ExitStack() as held:
        programs.mkdir()
        held.callback(shutil.rmtree, programs, ignore_errors=True)
        os.mkfifo(programs / "fifo", 0o666)
        (programs / "fifo").chmod(0o666)
        reader = os.open(programs / "fifo", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        held.callback(os.close, reader)
        path = held.enter_context(socket.socket(socket.AF_UNIX))
        path.bind(str(directory / "socket"))
        (directory / "socket").chmod(0o777)
        abstract = held.enter_context(socket.socket(socket.AF_UNIX))
        abstract.bind(b"\0sandbox-attack-" + token)
        tcp = held.enter_context(socket.socket())
        tcp.bind(("127.0.0.1", 0))
        for listener in (path, abstract, tcp):
            listener.listen(128)
        udp = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        udp.bind(("127.0.0.1", 0))
        victim, address = _start_victim(directory, token)
        held.callback(_end, victim)
        key = 0x5A000000 | secrets.randbits(20)
        targets = Targets(
            token=token,
            directory=directory,
            programs=programs,
            uid=os.getuid(),
            victim_pid=victim.pid,
            victim_address=address,
            tcp_port=tcp.getsockname()[1],
            udp_port=udp.getsockname()[1],
            ipc_key=key,
            segment=held.enter_context(_ipc(key, b"sandbox-attack-" + token)),
        )
        held.callback(Path(os.fsdecode(targets.shared)).unlink, missing_ok=True)
        targets.restore()
        held.enter_context(_key(targets))
        yield targets


def _start_victim(directory: Path, token: bytes) -> tuple[subprocess.Popen[bytes], int]:
    """A process that anybody of this user may trace, with the token in its memory: where."""
    script = AttackScript()
    secret = script.memory(token + b"\0")
    script.call("prctl", _PR_SET_PTRACER, -1, 0, 0, 0, tolerated=22)  # EINVAL: without Yama
    script.call("write", 1, script.data(b"1"), 1)
    script.await_byte(0)
    script.call("getpid")
    program = directory / "victim"
    write_program(program, script_image(script.finish()))
    victim = subprocess.Popen(
        [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={"TOKEN": token.decode()}
    )
    assert victim.stdout is not None
    victim.stdout.read(1)
    return victim, SCRIPT_AT + script.offset(secret)


def write_program(path: Path, image: bytes) -> None:
    """An executable file."""
    path.write_bytes(image)
    path.chmod(0o755)


def _end(victim: subprocess.Popen[bytes]) -> None:
    victim.kill()
    victim.communicate()


@contextlib.contextmanager
def _ipc(key: int, name: bytes) -> Iterator[int]:
    """A segment, a semaphore, a message queue and a POSIX one, as far as this host has them."""
    mode = _IPC_CREAT | 0o666
    segment = _libc.shmget(key, _SEGMENT_BYTES, mode)
    semaphore = _libc.semget(key, 1, mode)
    messages = _libc.msgget(key, mode)
    flags = os.O_RDWR | os.O_CREAT
    queue = _call("mq_open", name, flags, 0o666, 0)
    if queue >= 0:
        os.close(queue)
    try:
        yield segment
    finally:
        _libc.shmctl(segment, _IPC_RMID, None)
        _libc.semctl(semaphore, 0, _IPC_RMID)
        _libc.msgctl(messages, _IPC_RMID, None)
        _call("mq_unlink", name)


@contextlib.contextmanager
def _key(targets: Targets) -> Iterator[None]:
    token = targets.token
    key = _call("add_key", b"user", targets.key, token, len(token), _USER_KEYRING)
    _call("keyctl", _KEYCTL_SETPERM, key, 0x3F3F3F3F)  # all to everybody
    try:
        yield
    finally:
        if key >= 0:
            _call("keyctl", _KEYCTL_UNLINK, key, _USER_KEYRING)


def _call(name: str, *arguments: int | bytes) -> int:
    """A system call, which may fail: then the attacks on what it makes have no control."""
    wide = (ctypes.c_long(a) if isinstance(a, int) else a for a in arguments)
    return int(_libc.syscall(ctypes.c_long(NUMBERS[name]), *wide))
