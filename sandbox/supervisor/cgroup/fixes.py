"""The commands that our messages tell people to run."""

import os
import pwd

__all__ = ["setup_command"]


def setup_command(uid: int | None = None) -> str:
    """What an administrator runs for `uid`, or for ourselves."""
    uid = os.geteuid() if uid is None else uid
    try:
        return f"sandbox setup --user {pwd.getpwuid(uid).pw_name} (as root)"
    except KeyError:  # a container's uid, or one of root's own range, has no name
        return f"sandbox setup --user {uid} (as root)"
