"""Cgroups of ended jobs that could not be removed in time, as when a process is in state D."""

import contextlib
import errno
import os

__all__ = ["Left"]


class Left:
    """Their names, and the open directories that they are in; tried again now and then."""

    def __init__(self) -> None:
        self._names: dict[str, tuple[int, ...]] = {}

    def add(self, name: str, dir_fds: tuple[int, ...]) -> None:
        """One more."""
        self._names[name] = dir_fds

    def remove(self) -> None:
        """Remove those that can be by now."""
        for name, dir_fds in list(self._names.items()):
            with contextlib.suppress(OSError):
                remove(name, dir_fds)
                del self._names[name]


def remove(name: str, dir_fds: tuple[int, ...]) -> None:
    """Remove the cgroup `name` from all of these directories. Raises OSError: one stays."""
    refusals: list[OSError] = []
    for dir_fd in dir_fds:
        try:
            os.rmdir(name, dir_fd=dir_fd)
        except FileNotFoundError:
            pass
        except OSError as error:
            refusals.append(error)
    # As long as a process is in one of them, the rest is its business too.
    refusals.sort(key=lambda refusal: refusal.errno != errno.EBUSY)
    if refusals:
        raise refusals[0]
