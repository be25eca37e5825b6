"""Compiled filters, kept in the user's cache directory from one run to the next.

A filter is a wall: none is taken from where anyone else could have written it, or that is not what
was stored under its key. Whatever is odd is a miss, and a host without a cache is no error.
"""

import contextlib
import os
import stat
from _blake2 import blake2b  # as in hashlib, which would load OpenSSL
from collections.abc import Iterator

__all__ = ["digest", "load", "store"]

_DIGEST_BYTES = 32
_MOST_BYTES = _DIGEST_BYTES + 4096 * 8  # BPF_MAXINSNS times struct sock_filter
_MOST_FILES = 256  # every edit of a policy leaves one
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# O_NONBLOCK: a FIFO would hold us until somebody writes to it.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def digest(*parts: bytes) -> bytes:
    """A hash of the parts and of where each ends."""
    state = blake2b(digest_size=_DIGEST_BYTES)
    for part in parts:
        state.update(len(part).to_bytes(8, "little"))
        state.update(part)
    return state.digest()


def load(key: bytes) -> bytes | None:
    """What was stored under `key`; None if nothing was, or it cannot be trusted."""
    with contextlib.suppress(OSError), _directory() as directory_fd:
        fd = os.open(key.hex(), _READ, dir_fd=directory_fd)
        with open(fd, "rb", buffering=0) as file:
            status = _require_ours(fd)
            if stat.S_ISREG(status.st_mode) and status.st_size <= _MOST_BYTES:
                content = file.read(_MOST_BYTES)
                program = content[_DIGEST_BYTES:]
                if content[:_DIGEST_BYTES] == digest(key, program):
                    return program
    return None


def store(key: bytes, program: bytes) -> None:
    """Keep `program` under `key`, whole or not at all, if there is a place that only we can write.

    That is sandbox/filters in $XDG_CACHE_HOME, or in .cache of $HOME. What is larger than any
    filter is not kept: `load` would not read it.
    """
    if len(program) > _MOST_BYTES - _DIGEST_BYTES:
        return
    with contextlib.suppress(OSError), _directory(create=True) as directory_fd:
        _make_room(directory_fd)
        draft = f"{key.hex()}.{os.urandom(8).hex()}"
        fd = os.open(draft, _CREATE, 0o600, dir_fd=directory_fd)
        try:
            with open(fd, "wb") as file:
                file.write(digest(key, program) + program)
            os.replace(draft, key.hex(), src_dir_fd=directory_fd, dst_dir_fd=directory_fd)
        except BaseException:
            os.unlink(draft, dir_fd=directory_fd)
            raise


@contextlib.contextmanager
def _directory(*, create: bool = False) -> Iterator[int]:
    """Walk to the directory by descriptors, so that each is the one that was looked at."""
    start, names = os.environ.get("XDG_CACHE_HOME", ""), ["sandbox", "filters"]
    if not os.path.isabs(start):  # XDG Base Directory Specification: ignore it
        start, names = os.environ.get("HOME", ""), [".cache", *names]
    if not os.path.isabs(start):
        raise FileNotFoundError("no home")
    fd = os.open(start, _DIRECTORY)
    try:
        _require_ours(fd)
        for name in names:
            if create:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, 0o700, dir_fd=fd)
            outer_fd, fd = fd, os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=fd)
            os.close(outer_fd)
            _require_ours(fd)
        yield fd
    finally:
        os.close(fd)


def _require_ours(fd: int) -> os.stat_result:
    status = os.fstat(fd)
    if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError("others could have written it")
    return status


def _make_room(directory_fd: int) -> None:
    names = os.listdir(directory_fd)
    if len(names) >= _MOST_FILES:
        for name in names:
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=directory_fd)
