"""Every attack, by class. Each module registers its own."""

from sandbox.attack.attack import registered
from sandbox.attack.catalogue import (
    abi,
    collecting,
    files,
    information,
    ipc,
    kernel,
    mounts,
    namespaces,
    privileges,
    processes,
    quotas,
    remains,
    signals,
    sockets,
    terminals,
)

__all__ = ["ATTACKS"]

_MODULES = (
    mounts, namespaces, processes, signals, files, collecting, remains, information, sockets, ipc,
    privileges, kernel, abi, terminals, quotas,
)  # fmt: skip
ATTACKS = registered()
