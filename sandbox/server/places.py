"""Where the daemon listens and keeps its state, and how it makes sure that nobody else does."""

import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from sandbox.server.config import Config
from sandbox.server.directories import sync_directory
from sandbox.server.listen import bind_unix
from sandbox.spec.errors import HostError
from sandbox.supervisor.startup import runner_ids

__all__ = ["bound", "claimed", "socket_path", "state_directory"]


def socket_path(config: Config) -> Path:
    """The unix socket: the service manager's directory, root's, or that of the user's session.

    Clients look there too: client/address.py.
    """
    if config.listen.socket is not None:
        return config.listen.socket
    if directory := os.environ.get("RUNTIME_DIRECTORY"):  # systemd.exec(5)
        return Path(directory.split(":")[0]) / "sandbox.sock"
    if os.geteuid() == 0:
        return Path("/run/sandbox-serve/sandbox.sock")  # /run/sandbox has the leases
    runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    return Path(runtime) / "sandbox" / "sandbox.sock"


def state_directory(config: Config) -> Path:
    """Where journal, outputs and blobs are."""
    if config.state.directory is not None:
        return config.state.directory
    if directory := os.environ.get("STATE_DIRECTORY"):  # systemd.exec(5)
        return Path(directory.split(":")[0])
    if os.geteuid() == 0:
        return Path("/var/lib/sandbox")
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(home) / "sandbox"


@contextlib.contextmanager
def claimed(directory: Path) -> Iterator[Path]:
    """The state directory, ours alone for as long as this lasts."""
    uid, gid = runner_ids()
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        sync_directory(directory.parent)  # "power" is to find it there again
        if os.geteuid() == 0:
            os.chown(directory, uid, gid)
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise HostError(
            f"the state directory {directory} cannot be used: {error.strerror}; fix: --state DIR"
        ) from error
    try:
        found = os.fstat(fd)
        if found.st_uid != uid or found.st_mode & 0o077:
            raise HostError(f"{directory} is not ours alone; fix: chown, and chmod 700 {directory}")
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise HostError(
                f"another server keeps its state in {directory}; fix: end it, or --state DIR"
            ) from None
        yield directory
    finally:
        os.close(fd)


@contextlib.contextmanager
def bound(config: Config) -> Iterator[socket.socket]:
    """The unix socket, which goes with us."""
    path = socket_path(config)
    is_shared = bool(config.listen.allowed_uids) or any(t.uids for t in config.tenants)
    listener = bind_unix(path, 0o666 if is_shared else 0o600)
    inode = path.stat().st_ino
    if os.geteuid() == 0:
        os.chown(path, *runner_ids())
    try:
        yield listener
    finally:
        # While we still listen, nobody puts another in its place between the look and the removal.
        with contextlib.suppress(OSError):  # of a root that has dropped
            if path.stat().st_ino == inode:
                path.unlink()
        listener.close()
