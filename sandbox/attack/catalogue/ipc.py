"""System V and POSIX IPC of the host, and its keyrings: named by numbers, not by paths."""

import os
from errno import EINVAL, ENOENT, ENOKEY

from sandbox.attack.attack import BARE, attack, by
from sandbox.attack.script import AttackScript
from sandbox.attack.targets import Targets

_KIND = "ipc"
_USER_KEYRING, _SESSION_KEYRING, _USER_SESSION = -4, -3, -5
_GET_KEYRING_ID, _JOIN_SESSION, _SEARCH, _GET_PERSISTENT = 0, 1, 10, 22
_IPC_STAT = 2


@attack(_KIND, BARE, by("ipc", shmget=ENOENT))
def found_segment(script: AttackScript, targets: Targets) -> None:
    """Finds a shared memory segment of the host by its key."""
    script.call("shmget", targets.ipc_key, 0, 0)


@attack(_KIND, BARE, by("ipc", semget=ENOENT))
def found_semaphore(script: AttackScript, targets: Targets) -> None:
    """Finds a semaphore of the host by its key."""
    script.call("semget", targets.ipc_key, 0, 0)


@attack(_KIND, BARE, by("ipc", msgget=ENOENT))
def found_messages(script: AttackScript, targets: Targets) -> None:
    """Finds a message queue of the host by its key, and sends to it."""
    script.call("msgget", targets.ipc_key, 0)


@attack(_KIND, BARE, by("ipc", shmctl=EINVAL))
def numbered_segment(script: AttackScript, targets: Targets) -> None:
    """Finds a shared memory segment of the host by its number."""
    script.call("shmctl", targets.segment, _IPC_STAT, script.space(512))


@attack(_KIND, BARE, by("ipc", mq_open=ENOENT))
def opened_queue(script: AttackScript, targets: Targets) -> None:
    """Opens a POSIX message queue of the host."""
    script.open("mq_open", targets.queue, os.O_RDWR, 0, 0)


@attack(_KIND, BARE, by("identity", keyctl=ENOKEY))
def searched_keyring(script: AttackScript, targets: Targets) -> None:
    """Searches the user's keyring for a key of the host."""
    script.call("keyctl", _SEARCH, _USER_KEYRING, b"user", targets.key, 0)


@attack(_KIND, BARE, by("identity", request_key=ENOKEY))
def requested_key(script: AttackScript, targets: Targets) -> None:
    """Requests that key, which the kernel would ask a program of the host for."""
    script.call("request_key", b"user", targets.key, 0, 0)


@attack(_KIND, BARE)
def added_key(script: AttackScript, targets: Targets) -> None:
    """Leaves a key in a keyring, where the next job of its uid may find it."""
    name = b"attack-" + targets.token
    script.call("add_key", b"user", name, b"x", 1, _USER_SESSION)


@attack(_KIND, BARE)
def joined_session(script: AttackScript, targets: Targets) -> None:
    """Joins a session keyring by its name (CVE-2016-0728)."""
    script.call("keyctl", _JOIN_SESSION, b"attack-" + targets.token)


@attack(_KIND, BARE)
def persistent_keyring(script: AttackScript, targets: Targets) -> None:
    """Takes its user's keyring that outlives every session."""
    script.call("keyctl", _GET_PERSISTENT, -1, _SESSION_KEYRING)


@attack(_KIND, BARE)
def session_keyring(script: AttackScript, targets: Targets) -> None:
    """Finds the session keyring of whoever started the supervisor."""
    script.call("keyctl", _GET_KEYRING_ID, _SESSION_KEYRING, 0)
