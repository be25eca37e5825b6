"""Where the daemon listens and keeps its state, unless it is told."""

import os
from pathlib import Path

from sandbox.server.config import Config

__all__ = ["socket_path", "state_directory"]


def socket_path(config: Config) -> Path:
    """The unix socket: the service manager's directory, root's, or that of the user's session.

    Clients look there too: client/address.py.
    """
    if config.listen.socket is not None:
        return config.listen.socket
    if directory := os.environ.get("RUNTIME_DIRECTORY"):  # systemd.exec(5)
        return Path(directory.split(":")[0]) / "sandbox.sock"
    if os.geteuid() == 0:
        return Path("/run/sandbox/sandbox.sock")
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
