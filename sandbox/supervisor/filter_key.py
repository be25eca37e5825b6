"""What a compiled filter depends on, as one hash, without loading what compiles it."""

import functools
import os
import sys

from sandbox.spec.policy import SyscallRule
from sandbox.supervisor.filter_cache import digest

__all__ = ["filter_key", "names_loaded_library"]

_SOURCES = ("arguments.py", "bpf.py", "compiler.py", "seccomp.py")
_LIBRARY = "libseccomp.so.2"
_MULTIARCH = getattr(sys.implementation, "_multiarch", "")  # x86_64-linux-gnu
_DIRECTORIES = (
    "/usr/local/lib", "/usr/local/lib64", f"/usr/lib/{_MULTIARCH}", "/usr/lib64", "/usr/lib",
)  # fmt: skip


def filter_key(
    rules: tuple[SyscallRule, ...], default_action: str, listener: bool, arch: int
) -> bytes | None:
    """The hash of the rules, of our compiler, and of every libseccomp that the loader may find.

    None where one of them cannot be seen: then a filter cannot be kept.
    """
    meaning = [
        (rule.names, rule.action, [(c.index, c.mask, c.value, c.negated) for c in rule.where])
        for rule in rules
    ]
    libraries, compiler = _libraries(), _compiler()
    if not libraries or not compiler:
        return None
    asked = repr((default_action, listener, arch, meaning, libraries))
    return digest(asked.encode(), compiler)


def names_loaded_library() -> bool:
    """Whether the libseccomp of this process, now loaded, is one that `filter_key` hashes.

    Not so where the loader has found it elsewhere, or its file was replaced since (the kernel calls
    that path deleted, proc_pid_maps(5)): then what it compiled belongs to no key.
    """
    with open("/proc/self/maps", errors="surrogateescape") as maps:
        fields = [line.rstrip("\n").split(maxsplit=5) for line in maps if "/libseccomp" in line]
    loaded = {field[5] for field in fields}
    return len(loaded) == 1 and loaded <= {path for path, _, _ in _libraries()}


@functools.cache  # once, before the compiler is loaded: what then runs is not older than the hash
def _compiler() -> bytes:
    room = os.path.dirname(__file__)
    try:
        return digest(*(_read(os.path.join(room, name)) for name in _SOURCES))
    except OSError:  # installed without sources
        return b""


def _read(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.read()


def _libraries() -> list[tuple[str, int, int]]:
    """(real path, size, time) of each: its version is in none of its names that can be trusted."""
    found = []
    preferred = os.environ.get("LD_LIBRARY_PATH", "").split(":")
    for directory in (*filter(None, preferred), *_DIRECTORIES):
        path = os.path.join(directory, _LIBRARY)
        try:
            status = os.stat(path)
        except OSError:
            continue
        found.append((os.path.realpath(path), status.st_size, status.st_mtime_ns))
    return found
