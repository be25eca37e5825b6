"""What a job leaves behind for a later one of the same id: two programs, one after the other."""

import os
from collections.abc import Callable
from errno import EACCES, ENOENT, ENOKEY

from sandbox.attack.attack import BARE, attack, by
from sandbox.attack.script import AT_FDCWD, AttackScript
from sandbox.attack.targets import Targets

_KIND = "remains"
_CREATE = 0o1666  # IPC_CREAT, for everybody
_USER_KEYRING, _SEARCH = -4, 10


def _path(directory: bytes, targets: Targets) -> bytes:
    return directory + b"/left-" + targets.token


def _leave_in(directory: bytes) -> Callable[[AttackScript, Targets], None]:
    def plant(script: AttackScript, targets: Targets) -> None:
        flags = os.O_WRONLY | os.O_CREAT
        fd = script.open("openat", AT_FDCWD, _path(directory, targets), flags, 0o666)
        script.call("write", fd, script.data(targets.token), len(targets.token))

    return plant


def _find_in(directory: bytes, script: AttackScript, targets: Targets) -> None:
    path = _path(directory, targets)
    script.read_all(script.open_path(path, os.O_RDONLY), targets.token)
    script.call("unlinkat", AT_FDCWD, path, 0)


@attack(_KIND, BARE, by("view", openat=ENOENT), plant=_leave_in(b"/tmp"))
def file_in_tmp(script: AttackScript, targets: Targets) -> None:
    """Finds a file of an earlier job in /tmp."""
    _find_in(b"/tmp", script, targets)


@attack(_KIND, BARE, by("view", openat=ENOENT), plant=_leave_in(b"/dev/shm"))
def file_in_shared_memory(script: AttackScript, targets: Targets) -> None:
    """Finds a file of an earlier job in /dev/shm."""
    _find_in(b"/dev/shm", script, targets)


@attack(_KIND, BARE, by("view", openat=ENOENT), plant=_leave_in(b"."))
def file_in_cwd(script: AttackScript, targets: Targets) -> None:
    """Finds a file of an earlier job in its working directory."""
    _find_in(b".", script, targets)


def _make_segment(script: AttackScript, targets: Targets) -> None:
    script.call("shmget", targets.ipc_key + 1, 4096, _CREATE)


@attack(_KIND, BARE, by("ipc", shmget=ENOENT), plant=_make_segment)
def segment(script: AttackScript, targets: Targets) -> None:
    """Finds a shared memory segment of an earlier job."""
    script.call("shmget", targets.ipc_key + 1, 0, 0)


def _make_semaphore(script: AttackScript, targets: Targets) -> None:
    script.call("semget", targets.ipc_key + 1, 1, _CREATE)


@attack(_KIND, BARE, by("ipc", semget=ENOENT), plant=_make_semaphore)
def semaphore(script: AttackScript, targets: Targets) -> None:
    """Finds a semaphore of an earlier job."""
    script.call("semget", targets.ipc_key + 1, 0, 0)


def _make_messages(script: AttackScript, targets: Targets) -> None:
    script.call("msgget", targets.ipc_key + 1, _CREATE)


@attack(_KIND, BARE, by("ipc", msgget=ENOENT), plant=_make_messages)
def messages(script: AttackScript, targets: Targets) -> None:
    """Finds a message queue of an earlier job."""
    script.call("msgget", targets.ipc_key + 1, 0)


def _make_queue(script: AttackScript, targets: Targets) -> None:
    script.open("mq_open", targets.queue + b"-left", os.O_RDWR | os.O_CREAT, 0o666, 0)


@attack(_KIND, BARE, by("ipc", mq_open=ENOENT) + by("landlock", mq_open=EACCES), plant=_make_queue)
def queue(script: AttackScript, targets: Targets) -> None:
    """Finds a POSIX message queue of an earlier job."""
    script.open("mq_open", targets.queue + b"-left", os.O_RDWR, 0, 0)
    script.call("mq_unlink", targets.queue + b"-left")


def _make_key(script: AttackScript, targets: Targets) -> None:
    name = b"left-" + targets.token
    script.call("add_key", b"user", name, script.data(targets.token), 8, _USER_KEYRING)


@attack(_KIND, BARE, by("identity", keyctl=ENOKEY), plant=_make_key)
def key(script: AttackScript, targets: Targets) -> None:
    """Finds a key of an earlier job in the keyring of their uid."""
    script.call("keyctl", _SEARCH, _USER_KEYRING, b"user", b"left-" + targets.token, 0)
